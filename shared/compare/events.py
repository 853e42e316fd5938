"""What the open pages are told as it happens: server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

MAX_WAITING = 1_000
"""Events a page may be behind; it is then cut off, connects again and gets everything as it stands."""

IDLE_SECONDS = 15.0


class Hub:
    """Every page that is open, and the last event of each kind that a page coming later must know."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[bytes | None]] = set()
        self._last: dict[str, bytes] = {}

    def tell(self, event: str, data: Any, *, keep: bool = False) -> None:
        """Sends an event to all; one that is kept also goes to pages that connect later, until the next of its kind."""
        line = f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
        if keep:
            if self._last.get(event) == line:
                return
            self._last[event] = line
        for page in list(self._pages):
            try:
                page.put_nowait(line)
            except asyncio.QueueFull:
                self._pages.discard(page)

    def close(self) -> None:
        """Ends every stream."""
        for page in self._pages:
            while page.full():
                page.get_nowait()
            page.put_nowait(None)
        self._pages.clear()

    async def stream(self) -> AsyncIterator[bytes]:
        """The events for one page, until it or the server goes."""
        page: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._pages.add(page)
        try:
            yield b"retry: 1000\n\n"
            for line in list(self._last.values()):
                yield line
            while page in self._pages or not page.empty():
                try:
                    line_or_end = await asyncio.wait_for(page.get(), IDLE_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if line_or_end is None:
                    return
                yield line_or_end
        finally:
            self._pages.discard(page)
