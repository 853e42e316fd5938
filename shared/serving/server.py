"""What is changed in uvicorn, which runs both services whoever starts it: how it accepts, reads heads, takes turns, writes, waits
after a 429, and closes what is idle."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import uvicorn

from shared.serving.accepting import listeners
from shared.serving.gate import PATIENCE, Gate
from shared.serving.protocol import protocol
from shared.serving.turns import Turns


def install(gate: Gate) -> None:
    """For this process; call it before a server listens. The last call counts.

    In `startup`: a raw `uvicorn` or `bentoml serve` binds sockets and chooses the protocol itself.
    """
    plain = inspect.unwrap(uvicorn.Server.startup)

    @functools.wraps(plain)
    async def startup(server: uvicorn.Server, sockets: list[Any] | None = None) -> None:
        config = server.config
        if sockets is None and config.fd is None and config.uds is None:
            sockets = [config.bind_socket()]
        gate.turns = Turns(gate.deadline_seconds * PATIENCE)
        plain_protocol, seconds = config.http_protocol_class, gate.deadline_seconds
        config.http_protocol_class = protocol(plain_protocol, gate.backpressure, gate.turns, seconds)
        await plain(server, sockets and listeners(sockets))

    uvicorn.Server.startup = startup  # type: ignore[assignment, method-assign]
