"""The line that is logged for each request. It holds no features, no keys and nothing of the path but its template."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.telemetry.later import Later
from shared.telemetry.logs import Logs, timestamp

if TYPE_CHECKING:
    from shared.telemetry.tracing import RequestSpan

TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


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
    """Notes requests and writes their lines a few times a second."""

    def __init__(self, logs: Logs, model_version: str) -> None:
        self._logs = logs
        self._pending: list[tuple[float, Answered]] = []
        self._later = Later(self._write)
        self._tail = json.dumps({"model_version": model_version, "variant": logs.variant})[1:]

    def note(self, request: Answered) -> None:
        self._pending.append((time.time(), request))
        self._later.noted(len(self._pending))

    def flush(self) -> None:
        """Hands over what was noted."""
        self._later.now()

    def _write(self) -> None:
        if self._pending:
            line = self._json if self._logs.json else self._text
            text = "".join([line(when, request) for when, request in self._pending])
            self._pending.clear()
            self._logs.writer.write(text)

    def _json(self, when: float, request: Answered) -> str:
        # Written by hand: of all members only the method can hold what needs escaping, and this runs per request.
        trace, span = _trace_ids(request)
        problem = f'"{request.problem}"' if request.problem else "null"
        return (
            f'{{"time": "{timestamp(when)}", "level": "{_level(request.status)}", "logger": "twinscore.request", '
            f'"event": "request", "message": "{request.route} {request.status}", "request_id": "{request.request_id}", '
            f'"trace_id": {trace}, "span_id": {span}, "method": {json.dumps(request.method)}, '
            f'"route": "{request.route}", "status": {request.status}, "problem": {problem}, '
            f'"duration_ms": {request.seconds * 1000:.3f}, "rows": {request.rows}, {self._tail}\n'
        )

    def _text(self, when: float, request: Answered) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(when))
        method = request.method if request.method.isalpha() else "?"
        return (
            f"{clock} {self._logs.variant:7} {_level(request.status).upper():7} {method} {request.route} "
            f"{request.status} {request.seconds * 1000:.2f} ms rows={request.rows} id={request.request_id}\n"
        )


def _level(status: int) -> str:
    return "error" if status >= 500 and status != 503 else "info"


def _trace_ids(request: Answered) -> tuple[str, str]:
    """As JSON: of the service's own span; else the caller's trace, where it named one."""
    if request.span is not None:
        context = request.span.context
        return f'"{context.trace_id:032x}"', f'"{context.span_id:016x}"'
    match = TRACEPARENT.fullmatch(request.traceparent) if request.traceparent else None
    return (f'"{match[1].decode()}"', "null") if match else ("null", "null")
