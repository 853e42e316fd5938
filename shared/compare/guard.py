"""What stands before every answer of this server: who may ask, how much, and what a browser may do with it.

The server sits on the loopback interface and talks to two services for whoever asks. Pages of other sites must not be
that someone: neither through a name of theirs that resolves to this address (so the Host is checked) nor by sending
requests across (so the Origin is).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
)


class TooLarge(Exception):  # noqa: N818 - what happened, not an error of ours
    """A request body beyond the limit."""


async def read_body(request: Request, limit: int) -> bytes:
    """Raises TooLarge as soon as more than `limit` bytes have come."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge
    return bytes(body)


class Guard:
    """ASGI middleware.

    Args:
        names: host names that may stand in a Host header, besides `localhost` and plain addresses, which no other
            site can bring a browser to mistake for its own.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._names = names | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reason = self._reason(Headers(scope=scope), scope["path"])
        if reason is not None:
            await PlainTextResponse(reason + "\n", 403, dict(SECURITY_HEADERS))(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _reason(self, headers: Headers, path: str) -> str | None:
        """Why the request is refused; None where it is not."""
        host = headers.get("host", "")
        if not self._known(host):
            return "This server answers under its own address only: open the page by its IP address or as localhost."
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "Requests of other sites are refused."
        # A link on another site may lead to the page, but nothing there may call what is behind it.
        if path.startswith("/api/") and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "Requests of other sites are refused."
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
