"""Of many requests that have come, a few go through the event loop at a time.

A loop reads what all connections have sent before it answers any of it. What belongs to hundreds of requests does not fit into the
caches near the core: they are parsed, scored and answered each time from memory farther away. So where more have come,
those after the first wait as the bytes they are, and go in later turns, in the order in which they came.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from typing import Any

TOGETHER = 64
"""Requests that begin together, at most. Fewer make batches small, more no longer stay in the caches."""

TURNS = 6
"""Of the loop, until those that began together are answered: one is read, queued, joined by others for two turns, scored, written.

What takes longer is waiting for something else than the loop, and holds nobody up.
"""

WAITED = "twinscore.waited"
"""Key in the ASGI scope of a request that had to wait: for how many seconds."""

SURPLUS = "twinscore.surplus"
"""Key in the ASGI scope of a request that came when those that wait had spoken for every slot."""


class Turns:
    """Of one worker process.

    Args:
        full: tells whether one more has no chance of a slot: it begins at once, to be refused.

    Attributes:
        waiting: connections with a request that waits, in the order in which they came.
    """

    def __init__(self, full: Callable[[], bool]) -> None:
        self.waiting: deque[Any] = deque()
        self.full = full
        self._begun = 0

    def enter(self, loop: AbstractEventLoop) -> bool:
        """Whether a request may begin now. It counts as begun."""
        if self._begun >= TOGETHER:
            return False
        self._begun += 1
        if self._begun == 1:
            loop.call_soon(self._next, loop)
        return True

    def wait(self, connection: Any) -> None:
        """Has the `begin` of `connection` called when it may."""
        self.waiting.append(connection)

    def _next(self, loop: AbstractEventLoop) -> None:
        if self._begun >= TOGETHER or self.waiting:
            self._go(loop, TURNS - 1)
        else:
            self._begun = 0

    def _go(self, loop: AbstractEventLoop, turns: int) -> None:
        if turns:
            loop.call_soon(self._go, loop, turns - 1)
            return
        self._begun = 0
        while self.waiting and self._begun < TOGETHER:
            self.waiting.popleft().begin()


def in_turns(limited: Any, turns: Turns) -> Any:
    """A class in place of `limited`, uvicorn's protocol with the limits of `shared.serving.heads`; h11's is left as it is."""
    return _in_turns(limited, turns) if hasattr(limited, "on_message_begin") else limited


def _in_turns(limited: Any, turns: Turns) -> Any:
    class InTurns(limited):  # type: ignore[misc]
        scope: Any
        cycle: Any
        headers: Any
        unread: bytes
        _since = 0.0
        _waited = 0.0
        _surplus = False

        def data_received(self, data: bytes) -> None:
            if self.unread:
                self.unread += data
                self.flow.pause_reading()
            elif self.scope is not None or turns.enter(self.loop) or data.startswith(b"GET "):
                # Of a request that has begun; or one that may; or a probe, which waits for nobody.
                super().data_received(data)
            elif turns.full():
                self._surplus = True
                super().data_received(data)
                self._surplus = False
            else:
                self.unread, self._since = data, time.perf_counter()
                turns.wait(self)

        def begin(self) -> None:
            if self.unread and turns.enter(self.loop):
                self._read()

        def _read(self) -> None:
            data, self.unread = self.unread, b""
            if data and not self.transport.is_closing():
                self._waited = time.perf_counter() - self._since
                self.flow.resume_reading()
                super().data_received(data)
                self._waited = 0.0

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._waited:
                self.scope[WAITED] = self._waited
            elif self._surplus:
                self.scope[SURPLUS] = True

        def on_response_complete(self) -> None:
            super().on_response_complete()
            cycle = self.cycle
            if cycle.response_complete and not cycle.more_body:
                # Let go of while it is in the caches, and not when the connection's next request takes its place.
                self.cycle = None
                if self.scope is cycle.scope:  # and not the next one's, of which a part has come
                    self.scope = self.headers = None

        def eof_received(self) -> Any:
            self._read()
            return super().eof_received()

        def connection_lost(self, exc: Exception | None) -> None:
            self.unread = b""
            super().connection_lost(exc)

        def shutdown(self) -> None:
            self._read()  # what has come is answered before the service stops
            super().shutdown()

        def timeout_keep_alive_handler(self) -> None:
            if not self.unread:
                super().timeout_keep_alive_handler()

    return InTurns
