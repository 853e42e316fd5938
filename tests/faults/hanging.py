"""Both services with a predictor that never returns for one row: `create_app` for uvicorn, `FraudDetector` for BentoML.

HANG_IN_THREAD=1 makes a single row too slow to be predicted inline.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI

from shared.model import package as packages
from shared.model.package import ModelPackage
from shared.model.predictor import Predictor, Probabilities, Rows
from shared.serving import inference

MARKER = float(os.environ["HANG_MARKER"])
"""A row that begins with it hangs."""


class Hanging:
    def __init__(self, predictor: Predictor) -> None:
        self.backend = predictor.backend
        self._predictor = predictor

    def __call__(self, rows: Rows) -> Probabilities:
        while (rows[:, 0] == MARKER).any():
            time.sleep(1)
        return self._predictor(rows)


def load(directory: Path, backend: str | None = None) -> ModelPackage:
    loaded = original(directory, backend)
    return replace(loaded, predictor=Hanging(loaded.predictor))


original = packages.load_package
packages.load_package = load
if os.environ.get("HANG_IN_THREAD"):
    inference.INLINE_SECONDS = 0.0

if os.environ["HANG_VARIANT"] == "bento":
    from bento_service.service import FraudDetector as FraudDetector


def create_app() -> FastAPI:
    from fastapi_service.app import create_app

    return create_app()
