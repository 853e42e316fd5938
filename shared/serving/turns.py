"""Of many requests that have come, a few go through the event loop at a time.

A loop reads what all connections have sent before it answers any of it. What belongs to hundreds of requests does not fit into the
caches near the core: they are parsed, scored and answered each time from memory farther away. So where more have come,
those after the first wait as the bytes they are, and go in later turns, in the order in which they came.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Mapping
from typing import Any

TOGETHER = 64
"""Requests that begin together, at most. Fewer make batches small, more no longer stay in the caches."""

TURNS = 6
"""Of the loop, until those that began together are answered: one is read, queued, joined by others, scored, written.

What takes longer, as what waits for a thread does, holds nobody up.
"""

WAITED = "twinscore.waited"
"""Key in the ASGI scope of a request that had to wait: for how many seconds."""

SURPLUS = "twinscore.surplus"
"""Key in the ASGI scope of a request that is to be refused, because it would have had to wait for too long."""

NOTHING: Mapping[str, Any] = {}

SMALL_BYTES = 64 * 1024
"""A connection that waits is read no further once it has sent this much, or a second time."""


class Turns:
    """Of one server.

    Args:
        patience: seconds. Whoever would have to wait for longer does not wait, but begins at once, to be refused: otherwise all of
            too many would wait past their deadlines.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._waiting: deque[Any] = deque()
        self._begun = 0
        self._since = 0.0
        self._pace = 0.0

    def enter(self, loop: AbstractEventLoop) -> bool:
        """Whether a request may begin now. It counts as begun."""
        if self._begun >= TOGETHER:
            return False
        self._begun += 1
        if self._begun == 1:
            self._since = time.perf_counter()
            loop.call_soon(self._next, loop)
        return True

    def wait(self, connection: Any) -> None:
        """Has the `begin` of `connection` called when it may. Its `since` tells when it came (`time.perf_counter`)."""
        self._waiting.append(connection)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def long(self) -> bool:
        """Whether one more would wait for longer than `patience`: by those before it, or by how long the first of them has."""
        if not self._waiting:
            return False
        expected = len(self._waiting) / TOGETHER * self._pace
        so_far: float = time.perf_counter() - self._waiting[0].since
        return max(expected, so_far) > self._patience

    def _next(self, loop: AbstractEventLoop) -> None:
        if self._begun >= TOGETHER or self._waiting:
            self._go(loop, TURNS - 1)
        else:
            self._begun = 0

    def _go(self, loop: AbstractEventLoop, turns: int) -> None:
        if turns:
            loop.call_soon(self._go, loop, turns - 1)
            return
        self._pace = time.perf_counter() - self._since
        self._begun = 0
        while self._waiting and self._begun < TOGETHER:
            self._waiting.popleft().begin()


def in_turns(limited: Any, turns: Turns) -> Any:
    """A class in place of `limited`, uvicorn's protocol with the limits of `shared.serving.heads`; h11's is left as it is."""
    return _in_turns(limited, turns) if hasattr(limited, "on_message_begin") else limited


def _in_turns(limited: Any, turns: Turns) -> Any:
    class InTurns(limited):  # type: ignore[misc]
        scope: Any
        cycle: Any
        headers: Any
        unread: list[bytes]
        since = 0.0
        _marks: Mapping[str, Any] = NOTHING

        def data_received(self, data: bytes) -> None:
            if self.unread:
                self.unread.append(data)
                self.flow.pause_reading()
            elif self.scope is not None or not data.startswith(b"POST ") or turns.enter(self.loop):
                # Of a request that has begun; or none that is scored, as probes are, which wait for nobody; or one that may begin.
                super().data_received(data)
                self._marks = NOTHING
            elif turns.long:
                self._marks = {SURPLUS: True}
                super().data_received(data)
                self._marks = NOTHING
            else:
                self.unread, self.since = [data], time.perf_counter()
                turns.wait(self)
                if len(data) > SMALL_BYTES:
                    self.flow.pause_reading()

        def begin(self) -> None:
            if self.unread and turns.enter(self.loop):
                self._read()

        def _read(self) -> None:
            pieces, self.unread = self.unread, []
            self._marks = {WAITED: time.perf_counter() - self.since}
            self.flow.resume_reading()
            for piece in pieces:
                if self.transport.is_closing():
                    break
                super().data_received(piece)
            self._marks = NOTHING

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._marks:
                self.scope.update(self._marks)

        def _unsupported_upgrade_warning(self) -> None:
            # The head is read once more then, into another scope.
            self._marks = {key: self.scope[key] for key in (WAITED, SURPLUS) if key in self.scope}
            super()._unsupported_upgrade_warning()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._let_go()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._let_go()

        def _let_go(self) -> None:
            """Of a request that is over, while it is in the caches, and not when the connection's next one takes its place."""
            cycle = self.cycle
            if cycle is not None and cycle.response_complete and not cycle.more_body:
                self.cycle = None
                if self.scope is cycle.scope:  # and not the next one's, of which a part has come
                    self.scope = self.headers = None

        def eof_received(self) -> Any:
            self.unread = []  # the connection closes now: nobody would get the answer
            return super().eof_received()

        def connection_lost(self, exc: Exception | None) -> None:
            self.unread = []
            super().connection_lost(exc)

        def shutdown(self) -> None:
            if self.unread:
                self._read()  # what has come is answered before the service stops
            super().shutdown()

        def idle(self) -> bool:
            return not self.unread and bool(super().idle())

    return InTurns
