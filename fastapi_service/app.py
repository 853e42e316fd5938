"""The FastAPI application, in the order in which it comes to life; `bento_service/service.py` has the same steps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse

from fastapi_service.batcher import Batcher
from fastapi_service.routing import ScoringRoute
from shared.contract import routes, wire
from shared.contract.errors import NotReady, UserError
from shared.model.locate import latest_package
from shared.model.manifest import read_manifest
from shared.model.package import load_package
from shared.serving.edge import Edge
from shared.serving.gate import Gate
from shared.serving.inference import Inference
from shared.serving.settings import Settings, load_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application, serving one model package.

    Raises:
        UserError: a setting or the model package cannot be used.
    """
    # Settings
    settings = settings or load_settings()
    if settings.batcher == "native":
        raise UserError(
            "TWINSCORE_BATCHER=native: that is BentoML's own dispatcher; FastAPI has eager and off"
        )
    gate = Gate(max_in_flight=settings.max_in_flight, deadline_seconds=settings.deadline_seconds)

    # Model: its manifest fixes the schema now; the lifespan loads and verifies the rest
    directory = settings.model or latest_package()
    manifest = read_manifest(directory)
    ScoreRequest = wire.score_request(len(manifest.features))  # noqa: N806
    BatchScoreRequest = wire.batch_score_request(len(manifest.features))  # noqa: N806

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        package = await asyncio.to_thread(load_package, directory, settings.backend)
        app.state.card = package.card

        # Warm-up
        inference = Inference(package.predictor, package.golden_rows, max_batch_rows=settings.max_batch_rows)
        app.state.inference = inference
        app.state.batcher = Batcher(
            inference, max_batch_rows=settings.max_batch_rows if settings.batcher == "eager" else 1
        )
        gate.open()
        yield

        # Shutdown
        gate.close()
        inference.close()

    app = FastAPI(title="twinscore", lifespan=lifespan, openapi_url=None, redirect_slashes=False)

    # Routes
    app.router.route_class = ScoringRoute

    @app.post(routes.SCORE)
    async def score(request: ScoreRequest) -> wire.ScoreResponse:  # type: ignore[valid-type]
        """The probability that a transaction is fraudulent."""
        row = np.array([request.features], dtype=np.float32)  # type: ignore[attr-defined]
        # Batching
        probability = await app.state.batcher.predict(row)
        return wire.ScoreResponse(probability=probability, model_version=manifest.version)

    @app.post(routes.SCORE_BATCH)
    async def score_batch(request: BatchScoreRequest) -> wire.BatchScoreResponse:  # type: ignore[valid-type]
        """The probabilities of up to 1,024 transactions, in their order."""
        rows = np.array(request.rows, dtype=np.float32)  # type: ignore[attr-defined]
        probabilities = await app.state.inference.predict(rows)
        return wire.BatchScoreResponse(probabilities=probabilities.tolist(), model_version=manifest.version)

    reading = APIRouter()

    @reading.get(routes.MODEL)
    async def model() -> wire.ModelCard:
        """The model card."""
        card: wire.ModelCard = app.state.card
        return card

    @reading.get(routes.LIVEZ, response_class=PlainTextResponse)
    @reading.get(routes.HEALTHZ, response_class=PlainTextResponse)
    async def livez() -> str:
        """The process is up."""
        return "\n"

    @reading.get(routes.READYZ, response_class=PlainTextResponse)
    async def readyz() -> str:
        """The model is loaded, verified and warm, and no drain has begun."""
        if not gate.ready:
            raise NotReady
        return "\n"

    app.include_router(reading)

    app.add_middleware(
        Edge,
        gate=gate,
        routes=routes.ROUTES,
        max_body_bytes=settings.body_limit(len(manifest.features)),
    )
    return app
