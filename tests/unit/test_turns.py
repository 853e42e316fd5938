"""Hundreds of requests at once, on real connections of uvicorn: each is answered, and few go through the loop together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from shared.serving.edge import Edge
from shared.serving.exchange import exchange_of
from shared.serving.gate import Gate
from shared.serving.turns import TOGETHER, WAITED
from tests.unit.serving import request, run, serving

CROWD = 4 * TOGETHER


class Application:
    """Answers with the body it was sent, after `steps` turns of the loop.

    Attributes:
        most: requests that were under way at the same time, at most.
        bodies: of all requests, in the order in which they came here.
        waited: what their scopes say of it.
    """

    def __init__(self, steps: int = 3) -> None:
        self._steps = steps
        self._now = 0
        self.most = 0
        self.bodies: list[bytes] = []
        self.waited: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        self.waited.append(scope.get(WAITED, 0.0))
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        for _ in range(self._steps):
            await asyncio.sleep(0)
        length = b"%d" % len(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})
        self._now -= 1


class Crowd:
    """Connections that are all made and idle, so that what they send is there at once."""

    def __init__(self, clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
        self._clients = clients

    @classmethod
    @contextlib.asynccontextmanager
    async def gather(cls, port: int, count: int = CROWD) -> AsyncIterator[Crowd]:
        crowd = cls([await asyncio.open_connection("127.0.0.1", port) for _ in range(count)])
        await asyncio.sleep(0.05)
        try:
            yield crowd
        finally:
            await crowd.leave()

    def send(self, text: Callable[[int], bytes]) -> None:
        """Of the client with each number. Nothing is read before all is sent: the loop has no turn meanwhile."""
        for number, (_, writer) in enumerate(self._clients):
            writer.write(text(number))

    async def read(self) -> list[bytes]:
        """The body of each client's answer, which is 200."""
        answers = [await self._answer(reader) for reader, _ in self._clients]
        assert {status for status, _ in answers} == {200}
        return [body for _, body in answers]

    async def statuses(self) -> list[int]:
        return [(await self._answer(reader))[0] for reader, _ in self._clients]

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            length = next(line for line in head if line.startswith(b"content-length"))
            return int(head[0].split()[1]), await reader.readexactly(int(length.split(b":")[1]))

    def end(self) -> None:
        """Says that nothing more will be sent."""
        for _, writer in self._clients:
            writer.write_eof()

    async def leave(self) -> None:
        for _, writer in self._clients:
            writer.transport.abort()
        await asyncio.gather(*[writer.wait_closed() for _, writer in self._clients], return_exceptions=True)


async def a_turn() -> None:
    """The server has read what was sent, and most of it waits."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def request_of(text: bytes, number: int) -> bytes:
    return request(text)


def body(number: int) -> bytes:
    return b"body %d" % number


def test_a_crowd_is_answered_a_part_at_a_time() -> None:
    async def test() -> None:
        app = Application()
        async with serving(app) as server, Crowd.gather(server.port) as crowd:
            for _ in range(3):
                app.bodies.clear()
                crowd.send(lambda number: request(body(number)))
                assert await crowd.read() == [body(number) for number in range(CROWD)]
                assert sorted(app.bodies) == sorted(body(number) for number in range(CROWD))
            assert TOGETHER // 2 < app.most <= TOGETHER
            assert max(app.waited) > 0
            assert min(app.waited) == 0

    run(test)


def test_those_who_wait_for_something_else_hold_up_nobody() -> None:
    async def test() -> None:
        opened = asyncio.Event()
        begun = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal begun
            begun += 1
            if begun == CROWD:
                opened.set()
            await opened.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            await send({"type": "http.response.body", "body": b"y"})

        async with serving(app) as server, Crowd.gather(server.port) as crowd:
            crowd.send(lambda number: request(b""))
            assert await crowd.read() == [b"y"] * CROWD

    run(test)


def test_what_comes_in_pieces_while_it_waits_is_put_together() -> None:
    async def test() -> None:
        large = b"x" * 3_000_000
        async with serving(Application()) as server, Crowd.gather(server.port) as crowd:
            crowd.send(lambda number: request(large)[:50] if number == CROWD - 1 else request(body(number)))
            await a_turn()
            crowd.send(lambda number: request(large)[50:] if number == CROWD - 1 else request(b"more"))
            first = await crowd.read()
            assert first[:-1] == [body(number) for number in range(CROWD - 1)]
            assert first[-1] == large

    run(test)


def test_who_leaves_while_waiting_is_forgotten_and_the_others_are_answered() -> None:
    async def test() -> None:
        app = Application()
        async with serving(app) as server:
            for _ in range(3):
                async with Crowd.gather(server.port) as leaving, Crowd.gather(server.port) as staying:
                    leaving.send(lambda number: request(b"gone"))
                    staying.send(lambda number: request(body(number)))
                    await leaving.leave()
                    assert await staying.read() == [body(number) for number in range(CROWD)]
            async with Crowd.gather(server.port, 1) as late:
                late.send(lambda number: request(b"late"))
                assert await late.read() == [b"late"]

    run(test)


def test_what_has_come_is_answered_when_the_server_stops() -> None:
    async def test() -> None:
        app = Application(steps=50)

        async def stopping(scope: Any, receive: Any, send: Any) -> None:
            if not app.bodies:
                # In the turn of the first, when all others have come, and most of them wait: what the server does then.
                for connection in list(server.server.server_state.connections):
                    connection.shutdown()
            await app(scope, receive, send)

        async with serving(stopping) as server, Crowd.gather(server.port) as crowd:
            crowd.send(lambda number: request(body(number)))
            assert await crowd.read() == [body(number) for number in range(CROWD)]

    run(test)


def test_no_timer_ends_a_connection_that_waits_for_the_service() -> None:
    """Those of the connection's first head, and of the pause between two requests, are over when its turn comes."""

    async def test() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if (await receive())["body"] == b"slow":
                time.sleep(0.005)  # the loop stands still
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            await send({"type": "http.response.body", "body": b"y"})

        # A slow crowd takes longer than either.
        async with serving(app, head_seconds=0.5, timeout_keep_alive=1) as server:
            for texts in ([b"slow"], [b"quick", b"slow"]):
                async with Crowd.gather(server.port) as crowd:
                    for text in texts:
                        crowd.send(functools.partial(request_of, text))
                        assert await crowd.read() == [b"y"] * CROWD

    run(test)


JSON = b"content-type: application/json\r\n"


def slow(*, deadline_seconds: float, seconds: float) -> tuple[Gate, Edge]:
    """A service with slots enough, whose loop stands still for so long for each request."""
    gate = Gate(max_in_flight=2 * CROWD, deadline_seconds=deadline_seconds)
    gate.accepting = True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        exchange_of(scope).admit(1)
        time.sleep(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"y"})

    return gate, Edge(app, gate=gate, keys=None, routes={"/": frozenset({"POST"})}, max_body_bytes=1000)


def test_where_some_have_waited_for_long_others_are_refused_at_once() -> None:
    """And nobody else is: neither who waits, nor who is no client of the model."""

    async def test() -> None:
        gate, edge = slow(deadline_seconds=0.4, seconds=0.001)
        async with (
            serving(edge, turns=gate.turns) as server,
            Crowd.gather(server.port, 2 * CROWD) as crowd,
            Crowd.gather(server.port, 2) as others,
        ):
            crowd.send(lambda number: request(b"{}", JSON))
            while not gate.turns.long:
                await asyncio.sleep(0)
            others.send(lambda number: request(b"{}", JSON) if number else b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n")
            assert await others.statuses() == [404, 429]
            statuses = Counter(await crowd.statuses())
            assert statuses[429] == 0
            assert statuses[200] > TOGETHER
            assert gate.in_flight == 0

    run(test)


def test_of_a_burst_no_more_wait_than_begin_in_time() -> None:
    async def test() -> None:
        gate, edge = slow(deadline_seconds=3, seconds=0.005)
        async with serving(edge, turns=gate.turns) as server:
            async with Crowd.gather(server.port, 2 * TOGETHER) as few:
                few.send(lambda number: request(b"{}", JSON))
                assert set(await few.statuses()) == {200}
            async with Crowd.gather(server.port, 3 * CROWD) as many:
                many.send(lambda number: request(b"{}", JSON))
                statuses = Counter(await many.statuses())
            assert set(statuses) == {200, 429}
            assert statuses[200] > TOGETHER

    run(test)


def test_of_those_who_were_refused_no_more_are_heard_than_there_is_room() -> None:
    async def test() -> None:
        gate = Gate(max_in_flight=8, deadline_seconds=10)
        gate.accepting = True
        heard: list[int] = []

        class Connection:
            def resume(self) -> None:
                heard.append(1)

        for _ in range(8):
            gate.admit()
        for _ in range(100):
            gate.backpressure.hold(Connection())
        for _ in range(8):
            gate.release()
        assert len(heard) == 8
        await asyncio.sleep(0)
        gate.admit()
        gate.release()
        assert len(heard) == 16
        gate.backpressure.end()

    run(test)


def test_what_is_not_scored_waits_for_nobody() -> None:
    async def test() -> None:
        app = Application()
        last = b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"
        async with serving(app) as server, Crowd.gather(server.port) as crowd:
            crowd.send(lambda number: last if number == CROWD - 1 else request(body(number)))
            await asyncio.sleep(0.1)
            assert app.bodies.index(b"") <= TOGETHER

    run(test)


def test_who_closes_its_half_while_waiting_is_not_begun() -> None:
    async def test() -> None:
        app = Application()
        async with serving(app) as server, Crowd.gather(server.port) as staying, Crowd.gather(server.port) as leaving:
            staying.send(lambda number: request(body(number)))
            leaving.send(lambda number: request(b"gone"))
            leaving.end()
            assert await staying.read() == [body(number) for number in range(CROWD)]
            assert app.most <= TOGETHER
            assert app.bodies.count(b"gone") <= TOGETHER

    run(test)


def test_a_head_without_end_is_refused_though_its_parts_have_waited() -> None:
    async def test() -> None:
        app = Application()
        async with serving(app) as server, Crowd.gather(server.port) as crowd:
            part = b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000
            crowd.send(lambda number: part if number == CROWD - 1 else request(body(number)))
            await a_turn()
            crowd.send(lambda number: b"a: b\r\n" * 11_000 if number == CROWD - 1 else b"")
            assert await crowd.statuses() == [200] * (CROWD - 1) + [400]

    run(test)


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answers before the body has come."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"n"})


@pytest.mark.parametrize("rest", [b"", b"x", b"x" * 10], ids=["nothing", "a part of the body", "all of it"])
def test_an_answer_before_the_body_leaves_no_connection_without_a_timer(rest: bytes) -> None:
    async def test() -> None:
        async with serving(refuse, head_seconds=0.3, timeout_keep_alive=1) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
            assert b"404" in await reader.readuntil(b"\r\n\r\nn")
            writer.write(rest)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()
            assert not server.server.server_state.connections

    run(test)


def test_a_connection_is_kept_alive_after_a_body_that_came_behind_its_answer() -> None:
    async def test() -> None:
        async with serving(refuse, head_seconds=0.3, timeout_keep_alive=5) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(2):
                writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
                assert b"404" in await reader.readuntil(b"\r\n\r\nn")
                writer.write(b"x" * 10)
                await asyncio.sleep(0.6)
            writer.close()

    run(test)


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_request_that_offers_another_protocol_has_waited_too(pieces: int) -> None:
    async def test() -> None:
        app = Application()
        async with serving(app) as server, Crowd.gather(server.port) as crowd:
            text = request(b"x", b"connection: upgrade\r\nupgrade: h2c\r\n")
            crowd.send(lambda number: text if pieces == 1 else text[:30])
            await a_turn()
            if pieces == 2:
                await asyncio.sleep(0.1)
                crowd.send(lambda number: text[30:])
            assert await crowd.read() == [b"x"] * CROWD
            assert sum(waited == 0 for waited in app.waited) <= TOGETHER

    run(test)


def test_a_deadline_is_kept_though_the_request_stands_behind_one_that_has_longer() -> None:
    async def test() -> None:
        gate = Gate(max_in_flight=10, deadline_seconds=1)
        expired: list[str] = []

        class Open:
            def __init__(self, name: str, waited: float) -> None:
                self._name = name
                self.deadline = gate.watch(self) - waited

            def expire(self) -> None:
                expired.append(self._name)

        late = Open("late", 0)
        Open("early", 0.8)
        await asyncio.sleep(0.5)
        assert expired == ["early"]
        gate.forget(late)

    run(test)


def test_an_idle_connection_holds_nothing_of_the_request_before() -> None:
    async def test() -> None:
        async with serving(Application()) as server, Crowd.gather(server.port, 3) as crowd:
            crowd.send(lambda number: request(b"x"))
            await crowd.read()
            await asyncio.sleep(0)
            connections: Any = list(server.server.server_state.connections)
            assert len(connections) == 3
            assert {(found.cycle, found.scope, found.headers) for found in connections} == {(None, None, None)}

    run(test)


def test_a_request_that_waited_past_its_deadline_is_not_begun() -> None:
    async def test() -> None:
        gate = Gate(max_in_flight=1, deadline_seconds=2)
        begun: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            begun.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        edge = Edge(app, gate=gate, keys=None, routes={"/score": frozenset({"POST"})}, max_body_bytes=100)

        async def status(waited: float) -> int:
            sent: list[Any] = []

            async def receive() -> Any:
                return {"type": "http.request", "body": b"{}"}

            async def send(message: Any) -> None:
                sent.append(message)

            headers = [(b"content-type", b"application/json")]
            scope = {"type": "http", "method": "POST", "path": "/score", "headers": headers, WAITED: waited}
            await edge(scope, receive, send)
            return int(sent[0]["status"])

        assert await status(1.9) == 200
        assert await status(2.0) == 504
        assert begun == ["/score"]

    run(test)
