"""The BentoML service that articles show, with its adaptive batching."""

import bentoml
import numpy as np

from benchmarks.contenders.predictors import load


@bentoml.service(traffic={"timeout": 30, "max_concurrency": 64})
class FraudDetector:
    def __init__(self) -> None:
        self.predict = load()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=128, max_latency_ms=20)
    def score(self, features: np.ndarray) -> np.ndarray:
        return self.predict(features.astype(np.float32))
