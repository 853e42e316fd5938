"""Whether the service takes a request: readiness, requests in flight, and the deadline of each open one."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Protocol

from shared.contract.errors import NotReady, TooManyRequests
from shared.serving.backpressure import Backpressure
from shared.serving.turns import Turns
from shared.serving.uploads import Uploads
from shared.telemetry.logs import event

if TYPE_CHECKING:
    from shared.telemetry.start import Telemetry

MAX_SWEEP_SECONDS = 0.25
"""Deadlines are enforced at this grain, or at a twentieth of the deadline where that is finer."""


YOUNG_OBJECTS = 100_000
"""More than are alive in all requests that can be in flight, so that it takes garbage to start a collection."""

PATIENCE = 0.5
"""Of the deadline. Who would have to wait for longer, until it is begun, is refused."""

ROOM = 0.75
"""Once no more than this share of the slots is taken, and nobody would wait for long, those who were refused are heard again."""


class Expiring(Protocol):
    deadline: float

    def expire(self) -> None: ...


class Gate:
    """One a worker process, shared by its edge and its handlers."""

    def __init__(self, *, max_in_flight: int, deadline_seconds: float) -> None:
        self.ready = False
        """Model loaded, verified and warm, and no drain begun: what `/readyz` tells."""
        self.accepting = False
        """Rows are scored: true from readiness until the drain time is over."""
        self.in_flight = 0
        """Requests admitted and not yet answered."""
        self.telemetry: Telemetry | None = None
        """Of this process; set before the gate opens."""
        self.backpressure = Backpressure()
        """Connections that wait for `ROOM`."""
        self.turns = Turns(deadline_seconds * PATIENCE)
        """Requests that wait to be begun, at the server that started last."""
        self._heard = 0
        self.uploads = Uploads()
        self._draining = False
        self.max_in_flight = max_in_flight
        self._relief = int(max_in_flight * ROOM)
        self.deadline_seconds = deadline_seconds
        # One timer serves all.
        self._open: dict[Expiring, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_seconds = min(MAX_SWEEP_SECONDS, deadline_seconds / 20)

    def open(self) -> None:
        """Call once the model is loaded, verified and warm."""
        # What is loaded by now stays: a full collection over it would hold the loop for tens of milliseconds. One at this
        # point would find next to nothing.
        gc.enable()
        gc.freeze()
        # Requests leave no cycles behind, and what is in flight is no garbage: to look at it gains nothing.
        gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
        self._set_ready(not self._draining)
        self.accepting = True

    def begin_drain(self) -> None:
        """`/readyz` says no from here on; requests are still answered."""
        self._draining = True
        self._set_ready(False)
        self.backpressure.end()
        event("draining", "draining: /readyz is 503, requests are still answered")

    def suspend(self) -> None:
        """The predictor is faulty: `/readyz` says no until `resume`; requests are still tried."""
        self._set_ready(False)

    def resume(self) -> None:
        """The predictor answers right again."""
        self._set_ready(self.accepting and not self._draining)

    def close(self) -> None:
        """Rows are refused from here on; what was noted is written."""
        self._draining = True
        self._set_ready(False)
        self.accepting = False
        event("stopped", "stopped")
        if self.telemetry is not None:
            self.telemetry.close()

    def _set_ready(self, ready: bool) -> None:
        self.ready = ready
        if self.telemetry is not None and self.telemetry.metrics is not None:
            self.telemetry.metrics.ready.set(ready)

    def admit(self, *, waited: bool = False, surplus: bool = False) -> None:
        """Takes a slot for a request whose body is valid; the edge gives it back.

        Args:
            waited: it had to wait for its turn, and may have come before the drain time was over.
            surplus: it would have had to wait for too long.

        Raises:
            NotReady: the model is not ready yet, or the drain time is over.
            TooManyRequests: every slot is taken, or it is `surplus`.
        """
        if not self.accepting and not (waited and self._draining):
            raise NotReady
        if self.in_flight >= self.max_in_flight or surplus:
            raise TooManyRequests
        self.in_flight += 1

    def release(self) -> None:
        self.in_flight -= 1
        if self.backpressure.held and self.in_flight <= self._relief and not self.turns.long:
            self._relieve(self.max_in_flight - self.in_flight - self.turns.waiting - self._heard)

    def _relieve(self, room: int) -> None:
        if room <= 0:
            return
        if not self._heard:
            # What they send is read in the loop's next turn. Others in this one must not call for more.
            asyncio.get_running_loop().call_soon(self._forget_heard)
        self._heard += room
        self.backpressure.relieve(room)

    def _forget_heard(self) -> None:
        self._heard = 0

    def watch(self, request: Expiring) -> float:
        """Expires `request` at its `deadline` unless `forget` comes first. Returns what it is if none was spent (loop time)."""
        loop = asyncio.get_running_loop()
        self._open[request] = None
        if self._timer is None:
            self._timer = loop.call_later(self._sweep_seconds, self._sweep)
        return loop.time() + self.deadline_seconds

    def forget(self, request: Expiring) -> None:
        self._open.pop(request, None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for request in [request for request in self._open if request.deadline <= now]:
            del self._open[request]
            request.expire()
        self._timer = loop.call_later(self._sweep_seconds, self._sweep) if self._open else None
