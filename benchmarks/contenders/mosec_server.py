"""Mosec: a server in Rust that hands batches to a Python worker."""

from __future__ import annotations

from typing import Any

import numpy as np
from mosec import Server, Worker

from benchmarks.contenders.predictors import load


class Scoring(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.predict_rows = load()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, float]]:
        rows = np.asarray([item["features"] for item in data], dtype=np.float32)
        return [{"probability": float(p)} for p in self.predict_rows(rows)]


if __name__ == "__main__":
    server = Server()
    # A millisecond is the shortest wait that Mosec takes.
    server.append_worker(Scoring, num=1, max_batch_size=128, max_wait_time=1)
    server.run()
