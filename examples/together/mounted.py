"""A FastAPI app mounted in a Bento: bentoml serve examples.together.mounted:Payments"""

from collections.abc import Sequence

import bentoml
import numpy as np
from fastapi import Request

from bento_service.store import stored_model
from examples.together.payments import create_app
from shared.model.package import ModelPackage, load_package
from shared.serving.settings import load_settings

stored, directory = stored_model(load_settings().model)
app = create_app()


class LocalScorer:
    """Predicts in this process. Such a call never reaches BentoML's dispatcher: every row is predicted alone."""

    def __init__(self, package: ModelPackage) -> None:
        self._package = package
        self.threshold = package.manifest.decision_threshold or 0.5

    async def score(self, features: Sequence[float | None], request: Request) -> tuple[float, str]:
        row = np.array([features], dtype=np.float32)
        return float(self._package.predictor(row)[0]), self._package.manifest.version

    async def ready(self) -> bool:
        return True


@bentoml.service(name="payments", resources={"cpu": "1"})
@bentoml.asgi_app(app, path="/api")
class Payments:
    """FastAPI's routes under /api, BentoML's own beside them."""

    model = stored

    def __init__(self) -> None:
        self.package = load_package(directory)
        app.state.scorer = LocalScorer(self.package)

    @bentoml.api(batchable=True, max_batch_size=128, max_latency_ms=1000)
    def score(self, features: np.ndarray) -> np.ndarray:
        """Rows of features to their probabilities: BentoML's own route, with its batching."""
        return self.package.predictor(features.astype(np.float32))
