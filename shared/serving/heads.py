"""Request heads, where uvicorn and httptools take them otherwise than HTTP has it.

httptools reads what follows a request with `Upgrade` as another protocol. A server that does not speak it has to answer the request
as if nothing had been asked (RFC 9110, 7.8): Java's client and `curl --http2` offer HTTP/2 with every first request. Neither
limits how long a head may be, or may take, and both take trailers for headers (RFC 9110, 6.5.1).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from shared.serving.idle import watched

MAX_HEAD_BYTES = 64 * 1024
MAX_FRAMING_BYTES = 1024 * 1024
"""Of what comes with a body and is not of it: sizes and extensions of chunks, and trailers."""


class _Trailers:
    """In place of the list of headers, once these are complete."""

    def append(self, field: tuple[bytes, bytes]) -> None:
        pass


TRAILERS: Any = _Trailers()


def limited(plain: Any, head_seconds: float) -> Any:
    """A class in place of `plain`, uvicorn's protocol; h11's has a limit of its own for how long a head is.

    Args:
        head_seconds: a connection ends if its first head is not complete so long after it was made, or a later one so long
            after its first byte, or the rest of a body that was answered before it came.
    """
    return _limited(watched(plain), head_seconds) if hasattr(plain, "on_headers_complete") else plain


def _limited(plain: Any, head_seconds: float) -> Any:
    class Limited(plain):  # type: ignore[misc]
        parser: Any
        unread: Sequence[bytes] = ()
        """What has come and waits for its turn: see `shared.serving.turns`."""
        _timer: asyncio.TimerHandle | None = None
        _data = b""
        _again = b""
        _unasked = False
        _bytes = 0
        _body_bytes = 0
        _late = False

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            self._in_time()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            before = self.scope
            while data:
                self._data, self._again, self._body_bytes = data, b"", 0
                super().data_received(data)
                size, data = len(data), self._again
            self._data = b""
            scope, cycle = self.scope, self.cycle
            if scope is not None and ("method" not in scope or (cycle is not None and cycle.more_body)):
                if cycle is not None and cycle.response_complete:
                    # The rest of a body that was refused before it came.
                    self._expect()
                # What came in one read with the end of other requests is not counted.
                self._count(size - self._body_bytes if scope is before else 0)
                return
            self._bytes = 0
            if self._late:
                # The rest of a body that was refused before it came: from here on it is idle, as after any answer.
                self._late = False
                self._in_time()
                self.rest()

        def on_headers_complete(self) -> None:
            self._bytes = 0
            self._late = False
            if self._timer is not None:
                self._in_time()
            if self.parser.should_upgrade():
                self._unasked = self.parser.get_method() != b"CONNECT" and not self._should_upgrade()
                if not self._unasked:
                    super().on_headers_complete()
                return
            super().on_headers_complete()
            self.headers = TRAILERS

        def on_body(self, body: bytes) -> None:
            self._body_bytes += len(body)
            super().on_body(body)

        def on_message_complete(self) -> None:
            if not self._unasked:
                super().on_message_complete()
                if self.cycle is not None and self.cycle.response_complete:
                    # uvicorn leaves it as it was in one that has been answered already.
                    self.cycle.more_body = False
                    self._late = True

        def _unsupported_upgrade_warning(self) -> None:
            # uvicorn calls it when httptools has stopped behind the head, and would leave aside what follows.
            stopped = sys.exception()
            if self._unasked and stopped is not None:
                self._unasked = False
                self._again = self._without_upgrade() + self._data[stopped.args[0] :]
                # One that has read `connection: close` reads nothing more. As uvicorn makes it:
                self.parser = type(self.parser)(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

        def _without_upgrade(self) -> bytes:
            """The head that was just read, as a client would send it that asks for no other protocol."""
            line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
            fields = []
            for name, value in self.headers:
                if name == b"connection":
                    value = b", ".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")
                if name != b"upgrade":
                    # A folded value is one line to whoever reads it.
                    fields.append(b"%b: %b" % (name, b" ".join(value.splitlines())))
            return b"\r\n".join([line, *fields, b"\r\n"])

        def _count(self, size: int) -> None:
            """Of a request that is not complete: how much has come that is not its body."""
            limit = MAX_FRAMING_BYTES
            if "method" not in self.scope:
                limit = MAX_HEAD_BYTES
                self._expect()
            self._bytes += size
            if self._bytes > limit and not self.transport.is_closing():
                self.send_400_response("The request has too much besides its body.")

        def idle(self) -> bool:
            # While the rest of a body comes that was answered already, the timer here is the one that counts.
            return self._timer is None and bool(super().idle())

        def _expect(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(head_seconds, self._too_late)

        def _in_time(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_late(self) -> None:
            self._timer = None
            if self.unread or (self.cycle is not None and not self.cycle.response_complete):
                # It is for the service to read on, or an answer to the request before is still under way.
                self._expect()
            elif not self.transport.is_closing():
                self.transport.close()

    return Limited
