"""Work put off from the hot path: done a few times a second, or at once when much has gathered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

FLUSH_SECONDS: Final = 0.05
MAX_PENDING: Final = 4096
"""Notes of one kind kept before they are written out of turn."""


class Later:
    """Calls `flush` at most `FLUSH_SECONDS` after something was noted."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._timer: asyncio.TimerHandle | None = None

    def noted(self, pending: int) -> None:
        """Call after each note, with the number of notes that wait."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._run)
        elif pending > MAX_PENDING:
            self.now()

    def now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._run()

    def _run(self) -> None:
        self._timer = None
        self._flush()
