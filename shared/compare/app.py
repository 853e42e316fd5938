"""The page and what it asks of this server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shared.compare.events import Hub
from shared.compare.exchange import CONTENT_TYPES, MAX_COUNT, Comparer, Sent
from shared.compare.guard import TooLarge, read_body
from shared.compare.target import Target, Variant
from shared.compare.watch import Watch

MAX_BODY_BYTES = 512 * 1024
PAGE = "index.html"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Page:
    """What the page is told once.

    Attributes:
        otlp: where the services are to send their traces; None where they are not received.
        started: this server has started the services itself.
    """

    targets: Mapping[Variant, Target]
    otlp: str | None
    started: bool

    def as_json(self) -> dict[str, Any]:
        services = [
            {"variant": t.variant, "label": t.label, "url": t.url, "port": t.port, "local": t.loopback}
            for t in self.targets.values()
        ]
        return {"services": services, "otlp": self.otlp, "started": self.started}


def page_app(page: Page, comparer: Comparer, watch: Watch, hub: Hub) -> Starlette:
    """Routes: the page and its files, `/api/page`, `/api/model`, `/api/events` and `POST /api/send`."""
    assets = _assets()

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params.get("name", PAGE))
        if found is None:
            return Response("no such file\n", 404, media_type="text/plain")
        return Response(found[0], headers={"content-type": found[1]})

    async def about(request: Request) -> Response:
        return JSONResponse(page.as_json())

    async def model(request: Request) -> Response:
        return JSONResponse(watch.model)

    async def events(request: Request) -> Response:
        return StreamingResponse(hub.stream(), media_type="text/event-stream")

    async def send(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":
            return _refusal(415, "send application/json")
        try:
            sent = _parse(await read_body(request, MAX_BODY_BYTES))
        except TooLarge:
            return _refusal(413, f"a request has {MAX_BODY_BYTES} bytes at most")
        except (ValueError, KeyError, TypeError):
            return _refusal(400, "send body, content_type, count and at_once")
        return JSONResponse({"exchanges": await comparer.send(sent)})

    return Starlette(
        routes=[
            Route("/", asset, methods=["GET"]),
            Route("/static/{name}", asset, methods=["GET"]),
            Route("/api/page", about, methods=["GET"]),
            Route("/api/model", model, methods=["GET"]),
            Route("/api/events", events, methods=["GET"]),
            Route("/api/send", send, methods=["POST"]),
        ]
    )


def _parse(content: bytes) -> Sent:
    """Raises ValueError, KeyError or TypeError for anything but what the page sends."""
    match json.loads(content):
        case {"body": str(body), "content_type": str(kind), "count": int(count), "at_once": bool(at_once)}:
            if kind in CONTENT_TYPES and 1 <= count <= MAX_COUNT:
                return Sent(body.encode("utf-8", "surrogatepass"), kind, count, at_once)
    raise ValueError


def _assets() -> dict[str, tuple[bytes, str]]:
    """The static files by name, with their content types: there are few, and no path of a request is ever opened."""
    folder = files("shared.compare") / "static"
    found = {}
    for entry in folder.iterdir():
        kind = TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None:
            found[entry.name] = (entry.read_bytes(), kind)
    return found


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
