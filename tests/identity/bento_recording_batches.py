"""The BentoML service, writing down how many rows each call of its API method `score` gets from the dispatcher."""

import os
from pathlib import Path

import numpy as np

from bento_service.service import FraudDetector

RECORD = Path(os.environ["RECORD_BATCHES"])
score = FraudDetector.apis["score"]
original = score.func


async def recorded(self: object, features: np.ndarray) -> np.ndarray:
    with RECORD.open("a") as file:
        file.write(f"{len(features)}\n")
    result: np.ndarray = await original(self, features)
    return result


score.func = recorded
