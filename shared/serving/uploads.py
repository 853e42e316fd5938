"""How much memory request bodies take that are still on their way."""

from __future__ import annotations

import asyncio
from collections import deque

UPLOAD_BYTES = 64 * 1024 * 1024
"""Of all bodies together that a worker is receiving; those that wait have sent a few hundred kB, and the server reads no more."""

SMALL_BYTES = 64 * 1024
"""What a body may have before it needs room: a server has read as much before anyone is asked."""


class Uploads:
    """Room for bodies, given in the order in which it is asked for.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = UPLOAD_BYTES) -> None:
        self._left = self._limit = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Waits for room for `size` bytes, and returns how many to give back. A body larger than all of it gets it all.

        Who is cancelled meanwhile has taken nothing.
        """
        size = min(size, self._limit)
        if self._waiting or size > self._left:
            turn = (size, asyncio.get_running_loop().create_future())
            self._waiting.append(turn)
            try:
                await turn[1]
            except asyncio.CancelledError:
                if not turn[1].cancelled():
                    self.give(size)
                # It hears of its end a while after that, and may have been passed over meanwhile.
                elif turn in self._waiting:
                    self._waiting.remove(turn)
                    self._next()
                raise
            return size
        self._left -= size
        return size

    def give(self, size: int) -> None:
        """Gives back what was taken."""
        self._left += size
        self._next()

    def _next(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self._left):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._left -= size
                turn.set_result(None)
