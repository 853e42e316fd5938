"""LitServe with its dynamic batching."""

import os
from typing import Any

import litserve
import numpy as np

from benchmarks.contenders.predictors import load


class Scoring(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.predict_rows = load()

    def decode_request(self, request) -> Any:  # type: ignore[no-untyped-def]  # LitServe reads the annotation
        return np.asarray(request["features"], dtype=np.float32)

    def predict(self, x: Any) -> Any:
        return self.predict_rows(x)

    def encode_response(self, output: Any) -> dict[str, float]:
        return {"probability": float(output)}


if __name__ == "__main__":
    api = Scoring(max_batch_size=128, batch_timeout=0.001, api_path="/score")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
