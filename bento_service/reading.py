"""The contract's GET routes that BentoML does not have: a Starlette application mounted in the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shared.contract import DOCS_FOLDER, routes
from shared.telemetry.start import CONTENT_TYPE

if TYPE_CHECKING:
    from shared.telemetry.start import Telemetry

JSON = "application/json"


def reading_routes(openapi_document: bytes) -> Starlette:
    """The application; set `state.card`, the body of `GET /model`, and `state.telemetry` once the model is loaded."""

    async def model(request: Request) -> Response:
        return Response(request.app.state.card, media_type=JSON)

    async def metrics(request: Request) -> Response:
        kept: Telemetry = request.app.state.telemetry
        return Response(await kept.scrape(), headers={"content-type": CONTENT_TYPE})

    async def openapi(request: Request) -> Response:
        return Response(openapi_document, media_type=JSON)

    async def docs(request: Request) -> Response:
        return FileResponse(DOCS_FOLDER / "index.html")

    return Starlette(
        routes=[
            Route(routes.MODEL, model),
            Route(routes.METRICS, metrics),
            Route(routes.OPENAPI, openapi),
            Route(routes.DOCS, docs),
            Mount(routes.DOCS, StaticFiles(directory=DOCS_FOLDER)),
        ]
    )
