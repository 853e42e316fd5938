"""The service that tutorials show, to compare with: no edge, no batches, and the model called inside `async def`.

`uvicorn --app-dir examples/exercises textbook:app --port 8002`, in the folder of the project.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xgboost
from fastapi import FastAPI
from pydantic import BaseModel, FiniteFloat

from shared.model.locate import latest_package
from shared.model.manifest import BOOSTER_FILE

app = FastAPI()
booster = xgboost.Booster(model_file=Path(latest_package() / BOOSTER_FILE))
booster.set_param({"nthread": 1})


class Row(BaseModel):
    features: list[float]


class FiniteRow(BaseModel):
    features: list[FiniteFloat]


class Rows(BaseModel):
    rows: list[list[float]]


def predict(features: list[float]) -> float:
    return float(booster.inplace_predict(np.array([features], dtype=np.float32))[0])


@app.get("/livez")
async def livez() -> str:
    return "ok"


@app.post("/score")
async def score(row: Row) -> dict[str, float]:
    return {"probability": predict(row.features)}


# The obvious repair. FastAPI's answer repeats what was wrong, and JSON has no NaN.
@app.post("/finite/score")
async def score_finite(row: FiniteRow) -> dict[str, float]:
    return {"probability": predict(row.features)}


# The mistake: there is no `await` in it, so until the last row is done the event loop does nothing else.
@app.post("/score/batch")
async def score_batch(rows: Rows) -> dict[str, list[float]]:
    return {"probabilities": [predict(row) for row in rows.rows]}


# FastAPI calls a plain `def` in a thread: the same work, and the event loop goes on beside it.
@app.post("/in-thread/score/batch")
def score_batch_in_thread(rows: Rows) -> dict[str, list[float]]:
    return {"probabilities": [predict(row) for row in rows.rows]}
