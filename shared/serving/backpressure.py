"""A client that was refused with 429, and comes back at once, has to wait.

A refusal costs nearly as much as an answer: the body is validated first. Clients that ignore `Retry-After` would take most
of the service with refusals. So after one the connection is not read: until there is room, or `Retry-After` is over.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Protocol

from shared.contract.errors import RETRY_AFTER_SECONDS


class Connection(Protocol):
    def resume(self) -> None:
        """Goes on reading what the client sends."""


class Backpressure:
    """Of one worker process.

    Attributes:
        held: the connections that are not read, and what will resume each; the longest first.
    """

    def __init__(self) -> None:
        self.held: dict[Connection, asyncio.TimerHandle] = {}
        self._ended = False

    def hold(self, connection: Connection) -> bool:
        """Has `connection` resumed later. False where it must be read on, because nobody is held any more."""
        if self._ended:
            return False
        self.forget(connection)  # refused twice: it had sent the second request before it was held
        loop = asyncio.get_running_loop()
        self.held[connection] = loop.call_later(RETRY_AFTER_SECONDS, self._resume, connection)
        return True

    def relieve(self, slots: int) -> None:
        """Resumes so many, those that have waited longest first."""
        for connection in list(islice(self.held, slots)):
            self.held[connection].cancel()
            self._resume(connection)

    def end(self) -> None:
        """Resumes all, for good: what they have sent is answered before the service stops."""
        self._ended = True
        self.relieve(len(self.held))

    def forget(self, connection: Connection) -> None:
        """The connection is closed, or held anew."""
        timer = self.held.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _resume(self, connection: Connection) -> None:
        del self.held[connection]
        connection.resume()
