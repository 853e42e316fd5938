"""BentoML's OpenTelemetry middleware, left out.

BentoML cannot be told to do without it. With every URL excluded it makes no span, but still decodes the headers and puts
the URL together for each request, before anything of ours, and fails with 500 where `Host` holds bytes that it cannot read.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.instrumentation import asgi

from shared.serving.asgi import ASGIApp, Receive, Scope, Send


class Passing:
    """ASGI middleware that does nothing."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def install() -> None:
    """Puts it where BentoML, when it builds its application, looks for OpenTelemetry's."""
    asgi.OpenTelemetryMiddleware = Passing  # type: ignore[assignment, misc]
