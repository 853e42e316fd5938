"""Ray Serve with its dynamic batching, one replica."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import ray
from ray import serve
from starlette.requests import Request

from benchmarks.contenders.predictors import load


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
class Scoring:
    def __init__(self) -> None:
        self.predict_rows = load()

    @serve.batch(max_batch_size=128, batch_wait_timeout_s=0.001)
    async def score(self, rows: list[Any]) -> list[float]:
        return [float(p) for p in self.predict_rows(np.stack(rows))]

    async def __call__(self, request: Request) -> dict[str, float]:
        row = np.asarray((await request.json())["features"], dtype=np.float32)
        return {"probability": await self.score(row)}


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    serve.run(Scoring.bind(), route_prefix="/score")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    serve.shutdown()
    ray.shutdown()
