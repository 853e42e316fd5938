"""The pause between two requests on a connection: how long it may be, and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
import weakref
from itertools import pairwise
from typing import Any

import pytest

from tests.unit.serving import Serving, request, run, serving

KEEP_ALIVE = 1


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Takes as many seconds as the body says."""
    await asyncio.sleep(float((await receive())["body"] or b"0"))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"y"})


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, server: Serving) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    def send(self, text: bytes) -> None:
        self._writer.write(text)

    async def answer(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\ny")
        assert b" 200 " in head

    async def ask(self, seconds: bytes = b"0") -> None:
        self.send(request(seconds))
        await self.answer()

    async def closed(self) -> float:
        """Seconds until the server closes the connection, with nothing more to read."""
        begun = time.monotonic()
        async with asyncio.timeout(10):
            assert await self._reader.read() == b""
        await self.leave()
        return time.monotonic() - begun

    async def leave(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.mark.parametrize("pause", [0.0, 0.6 * KEEP_ALIVE], ids=["at once", "after a pause"])
def test_the_pause_counts_from_the_last_answer(pause: float) -> None:
    async def test() -> None:
        async with serving(app, timeout_keep_alive=KEEP_ALIVE) as server:
            client = await Client.connect(server)
            for _ in range(4):
                await client.ask()
                await asyncio.sleep(pause)
            await client.ask()
            assert KEEP_ALIVE - 0.2 < await client.closed() < KEEP_ALIVE + 1

    run(test)


def test_a_request_that_takes_longer_than_a_pause_may_is_answered_and_the_pause_begins_then() -> None:
    async def test() -> None:
        async with serving(app, timeout_keep_alive=KEEP_ALIVE) as server:
            client = await Client.connect(server)
            await client.ask()
            await client.ask(b"%.1f" % (1.5 * KEEP_ALIVE))
            assert KEEP_ALIVE - 0.2 < await client.closed() < KEEP_ALIVE + 1

    run(test)


def test_requests_behind_each_other_are_answered_in_turn_and_the_pause_begins_after_the_last() -> None:
    async def test() -> None:
        async with serving(app, timeout_keep_alive=KEEP_ALIVE) as server:
            client = await Client.connect(server)
            await client.ask()
            client.send(3 * request(b"%.1f" % (0.6 * KEEP_ALIVE)))
            for _ in range(3):
                await client.answer()
            await client.ask()
            assert KEEP_ALIVE - 0.2 < await client.closed() < KEEP_ALIVE + 1

    run(test)


def test_a_head_that_has_begun_is_no_pause() -> None:
    """It has a limit of its own."""

    async def test() -> None:
        async with serving(app, head_seconds=3 * KEEP_ALIVE, timeout_keep_alive=KEEP_ALIVE) as server:
            client = await Client.connect(server)
            await client.ask()
            text = request(b"0")
            client.send(text[:20])
            await asyncio.sleep(1.5 * KEEP_ALIVE)
            client.send(text[20:])
            await client.answer()
            client.send(text[:20])
            assert await client.closed() > 2 * KEEP_ALIVE

    run(test)


def test_an_empty_line_is_no_request() -> None:
    async def test() -> None:
        async with serving(app, timeout_keep_alive=2 * KEEP_ALIVE) as server:
            client = await Client.connect(server)
            client.send(b"\r\n")
            await client.ask()
            await asyncio.sleep(KEEP_ALIVE)
            client.send(b"\r\n")
            assert await client.closed() < 2 * KEEP_ALIVE

    run(test)


def post(path: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"POST /%b HTTP/1.1" % path, b"host: x", *fields, b"content-length: 10", b"", b"0123456789"])


def chunked(path: bytes) -> bytes:
    head = b"POST /%b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % path
    return head + b"3\r\nabc\r\n0\r\nt: v\r\n\r\n"


def get(path: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"GET /%b HTTP/1.1" % path, b"host: x", *fields, b"", b""])


OFFER = (b"connection: upgrade", b"upgrade: h2c")
PARTS = (
    *(part(path) for part in (post, chunked, get) for path in (b"read", b"early", b"slow")),
    *(post(path, *fields) for path in (b"read", b"early") for fields in (OFFER, (b"expect: 100-continue",))),
    get(b"early", *OFFER),
    get(b"early", b"connection: close"),
    get(b"early").replace(b"1.1", b"1.0"),
    b"\r",
    b"\r\n\r\n",
    b"garbage\r\n\r\n",
    b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
)
CLIENTS = 600


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """With the body, without waiting for it, or late."""
    headers = [(b"content-length", b"1")]
    if scope["path"] == "/read":
        try:
            async with asyncio.timeout(0.3):
                while (await receive()).get("more_body"):
                    pass
        except TimeoutError:
            headers.append((b"connection", b"close"))
    elif scope["path"] == "/slow":
        await asyncio.sleep(1.2 * KEEP_ALIVE)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"y"})


@pytest.mark.parametrize("seed", [1, 2])
def test_wherever_what_a_client_sends_ends_its_connection_does_too(seed: int) -> None:
    """A few requests, cut off somewhere, sent in pieces: an answer that waits for nothing more leaves no connection open."""
    chance = random.Random(seed)

    def cut() -> list[bytes]:
        text = b"".join(chance.choices(PARTS, k=chance.choice((1, 1, 2, 3))))
        text = text[: chance.randint(1, 2 * len(text))]
        ends = sorted(chance.randint(0, len(text)) for _ in range(chance.choice((0, 0, 1, 2))))
        return [text[begin:end] for begin, end in pairwise([0, *ends, len(text)])]

    async def send(server: Serving, pieces: list[bytes], pause: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(pause)
            async with asyncio.timeout(10 * KEEP_ALIVE):
                while await reader.read(1000):
                    pass

    async def test() -> None:
        async with serving(answering, head_seconds=KEEP_ALIVE, timeout_keep_alive=KEEP_ALIVE) as server:
            sent = [(cut(), chance.choice((0, 0.01, 0.3))) for _ in range(CLIENTS)]
            found = await asyncio.gather(*(send(server, *one) for one in sent), return_exceptions=True)
            assert not [pieces for (pieces, _), error in zip(sent, found, strict=True) if error]

    run(test)


def test_however_many_answers_there_is_one_timer_and_none_of_a_connection_that_is_gone() -> None:
    async def test() -> None:
        loop: Any = asyncio.get_running_loop()
        async with serving(app, timeout_keep_alive=60) as server:
            client = await Client.connect(server)
            before = len(loop._scheduled)
            for _ in range(200):
                await client.ask()
            assert len(loop._scheduled) <= before + 5
            (connection,) = server.server.server_state.connections
            gone = weakref.ref(connection)
            del connection
            await client.leave()
            await asyncio.sleep(0.1)
            gc.collect()
            assert gone() is None

    run(test)
