"""The textbook BentoML service with one improvement after another, each a switch in BENCH_STEPS."""

import gc
import os

import bentoml
import numpy as np

from benchmarks.contenders.predictors import load
from bento_service import dispatcher
from shared.serving.gate import Gate

STEPS = set(os.environ["BENCH_STEPS"].split(","))

if "eager" in STEPS:
    dispatcher.install(Gate(max_in_flight=1024, deadline_seconds=10))


@bentoml.service(traffic={"timeout": 30, "max_concurrency": 64})
class FraudDetector:
    def __init__(self) -> None:
        self.predict = load()
        if "frozen" in STEPS:
            gc.collect()
            gc.freeze()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=128, max_latency_ms=20)
    def score(self, features: np.ndarray) -> np.ndarray:
        return self.predict(features.astype(np.float32))
