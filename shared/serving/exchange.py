"""One request and its answer: its id, its slot, its deadline, and the form every error goes out in."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from shared.contract.errors import (
    PROBLEM_CONTENT_TYPE,
    DeadlineExceeded,
    InternalError,
    MalformedJSON,
    NotFound,
    NotReady,
    PayloadTooLarge,
    Problem,
    UnsupportedMediaType,
)
from shared.serving.asgi import Message, Receive, Scope, Send
from shared.serving.discard import discard_body
from shared.serving.disconnect import is_disconnect
from shared.serving.gate import Gate
from shared.serving.headers import RequestHeaders
from shared.serving.uploads import SMALL_BYTES
from shared.telemetry.access import Answered

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    from shared.telemetry.tracing import RequestSpan

EXCHANGE = "twinscore"
"""Key of the request's `Exchange` in the ASGI scope."""

CONTENT_TYPE = PROBLEM_CONTENT_TYPE.encode()
BY_STATUS: dict[int, type[Problem]] = {
    404: NotFound,
    415: UnsupportedMediaType,
    503: NotReady,
    504: DeadlineExceeded,
}


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that the edge put into the scope of a request."""
    return cast("Exchange", scope[EXCHANGE])


class Exchange:
    """What the edge and a handler know of one request."""

    __slots__ = (
        "_admitted",
        "_began",
        "_body",
        "_closed",
        "_expired",
        "_gate",
        "_late",
        "_left",
        "_method",
        "_reading",
        "_receive",
        "_refusal",
        "_replacing",
        "_route",
        "_send",
        "_shut",
        "_started",
        "_status",
        "_surplus",
        "_task",
        "_token",
        "_traceparent",
        "_unread",
        "_waited",
        "deadline",
        "problem",
        "request_id",
        "rows",
        "span",
    )

    def __init__(
        self, gate: Gate, request_id: str, receive: Receive, send: Send, *, waited: float = 0.0, surplus: bool = False
    ) -> None:
        # Not the loop's clock: uvloop's ticks in milliseconds.
        self._began = time.perf_counter() - waited
        self.request_id = request_id
        self.problem: Problem | None = None
        """Set by a handler whose framework words exceptions its own way: goes out in place of its error answer."""
        self.rows = 0
        """Rows to score, once the body is valid."""
        self.span: RequestSpan | None = None
        """The server span, where the request is traced."""
        self._token: Token[Context] | None = None
        self._gate = gate
        self._receive = receive
        self._send = send
        self._task = cast("asyncio.Task[None]", asyncio.current_task())
        self._body: bytes | None = b""
        self._reading = False
        self._unread = False
        self._left = False
        self._waited, self._surplus = waited > 0, surplus
        self._admitted = False
        self._started = False
        self._shut = False
        self._status = 0
        self._refusal: str | None = None
        self._expired = False
        self._closed = False
        self._replacing: Problem | None = None
        self._late: asyncio.Future[None] | None = None
        self.deadline = gate.watch(self)

    def begin(self, method: str, route: str, scope: Scope, headers: RequestHeaders) -> None:
        """Tells what the request is; `route` is a template. Its span, where it is traced, becomes the task's current one."""
        self._method, self._route, self._traceparent = method, route, headers.traceparent
        telemetry = self._gate.telemetry
        if telemetry is not None and telemetry.tracing is not None:
            tracing = telemetry.tracing
            self.span = tracing.begin(method, route, scope, headers.traceparent, headers.tracestate, self._began)
            if self.span is not None:
                self._token = tracing.enter(self.span)

    @property
    def identity(self) -> dict[str, str]:
        """What a log line needs to be found by."""
        found = {"request_id": self.request_id}
        if self.span is not None:
            found["trace_id"] = f"{self.span.context.trace_id:032x}"
        return found

    def admit(self, rows: int) -> None:
        """Takes a slot; call it once the body is valid and before anything is predicted.

        Args:
            rows: how many the body holds.

        Raises:
            NotReady, TooManyRequests: see `Gate.admit`.
        """
        self.rows = rows
        self._gate.admit(waited=self._waited, surplus=self._surplus)
        self._admitted = True

    async def read_body(self, limit: int, content_length: int | None) -> None:
        """Raises PayloadTooLarge as soon as more than `limit` bytes are announced or have come.

        Raises MalformedJSON where the client goes away first.
        """
        self._reading = self._unread = True
        if content_length is not None and content_length > limit:
            raise PayloadTooLarge(limit)
        message = await self._receive()
        body = message.get("body", b"")
        if message.get("more_body"):
            taken = 0
            try:
                chunks = bytearray(body)
                while message.get("more_body"):
                    if len(chunks) > limit:
                        raise PayloadTooLarge(limit)
                    if len(chunks) > SMALL_BYTES and not taken:
                        taken = await self._gate.uploads.take(limit if content_length is None else content_length)
                    message = await self._receive()
                    chunks += message.get("body", b"")
                body = bytes(chunks)
            finally:
                self._gate.uploads.give(taken)
        self._unread = False
        if len(body) > limit:
            raise PayloadTooLarge(limit)
        if message["type"] != "http.request":
            # Nobody is left to read this, but BentoML's traffic timeout waits, also at shutdown, for an answer.
            self._left = True
            raise MalformedJSON("The connection ended before the body was complete.")
        self._body = body
        self._reading = False

    async def receive(self) -> Message:
        """The whole body as one message, then what the server has."""
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """What the framework sends: its answers pass, its errors are held back for `finish`."""
        if self._shut:
            return
        if message["type"] == "http.response.start":
            headers = message["headers"]
            if message["status"] >= 400 and (b"content-type", CONTENT_TYPE) not in headers:
                self._replacing = self.problem or BY_STATUS.get(message["status"], InternalError)()
                return
            self._status = message["status"]
            headers = [item for item in headers if item[0] != b"server" and not item[0].startswith(b"x-bentoml")]
            headers.append((b"x-request-id", self.request_id.encode()))
            message["headers"] = headers
        elif self._replacing is not None:
            return
        try:
            await self._send(message)
        except RuntimeError as error:
            if not is_disconnect(error):
                raise
            self._shut = True
        # Only now: a server whose client does not read lets nothing begin.
        self._started = True

    async def _deliver(self, message: Message) -> None:
        try:
            await self._send(message)
        except RuntimeError as error:
            if not is_disconnect(error):
                raise
            self._shut = True

    async def finish(self) -> None:
        """Called when the framework is done: sends the problem that stands for its own error answer."""
        if self._replacing is not None:
            await self.refuse(self._replacing)

    async def refuse(self, problem: Problem) -> None:
        """Answers with `problem` unless an answer has begun, and lets nothing else out."""
        if self._shut or self._started:
            return
        self._shut = True
        # Answered in time: what is still discarded has a limit of its own.
        self._gate.forget(self)
        # Nor does it hold a slot until the client has read that.
        self._release()
        if not self._left:
            self._status, self._refusal = problem.status, problem.slug
        body = problem.document(self.request_id)
        headers = [
            (b"content-type", CONTENT_TYPE),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self.request_id.encode()),
            *((name.encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        if self._reading:
            # The rest of the body stands between this request and the next: the connection ends here.
            headers.append((b"connection", b"close"))
        await self._deliver({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._deliver({"type": "http.response.body", "body": body, "more_body": self._unread})
        if self._unread:
            await discard_body(self._receive)
            await self._deliver({"type": "http.response.body", "body": b"", "more_body": False})

    def expire(self) -> None:
        """Called at the deadline."""
        self._expired = True
        if self._reading or self._started:
            self._task.cancel()
        else:
            self._late = asyncio.ensure_future(self._answer_late())

    async def _answer_late(self) -> None:
        if self._closed:
            return
        # What is cancelled hears of it when this waits. By then the answer is out, unless the client does not read,
        # and frameworks, which answer a cancellation themselves, are shut off.
        self._task.cancel()
        await self.refuse(DeadlineExceeded())

    async def expired_answer(self) -> bool:
        """After a cancellation: whether it was the deadline's. Sees to it that 504 has been answered."""
        if self._expired:
            self._task.uncancel()
            await self.refuse(DeadlineExceeded())
        return self._expired

    async def settle(self) -> None:
        """Waits, when all else is done, for a late answer that a client is slow to read.

        A server that sees its application return without an answer writes one of its own.
        """
        if self._late is not None:
            await self._late

    def leave(self) -> None:
        """Lets go of the server's side, which holds the scope and with it this exchange.

        A cycle would keep all that belongs to the request in memory until the garbage collector comes by.
        """
        self._shut = True
        self._receive, self._send = _gone, _ignore
        del self._task

    def _release(self) -> None:
        if self._admitted:
            self._admitted = False
            self._gate.release()

    def close(self) -> None:
        """Gives everything back, and notes the request."""
        self._closed = True
        gate = self._gate
        gate.forget(self)
        self._release()
        telemetry = gate.telemetry
        if telemetry is not None:
            if self._token is not None and telemetry.tracing is not None:
                telemetry.tracing.leave(self._token)
            seconds = time.perf_counter() - self._began
            telemetry.request(
                Answered(
                    self._method,
                    self._route,
                    self._status,
                    seconds,
                    self._refusal,
                    self.rows,
                    self.request_id,
                    self._traceparent,
                    self.span,
                )
            )


async def _gone() -> Message:
    return {"type": "http.disconnect"}


async def _ignore(message: Message) -> None:
    pass
