"""A predictor that fails, or a process that stands still, takes no traffic for long."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from shared.serving.gate import Gate
from shared.telemetry.logs import event

MAX_FAULTS = 5
"""Failed predictions in a row after which `/readyz` says no."""

CHECK_SECONDS = 1.0
"""How often a predictor that has failed is tried with rows whose answers are known."""

BEAT_SECONDS = 1.0


class Health:
    """Of one worker's predictor and event loop.

    Args:
        gate: readiness is taken from it, and given back.
        hang_seconds: how long the loop, or a prediction, may stand still before the process ends; 0 never.
    """

    def __init__(self, gate: Gate, hang_seconds: float) -> None:
        self._gate = gate
        self._hang_seconds = hang_seconds
        self._faults = 0
        self._checking: asyncio.Task[None] | None = None
        self._busy_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.check: Callable[[], Awaitable[bool]] | None = None
        """Tries the predictor; set by `Inference`."""

    def succeeded(self) -> None:
        self._faults = 0

    def failed(self) -> int:
        """Notes a failed prediction and returns how many have failed in a row; call it in the event loop."""
        self._faults += 1
        if self._faults >= MAX_FAULTS and self._checking is None and self.check is not None:
            self._gate.suspend()
            event("failed", "%d predictions in a row failed: not ready", self._faults, level=logging.ERROR)
            self._checking = asyncio.ensure_future(self._recover(self.check))
        return self._faults

    async def _recover(self, check: Callable[[], Awaitable[bool]]) -> None:
        try:
            while True:
                await asyncio.sleep(CHECK_SECONDS)
                if await check():
                    break
        finally:
            self._checking = None
        self._faults = 0
        self._gate.resume()
        event("recovered", "the predictor answers again: ready")

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around a prediction, in its own thread: a request that is cancelled leaves the prediction running."""
        self._busy_since = time.monotonic()
        try:
            yield
        finally:
            self._busy_since = None

    def watch(self) -> None:
        """Begins to watch over this process; call it in the event loop.

        A native call that hangs may hold Python's lock, and then no thread of Python's runs. faulthandler's timer is a
        native thread: it writes where every thread stands, and ends the process. Whoever supervises it starts another.
        """
        if self._hang_seconds and self._timer is None:
            self._beat()

    def _beat(self) -> None:
        since = self._busy_since
        beat = min(BEAT_SECONDS, self._hang_seconds / 4)
        left = self._hang_seconds - (0 if since is None else time.monotonic() - since)
        if left > 0:
            # A beat longer: a prediction that ends in time is seen to have ended by the next one.
            faulthandler.dump_traceback_later(left + beat, exit=True)
        self._timer = asyncio.get_running_loop().call_later(beat, self._beat)

    def close(self) -> None:
        """Stops watching."""
        if self._timer is not None:
            self._timer.cancel()
            faulthandler.cancel_dump_traceback_later()
        if self._checking is not None:
            self._checking.cancel()
