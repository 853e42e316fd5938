"""A client that comes back at once after a 429 is not read until there is room, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from shared.contract.errors import RETRY_AFTER_SECONDS
from shared.serving.backpressure import Backpressure
from shared.serving.gate import Gate
from shared.serving.protocol import protocol
from shared.serving.turns import Turns

REFUSED, TAKEN = b"GET /full HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
SOON = 0.3
HEAD_SECONDS = 60.0


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> int:
        self.writer.write(request)
        return await self.status()

    async def status(self) -> int:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        return int(head.split()[1])


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture(params=["httptools", "h11"])
def serve(request: pytest.FixtureRequest) -> Callable[[Callable[[Connect, Backpressure], Awaitable[None]]], None]:
    """Runs a test beside a server whose path /full answers 429, and every other one 204."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 429 if scope["path"] == "/full" else 204
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    def run(test: Callable[[Connect, Backpressure], Awaitable[None]]) -> None:
        async def main() -> None:
            backpressure = Backpressure()
            config = uvicorn.Config(app, http=request.param, lifespan="off", log_config=None)
            config.load()
            config.http_protocol_class = protocol(config.http_protocol_class, backpressure, Turns(60), HEAD_SECONDS)
            server = uvicorn.Server(config)
            with socket.create_server(("127.0.0.1", 0)) as listener:
                serving = asyncio.create_task(server.serve([listener]))
                clients = []

                async def connect() -> Client:
                    clients.append(Client(*await asyncio.open_connection(*listener.getsockname())))
                    return clients[-1]

                try:
                    await test(connect, backpressure)
                finally:
                    for client in clients:
                        client.writer.close()
                    server.should_exit = True
                    await asyncio.wait_for(serving, 10)

        asyncio.run(main())

    return run


def test_it_waits_as_long_as_it_was_told_and_others_do_not(serve: Any) -> None:
    async def test(connect: Connect, backpressure: Backpressure) -> None:
        client, other = await connect(), await connect()
        assert await client.ask(REFUSED) == 429
        began = time.monotonic()
        client.writer.write(TAKEN)
        assert await other.ask(TAKEN) == 204
        assert time.monotonic() - began < RETRY_AFTER_SECONDS
        assert await client.status() == 204
        assert time.monotonic() - began > 0.9 * RETRY_AFTER_SECONDS
        assert not backpressure.held
        # Nothing is held against it.
        assert await asyncio.wait_for(client.ask(TAKEN), SOON) == 204

    serve(test)


def test_it_is_heard_as_soon_as_there_is_room(serve: Any) -> None:
    async def test(connect: Connect, backpressure: Backpressure) -> None:
        clients = [await connect() for _ in range(3)]
        for client in clients:
            assert await client.ask(REFUSED) == 429
            client.writer.write(TAKEN)
        backpressure.relieve(2)
        for client in clients[:2]:
            assert await asyncio.wait_for(client.status(), SOON) == 204
        assert len(backpressure.held) == 1
        backpressure.relieve(2)
        assert await asyncio.wait_for(clients[2].status(), SOON) == 204

    serve(test)


def test_at_the_end_all_are_heard_and_nobody_is_held_any_more(serve: Any) -> None:
    async def test(connect: Connect, backpressure: Backpressure) -> None:
        client = await connect()
        assert await client.ask(REFUSED) == 429
        client.writer.write(REFUSED)
        backpressure.end()
        assert await asyncio.wait_for(client.status(), SOON) == 429
        assert await asyncio.wait_for(client.ask(TAKEN), SOON) == 204

    serve(test)


def test_one_that_leaves_while_it_is_held_is_forgotten(serve: Any) -> None:
    async def test(connect: Connect, backpressure: Backpressure) -> None:
        client = await connect()
        assert await client.ask(REFUSED) == 429
        assert backpressure.held
        client.writer.transport.abort()
        await asyncio.sleep(1.2 * RETRY_AFTER_SECONDS)
        assert not backpressure.held

    serve(test)


def test_requests_sent_before_the_refusal_was_read_are_answered_at_once(serve: Any) -> None:
    async def test(connect: Connect, backpressure: Backpressure) -> None:
        client = await connect()
        client.writer.write(REFUSED + TAKEN)
        assert await asyncio.wait_for(client.status(), SOON) == 429
        assert await asyncio.wait_for(client.status(), SOON) == 204

    serve(test)


def test_one_that_is_refused_twice_is_held_once(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def test(connect: Connect, backpressure: Backpressure) -> None:
        client = await connect()
        client.writer.write(REFUSED + REFUSED)
        assert [await client.status(), await client.status()] == [429, 429]
        client.writer.write(TAKEN)
        assert await client.status() == 204
        await asyncio.sleep(0.2 * RETRY_AFTER_SECONDS)
        assert not backpressure.held

    serve(test)
    assert "Exception" not in caplog.text


def test_a_gate_relieves_once_a_quarter_of_its_slots_is_free() -> None:
    heard = []

    class Connection:
        def __init__(self, name: str) -> None:
            self.name = name

        def resume(self) -> None:
            heard.append(self.name)

    async def main() -> None:
        gate = Gate(max_in_flight=8, deadline_seconds=1)
        gate.accepting = True
        for _ in range(8):
            gate.admit()
        for name in "abc":
            assert gate.backpressure.hold(Connection(name))
        gate.release()
        assert not heard
        gate.release()
        assert heard == ["a", "b"]
        gate.begin_drain()
        assert heard == ["a", "b", "c"]
        assert not gate.backpressure.hold(Connection("d"))

    asyncio.run(main())
