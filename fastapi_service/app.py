"""The FastAPI application, in the order in which it comes to life; `bento_service/service.py` has the same steps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles

from fastapi_service.batcher import Batcher
from fastapi_service.routing import ScoringRoute
from shared.contract import DOCS_FOLDER, openapi, routes, wire
from shared.contract.errors import NotReady, UserError
from shared.model.locate import latest_package
from shared.model.manifest import read_manifest
from shared.model.package import load_package
from shared.serving import server
from shared.serving.drain import Drain
from shared.serving.edge import Edge
from shared.serving.gate import Gate
from shared.serving.health import Health
from shared.serving.inference import Inference
from shared.serving.observe import observe
from shared.serving.settings import Settings, load_settings
from shared.telemetry.logs import Logs
from shared.telemetry.start import CONTENT_TYPE

if TYPE_CHECKING:
    from shared.telemetry.start import Telemetry


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application, serving one model package.

    Raises:
        UserError: a setting or the model package cannot be used.
    """
    # Settings
    settings = settings or load_settings()
    logs = Logs("fastapi", settings.log_format)
    logs.install()
    if settings.batcher == "native":
        raise UserError("TWINSCORE_BATCHER=native: that is BentoML's own dispatcher; FastAPI has eager and off")
    gate = Gate(max_in_flight=settings.max_in_flight, deadline_seconds=settings.deadline_seconds)
    server.install(gate)

    # Model: its manifest fixes the schema now; the lifespan loads and verifies the rest
    directory = settings.model or latest_package()
    manifest = read_manifest(directory)
    ScoreRequest = wire.score_request(len(manifest.features))  # noqa: N806
    BatchScoreRequest = wire.batch_score_request(len(manifest.features))  # noqa: N806

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        Drain(gate, settings.drain_seconds).install()
        package = await asyncio.to_thread(load_package, directory, settings.backend)
        app.state.card = package.card
        app.state.telemetry = telemetry = observe(gate, package, settings, logs)

        # Warm-up
        health = Health(gate, settings.hang_seconds)
        inference = Inference(package, telemetry, health, max_batch_rows=settings.max_batch_rows)
        app.state.inference = inference
        batch_rows = settings.max_batch_rows if settings.batcher == "eager" else 1
        app.state.batcher = Batcher(inference, telemetry, max_batch_rows=batch_rows)
        gate.open()
        telemetry.ready(package, inference.slice_rows)
        health.watch()
        yield

        # Shutdown
        # The watchdog last: a prediction that hangs would hold this too.
        inference.close()
        health.close()
        gate.close()

    app = FastAPI(
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        version=openapi.CONTRACT_VERSION,
        lifespan=lifespan,
        openapi_url=None,
        # Ours are the same in both variants; FastAPI's would look for a provider on every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )

    # Routes
    described = openapi.operations(len(manifest.features), manifest.example)
    app.router.route_class = ScoringRoute

    @app.post(routes.SCORE, **described[routes.SCORE].options)
    async def score(request: ScoreRequest) -> wire.ScoreResponse:  # type: ignore[valid-type]
        """The probability that a transaction is fraudulent."""
        row = np.array([request.features], dtype=np.float32)  # type: ignore[attr-defined]
        # Thousands of small objects, were they kept while the batch is predicted.
        del request
        # Batching
        probability = await app.state.batcher.predict(row)
        return wire.ScoreResponse(probability=probability, model_version=manifest.version)

    @app.post(routes.SCORE_BATCH, **described[routes.SCORE_BATCH].options)
    async def score_batch(request: BatchScoreRequest) -> wire.BatchScoreResponse:  # type: ignore[valid-type]
        """The probabilities of up to 1,024 transactions, in their order."""
        rows = np.array(request.rows, dtype=np.float32)  # type: ignore[attr-defined]
        probabilities = await app.state.inference.predict(rows)
        return wire.BatchScoreResponse(probabilities=probabilities.tolist(), model_version=manifest.version)

    reading = APIRouter()

    @reading.get(routes.MODEL, **described[routes.MODEL].options)
    async def model() -> wire.ModelCard:
        """The model card."""
        card: wire.ModelCard = app.state.card
        return card

    @reading.get(routes.LIVEZ, response_class=PlainTextResponse, **described[routes.LIVEZ].options)
    @reading.get(routes.HEALTHZ, response_class=PlainTextResponse, **described[routes.HEALTHZ].options)
    async def livez() -> str:
        """The process is up."""
        return "\n"

    @reading.get(routes.READYZ, response_class=PlainTextResponse, **described[routes.READYZ].options)
    async def readyz() -> str:
        """The model is loaded, verified and warm, and no drain has begun."""
        if not gate.ready:
            raise NotReady
        return "\n"

    @reading.get(routes.METRICS, response_class=PlainTextResponse, **described[routes.METRICS].options)
    async def metrics() -> Response:
        """Prometheus metrics, all workers summed."""
        kept: Telemetry = app.state.telemetry
        return Response(await kept.scrape(), headers={"content-type": CONTENT_TYPE})

    @reading.get(routes.OPENAPI, include_in_schema=False)
    async def openapi_document() -> Response:
        """What FastAPI generates from the routes above, its members sorted."""
        return Response(openapi.render(app.openapi()), media_type="application/json")

    @reading.get(routes.DOCS, include_in_schema=False)
    async def docs() -> FileResponse:
        """A page that renders the OpenAPI document."""
        return FileResponse(DOCS_FOLDER / "index.html")

    app.include_router(reading)
    app.mount(routes.DOCS, StaticFiles(directory=DOCS_FOLDER))

    app.add_middleware(
        Edge,
        gate=gate,
        keys=settings.api_keys(),
        routes=routes.ROUTES,
        prefixes=(routes.DOCS_FILES,),
        max_body_bytes=settings.body_limit(len(manifest.features)),
    )
    return app
