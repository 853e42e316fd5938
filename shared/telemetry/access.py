"""The line that is logged for each request. It holds no features, no keys and nothing of the path but its template."""

from __future__ import annotations

import json
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.telemetry.later import Later
from shared.telemetry.logs import Logs, timestamp

if TYPE_CHECKING:
    from shared.telemetry.tracing import RequestSpan

TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")

NO_TRACE: Final = ("null", "null")


class Answered(NamedTuple):
    """What is known of a request that was answered.

    Attributes:
        rows: rows scored; 0 for other requests.
        seconds: from the request's head to the end of the answer.
        status: 0 where the client went away before there was an answer.
        problem: slug of the refusal, or None.
        traceparent: the header the caller sent, or None.
        span: the request's own, where it is traced.
    """

    method: str
    route: str
    status: int
    seconds: float
    problem: str | None
    rows: int
    request_id: str
    traceparent: bytes | None
    span: RequestSpan | None


class AccessLog:
    """Makes the line of each request, and writes them a few times a second."""

    def __init__(self, logs: Logs, model_version: str) -> None:
        self._writer = logs.writer
        self._variant = logs.variant
        self._line = self._json if logs.json else self._text
        self._pending: list[str] = []
        self._later = Later(self._write)
        self._tail = json.dumps({"model_version": model_version, "variant": logs.variant})[1:]
        self._millisecond, self._time = 0, ""

    def note(self, request: Answered) -> None:
        # At once: kept for later, what a request was made of would leave the cache and have to be read anew.
        self._pending.append(self._line(time.time(), request))
        self._later.noted(len(self._pending))

    def flush(self) -> None:
        """Hands over what was noted."""
        self._later.now()

    def _write(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            self._writer.write(text)

    def _json(self, when: float, request: Answered) -> str:
        # Written by hand: of all members only the method can hold what needs escaping, and this runs per request.
        millisecond = int(when * 1000)
        if millisecond != self._millisecond:
            self._millisecond, self._time = millisecond, timestamp(when)
        method, route, status, seconds, problem, rows, request_id, _, _ = request
        before, between = _constant(method, route, status, problem)
        trace, span = _trace_ids(request)
        return (
            f'{{"time": "{self._time}", {before}"request_id": "{request_id}", "trace_id": {trace}, "span_id": {span}, '
            f'{between}"duration_ms": {seconds * 1000:.3f}, "rows": {rows}, {self._tail}\n'
        )

    def _text(self, when: float, request: Answered) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(when))
        method = request.method if request.method.isalpha() else "?"
        return (
            f"{clock} {self._variant:7} {_level(request.status).upper():7} {method} {request.route} "
            f"{request.status} {request.seconds * 1000:.2f} ms rows={request.rows} id={request.request_id}\n"
        )


@lru_cache(maxsize=256)
def _constant(method: str, route: str, status: int, problem: str | None) -> tuple[str, str]:
    """The members that thousands of lines have in common: those before the request's id, and those before its duration."""
    return (
        f'"level": "{_level(status)}", "logger": "twinscore.request", "event": "request", "message": "{route} {status}", ',
        f'"method": {json.dumps(method)}, "route": "{route}", "status": {status}, "problem": {json.dumps(problem)}, ',
    )


def _level(status: int) -> str:
    return "error" if status >= 500 and status != 503 else "info"


def _trace_ids(request: Answered) -> tuple[str, str]:
    """As JSON: of the service's own span; else the caller's trace, where it named one."""
    if request.span is not None:
        context = request.span.context
        return f'"{context.trace_id:032x}"', f'"{context.span_id:016x}"'
    if request.traceparent is None:
        return NO_TRACE
    match = TRACEPARENT.fullmatch(request.traceparent)
    return (f'"{match[1].decode()}"', "null") if match else NO_TRACE
