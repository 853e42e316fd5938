"""A constant load of requests whose every answer is counted and checked. A failed request is never sent again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.reliability.connection import Connection
from shared.reliability.requests import Request, WrongAnswer

CONNECT_AT_ONCE = 100
RECONNECT_SECONDS = 0.05
ANSWER_BYTES = 600


@dataclass(frozen=True)
class Failure:
    """A request that got no answer, a status it should not, or a wrong answer.

    Attributes:
        reason: for people.
        status: of the answer, where there was one.
        request_id: that it was sent with.
        local_port: of the client's end of its connection.
        seconds: when it was sent and when it failed, `time.monotonic`.
        answer: the first bytes of one that was not expected, which tell whose it is.
    """

    reason: str
    status: int | None
    request_id: str
    local_port: int
    seconds: tuple[float, float]
    answer: bytes = b""


@dataclass
class Tally:
    """What became of the requests of a load.

    Attributes:
        sent: all of them.
        good: answered 200, with the right probabilities, under the id they were sent with.
        refused: answered with a status that the load was told to expect, by status.
        failed: all others.
        versions: good answers by the model version in them.
        latencies: seconds of every good answer, where they are kept.
    """

    sent: int = 0
    good: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    failed: list[Failure] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("d"))

    @property
    def answered(self) -> int:
        return self.good + self.refused.total()

    @property
    def in_flight(self) -> int:
        return self.sent - self.answered - len(self.failed)


class Load:
    """A closed loop: each connection sends its next request when the last one is answered.

    Args:
        host, port: of the service or the proxy.
        requests: sent in turn.
        connections: how many are in flight at once.
        pause: seconds that a connection waits before its next request.
        name: makes the request ids of several loads differ.
        keep_latencies: of good answers, in `Tally.latencies`.
        refusals: statuses that are no failure.
    """

    def __init__(
        self,
        host: str,
        port: int,
        requests: Sequence[Request],
        *,
        connections: int,
        pause: float = 0.0,
        name: str = "load",
        keep_latencies: bool = False,
        refusals: frozenset[int] = frozenset(),
    ) -> None:
        self.tally = Tally()
        self._address = (host, port)
        self._requests = itertools.cycle(requests)
        self._connections = connections
        self._pause = pause
        self._name = name
        self._keep_latencies = keep_latencies
        self._refusals = refusals
        self._numbers = itertools.count()
        self._open: dict[Connection, tuple[Request, str, float] | None] = {}
        self._wanted: dict[asyncio.Task[None], None] = {}
        self._stopping = False
        self._idle = asyncio.Event()
        self._new: set[Connection] = set()
        self.answered: Callable[[float, int], None] | None = None
        """Called with each answer: when its request was sent, `time.monotonic`, and its status."""

    @property
    def unanswered(self) -> int:
        """Connections that have not had any answer yet, or are not even there."""
        return len(self._new) + self._connections - len(self._open)

    async def start(self) -> None:
        """Opens the connections, and sends on each as soon as it is open."""
        for begin in range(0, self._connections, CONNECT_AT_ONCE):
            count = min(CONNECT_AT_ONCE, self._connections - begin)
            await asyncio.gather(*(self._connect() for _ in range(count)))

    async def stop(self, timeout: float = 30.0) -> Tally:
        """Sends nothing more, waits for the answers that are due, and counts what is still due then as failed."""
        self._stopping = True
        self._look_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        for task in self._wanted:
            task.cancel()
        for connection in list(self._open):
            connection.reason = f"no answer in {timeout:g} s"
            connection.abort()
        while self._open:
            await asyncio.sleep(0.01)
        return self.tally

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            try:
                _, connection = await loop.create_connection(lambda: Connection(self._done, self._lost), *self._address)
            except OSError:
                # Nothing was sent, so nothing failed: a client that cannot connect tries again.
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            self._open[connection] = None
            self._new.add(connection)
            self._send(connection)
            return

    def _send(self, connection: Connection) -> None:
        if self._stopping or connection not in self._open:
            return
        request = next(self._requests)
        request_id = f"{self._name}-{next(self._numbers)}"
        self._open[connection] = (request, request_id, time.monotonic())
        self.tally.sent += 1
        connection.send(request.content(request_id))

    def _done(self, connection: Connection, status: int, head: bytes, body: bytes) -> None:
        sent = self._open.get(connection)
        if sent is None:
            return
        request, request_id, began = sent
        self._open[connection] = None
        self._new.discard(connection)
        self._judge(request, request_id, connection, began, status, head, body)
        if self.answered is not None:
            self.answered(began, status)
        if self._stopping:
            self._look_idle()
        elif not connection.closing:
            if self._pause:
                asyncio.get_running_loop().call_later(self._pause, self._send, connection)
            else:
                self._send(connection)

    def _judge(
        self,
        request: Request,
        request_id: str,
        connection: Connection,
        began: float,
        status: int,
        head: bytes,
        body: bytes,
    ) -> None:
        now = time.monotonic()
        try:
            if status in self._refusals:
                self.tally.refused[status] += 1
                return
            if status != 200:
                raise WrongAnswer(f"status {status}")
            if b"\r\nx-request-id: " + request_id.encode() + b"\r\n" not in head:
                raise WrongAnswer("the answer to another request")
            self.tally.versions[request.version_of(body)] += 1
        except WrongAnswer as fault:
            answer = (head + body)[:ANSWER_BYTES]
            failure = Failure(str(fault), status, request_id, connection.local_port, (began, now), answer)
            self.tally.failed.append(failure)
            return
        self.tally.good += 1
        if self._keep_latencies:
            self.tally.latencies.append(now - began)

    def _lost(self, connection: Connection, reason: str) -> None:
        sent = self._open.pop(connection, None)
        self._new.discard(connection)
        if sent is not None:
            _, request_id, began = sent
            failure = Failure(reason, None, request_id, connection.local_port, (began, time.monotonic()))
            self.tally.failed.append(failure)
        if self._stopping:
            self._look_idle()
        else:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._wanted[task] = None
            task.add_done_callback(lambda done: self._wanted.pop(done, None))

    def _look_idle(self) -> None:
        if not any(self._open.values()):
            self._idle.set()


async def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Waits until `condition()` holds. Raises TimeoutError, naming `what` did not happen."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not in {seconds:g} s: {what}")
        await asyncio.sleep(0.02)
