"""One kept-open HTTP/1.1 connection to a service, timed from the request's first byte to the answer's last."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import httptools

MAX_REPLY_BYTES = 4 * 1024 * 1024
"""A longer answer is none of the contract's."""


class NoAnswer(Exception):  # noqa: N818 - what happened, not an error of ours
    """The service could not be reached, or did not answer; the message says which in a few words.

    Attributes:
        untouched: not one byte came back, so that the request may be sent again on another connection.
    """

    def __init__(self, message: str, *, untouched: bool = False) -> None:
        super().__init__(message)
        self.untouched = untouched


@dataclass
class Reply:
    """An answer.

    Attributes:
        headers: in order, names in lower case.
        began: seconds since 1970 at which the request was written.
        seconds: from writing the request to reading the last byte of the answer.
        reused: the connection had carried a request before.
    """

    status: int = 0
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    began: float = 0.0
    seconds: float = 0.0
    reused: bool = False

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class Wire(asyncio.Protocol):
    """A connection; one request is under way at most."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._future: asyncio.Future[Reply] | None = None
        self._reply = Reply()
        self._sent = 0.0
        self._received = 0
        self._used = False
        self.reused = False
        """The request under way, or the last one, was not the first."""
        self.open = False

    def send(self, request: bytes) -> asyncio.Future[Reply]:
        """Writes the request at once. The future raises NoAnswer."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._future = asyncio.get_running_loop().create_future()
        self.reused, self._used, self._received = self._used, True, 0
        self._reply = Reply(reused=self.reused, began=time.time())
        self._sent = time.perf_counter()
        self._transport.write(request)
        return self._future

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._future is None or self._future.done() or self._parser is None:
            self.close()  # nobody asked
            return
        self._received += len(data)
        if self._received > MAX_REPLY_BYTES:
            self._fail(NoAnswer(f"answered more than {MAX_REPLY_BYTES} bytes"))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(NoAnswer("answered something that is not HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        what = "closed the connection" + (" in the middle of the answer" if self._received else " without an answer")
        self._fail(NoAnswer(what, untouched=not self._received))

    def on_status(self, status: bytes) -> None:
        self._reply.reason = status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._reply.body += body

    def on_message_complete(self) -> None:
        self._reply.seconds = time.perf_counter() - self._sent
        assert self._parser is not None
        self._reply.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.open = False
        if self._future is not None and not self._future.done():
            self._future.set_result(self._reply)

    def _fail(self, error: NoAnswer) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)
        self.close()
