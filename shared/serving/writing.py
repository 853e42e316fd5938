"""The head of an answer and its body leave in one write.

uvicorn writes one after the other, and uvloop sends at once what it is given: two system calls and two packets, the first
of which wakes a client that can do nothing with it yet.
"""

from __future__ import annotations

import asyncio
from typing import Any

HEAD = b"HTTP/1.1 "
INTERIM = b"HTTP/1.1 1"
"""An answer before the answer, such as `100 Continue`: the client waits for it."""
REFUSAL = b"HTTP/1.1 429"


class JoiningTransport:
    """A transport that keeps the head of an answer back until something follows it, or until `flush`.

    Everything else is done by the transport it is made for.

    Attributes:
        refused: whether the last answer was 429.
    """

    __slots__ = ("_head", "_write", "is_closing", "plain", "refused")

    def __init__(self, plain: asyncio.Transport) -> None:
        self.plain = plain
        self.is_closing = plain.is_closing
        self._write = plain.write
        self._head = b""
        self.refused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(HEAD) and not data.startswith(INTERIM):
            self._head = data
            self.refused = data.startswith(REFUSAL)
            return
        self._write(data)

    def flush(self) -> None:
        """Sends the head of an answer that has no body."""
        if self._head:
            head, self._head = self._head, b""
            self._write(head)

    def close(self) -> None:
        self.flush()
        self.plain.close()
