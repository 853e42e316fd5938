"""What is changed in uvicorn, which runs both services whoever starts it: how it accepts, and how it writes."""

from __future__ import annotations

import functools
from typing import Any

import uvicorn

from shared.serving.accepting import listeners
from shared.serving.writing import joining


def install() -> None:
    """For this process; call it before a server listens.

    In `startup`: a raw `uvicorn` or `bentoml serve` binds sockets and chooses the protocol itself.
    """
    plain = uvicorn.Server.startup
    if hasattr(plain, "__wrapped__"):
        return

    @functools.wraps(plain)
    async def startup(server: uvicorn.Server, sockets: list[Any] | None = None) -> None:
        config = server.config
        if sockets is None and config.fd is None and config.uds is None:
            sockets = [config.bind_socket()]
        config.http_protocol_class = joining(config.http_protocol_class)
        await plain(server, sockets and listeners(sockets))

    uvicorn.Server.startup = startup  # type: ignore[assignment, method-assign]
