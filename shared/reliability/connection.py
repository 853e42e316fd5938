"""One keep-alive connection of a load: a request, its answer, the next request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

Done = Callable[["Connection", int, bytes, bytes], None]
Lost = Callable[["Connection", str], None]

LENGTH = b"\r\ncontent-length:"


class Connection(asyncio.Protocol):
    """Speaks just as much HTTP/1.1 as answers with a content-length need.

    Args:
        done: called with the status, the head in lower case, and the body of each answer.
        lost: called once with the reason when the connection ends, whoever ended it.
    """

    def __init__(self, done: Done, lost: Lost) -> None:
        self._done = done
        self._lost = lost
        self._buffer = bytearray()
        self._head_bytes = 0
        self._body_bytes = 0
        self.transport: asyncio.Transport | None = None
        self.local_port = 0
        self.closing = False
        """The last answer said that the service closes the connection."""
        self.reason = "closed"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are not of asyncio's classes.
        self.transport = cast("asyncio.Transport", transport)
        self.local_port = transport.get_extra_info("sockname")[1]

    def send(self, content: bytes) -> None:
        assert self.transport is not None
        self.transport.write(content)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._head_bytes:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[: end + 2]).lower()
            start = head.find(LENGTH)
            if start < 0 or not head.startswith(b"http/1."):
                self.reason = f"not an answer with a length: {head[:60]!r}"
                self.abort()
                return
            self._head_bytes = end + 4
            self._body_bytes = int(head[start + len(LENGTH) : head.index(b"\r\n", start + 2)])
        if len(self._buffer) < self._head_bytes + self._body_bytes:
            return
        head = bytes(self._buffer[: self._head_bytes]).lower()
        body = bytes(self._buffer[self._head_bytes : self._head_bytes + self._body_bytes])
        del self._buffer[: self._head_bytes + self._body_bytes]
        self._head_bytes = self._body_bytes = 0
        self.closing = b"\r\nconnection: close" in head
        self._done(self, int(head[9:12]), head, body)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(self, self.reason if error is None else type(error).__name__)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
