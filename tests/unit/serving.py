"""An ASGI application on a uvicorn server of this process, whose connections are the services'."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvicorn

from shared.serving.backpressure import Backpressure
from shared.serving.protocol import protocol
from shared.serving.turns import Turns

BACKLOG = 512
HEAD_SECONDS = 60.0


class Serving:
    """A uvicorn server.

    Attributes:
        server: it.
        port: it listens there.
    """

    def __init__(self, server: uvicorn.Server, port: int, done: asyncio.Task[None]) -> None:
        self.server = server
        self.port = port
        self._done = done

    async def end(self) -> None:
        self.server.should_exit = True
        await asyncio.wait_for(self._done, 10)


@contextlib.asynccontextmanager
async def serving(
    app: Any, head_seconds: float = HEAD_SECONDS, turns: Turns | None = None, **options: Any
) -> AsyncIterator[Serving]:
    config = uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, **options)
    config.load()
    config.http_protocol_class = protocol(config.http_protocol_class, Backpressure(), turns or Turns(60), head_seconds)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        found = Serving(server, listener.getsockname()[1], asyncio.create_task(server.serve([listener])))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield found
        finally:
            await found.end()


def request(body: bytes, fields: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b" % (fields, len(body), body)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())
