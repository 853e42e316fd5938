"""The head of an answer and its body leave together, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from shared.serving.backpressure import Backpressure
from shared.serving.protocol import protocol
from shared.serving.turns import Turns
from shared.serving.writing import JoiningTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


def over_a_socket(test: Callable[[JoiningTransport, socket.socket], Awaitable[None]]) -> None:
    """Runs `test` with a transport and the other end of its connection, which does not block."""

    async def run() -> None:
        near, far = socket.socketpair()
        with far:
            far.setblocking(False)
            plain, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
            await test(JoiningTransport(plain), far)
            plain.abort()

    asyncio.run(run())


def test_a_head_waits_for_its_body() -> None:
    async def test(transport: JoiningTransport, client: socket.socket) -> None:
        for _ in range(2):
            transport.write(HEAD)
            with pytest.raises(BlockingIOError):
                client.recv(1000)
            transport.write(b"{}")
            assert client.recv(1000) == HEAD + b"{}"
        transport.write(b"more")
        assert client.recv(1000) == b"more"

    over_a_socket(test)


def test_an_interim_answer_does_not_wait() -> None:
    async def test(transport: JoiningTransport, client: socket.socket) -> None:
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"

    over_a_socket(test)


@pytest.mark.parametrize("end", ["flush", "close"])
def test_a_head_without_a_body_leaves_in_the_end(end: str) -> None:
    async def test(transport: JoiningTransport, client: socket.socket) -> None:
        transport.write(HEAD)
        getattr(transport, end)()
        assert client.recv(1000) == HEAD

    over_a_socket(test)


class Refusing(asyncio.Protocol):
    """What an upgraded connection is handed to: it refuses, and keeps the connection open."""

    def __init__(self, **options: Any) -> None:
        pass

    def connection_made(self, transport: Any) -> None:
        transport.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_both_of_uvicorns_protocols_answer_every_kind_of_request(http: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A body, none, one in pieces, and an upgrade, which is another protocol's, also while an answer is under way."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/pieces":
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str, end: bytes) -> bytes:
        writer.write(f"{request}\r\nhost: x\r\n\r\n".encode())
        return await asyncio.wait_for(reader.readuntil(end), 5)

    async def run() -> None:
        config = uvicorn.Config(app, http=http, ws=Refusing, lifespan="off", log_config=None)
        config.load()
        config.http_protocol_class = protocol(config.http_protocol_class, Backpressure(), Turns(60), 60)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            serving = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await asked(reader, writer, "GET / HTTP/1.1", b"two\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 200")
            head = await asked(reader, writer, "HEAD / HTTP/1.1", b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            pieces = await asked(reader, writer, "GET /pieces HTTP/1.1", b"two\r\n0\r\n\r\n")
            assert b"3\r\none\r\n3\r\ntwo" in pieces
            refused = await asked(
                reader, writer, "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket", b"\r\n\r\n"
            )
            assert refused.startswith(b"HTTP/1.1 403")
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            request = "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket"
            assert b"HTTP/1.1 403" in await asked(reader, writer, request, b" 403 Forbidden\r\n\r\n")
            writer.close()
            server.should_exit = True
            await asyncio.wait_for(serving, 10)

    asyncio.run(run())
    assert "Exception" not in caplog.text
