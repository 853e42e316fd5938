"""The FastAPI service that articles show: one prediction per request, in the event loop."""

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.contenders.predictors import load

app = FastAPI()
predict = load()


class ScoreRequest(BaseModel):
    features: list[float]


class ScoreResponse(BaseModel):
    probability: float
    model_version: str


@app.post("/score", response_model=ScoreResponse)
async def score(req: ScoreRequest) -> ScoreResponse:
    x = np.asarray(req.features, dtype=np.float32).reshape(1, -1)
    return ScoreResponse(probability=float(predict(x)[0]), model_version="v3.1.0")
