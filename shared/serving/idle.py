"""The pause between two requests on a connection, watched by one timer for all of them.

uvicorn makes a timer with each answer, and cancels it with the next request. Here it runs on, and looks when it fires how long the
connection has been idle.
"""

from __future__ import annotations

import asyncio
from typing import Any


def watched(plain: Any) -> Any:
    """A class in place of `plain`, uvicorn's protocol on httptools; it closes idle connections when uvicorn would."""

    class Watched(plain):  # type: ignore[misc]
        scope: Any
        cycle: Any
        timeout_keep_alive_task: asyncio.TimerHandle | None
        _idle_since = 0.0

        def on_response_complete(self) -> None:
            # uvicorn's own would make a timer: but for that it is the same.
            self.server_state.total_requests += 1
            if self.transport.is_closing():
                return
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            else:
                self.rest()

        def rest(self) -> None:
            """From now on the connection is idle."""
            self._idle_since = self.loop.time()
            if self.timeout_keep_alive_task is None:
                self._look_after(self.timeout_keep_alive)

        def idle(self) -> bool:
            """Whether the last request has been answered, and nothing has come of a next one."""
            scope, cycle = self.scope, self.cycle
            if scope is None or cycle is None:
                return scope is None
            return scope is cycle.scope and bool(cycle.response_complete)

        def _look_after(self, seconds: float) -> None:
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

        def timeout_keep_alive_handler(self) -> None:
            self.timeout_keep_alive_task = None
            if self.idle():  # otherwise the next answer sees to it
                left = self._idle_since + self.timeout_keep_alive - self.loop.time()
                if left > 0:
                    self._look_after(left)
                else:
                    super().timeout_keep_alive_handler()

        def _unset_keepalive_if_required(self) -> None:
            """What uvicorn calls with all that comes: the timer runs on, and looks for itself."""

        def connection_lost(self, exc: Exception | None) -> None:
            if self.timeout_keep_alive_task is not None:
                self.timeout_keep_alive_task.cancel()
                self.timeout_keep_alive_task = None
            super().connection_lost(exc)

    return Watched
