"""The textbook FastAPI service with one improvement after another, each a switch in BENCH_STEPS."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.contenders.predictors import MODEL_VARIABLE, load
from fastapi_service.batcher import Batcher
from shared.model.package import load_package
from shared.serving.gate import Gate
from shared.serving.health import Health
from shared.serving.inference import Inference
from shared.telemetry.start import Telemetry

STEPS = set(os.environ["BENCH_STEPS"].split(","))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if "eager" in STEPS:
        package = load_package(Path(os.environ[MODEL_VARIABLE]))
        health = Health(Gate(max_in_flight=1024, deadline_seconds=10), hang_seconds=0)
        inference = Inference(package, Telemetry(), health, max_batch_rows=128)
        app.state.batcher = Batcher(inference, Telemetry(), max_batch_rows=128)
    else:
        app.state.predict = load()
    if "frozen" in STEPS:
        gc.collect()
        gc.freeze()
    yield


app = FastAPI(lifespan=lifespan)


class ScoreRequest(BaseModel):
    features: list[float]


class ScoreResponse(BaseModel):
    probability: float
    model_version: str


@app.post("/score", response_model=ScoreResponse)
async def score(req: ScoreRequest) -> ScoreResponse:
    x = np.asarray(req.features, dtype=np.float32).reshape(1, -1)
    probability = await app.state.batcher.predict(x) if "eager" in STEPS else float(app.state.predict(x)[0])
    return ScoreResponse(probability=probability, model_version="v3.1.0")
