"""The spans of a service. With no endpoint set there is no `Tracing`: see `shared.telemetry.exporting`.

Each request has a server span, and each prediction in it a child, `inference`. Where rows of several requests are
predicted together, the batch is a root span of its own, linked to the `inference` span of every request it served: it
belongs to all of them, so it can be the child of none. A row that is predicted alone shares none, and has none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import Token
from functools import lru_cache
from typing import Any, Final, NamedTuple

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared import __version__
from shared.contract import routes
from shared.model.manifest import Manifest
from shared.telemetry import encoding
from shared.telemetry.access import Answered
from shared.telemetry.encoding import SAMPLED, Encoder

UNTRACED: Final = routes.PROBES | {routes.METRICS}
"""Asked every few seconds by machines: their spans would bury the others."""

CLOSE_SECONDS: Final = 3.0
"""How long the end of a service waits for a collector that does not answer."""

MAX_PATH_LENGTH: Final = 256
MAX_TRACESTATE_BYTES: Final = 512
"""What W3C Trace Context asks to keep. With both a span stays near a kilobyte, whatever a client sends, and what is sent together
within the 4 MiB that gRPC takes."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NO_CONTEXT: Final = Context()
UNSET: Final = Status(StatusCode.UNSET)
FAILED: Final = Status(StatusCode.ERROR)
SCOPE: Final = InstrumentationScope("twinscore", __version__)

MAX_KINDS: Final = 4096
"""Of spans of which is kept what they have in common: a scored request is one by its number of rows, and so is a batch."""

REQUEST_ID: Final = encoding.text("twinscore.request.id")
QUEUE_SECONDS: Final = encoding.double("twinscore.queue.seconds")

# Spans of one request must agree on the time even when the wall clock is set meanwhile.
_EPOCH: Final = time.time_ns() - time.perf_counter_ns()


def _nanoseconds(seconds: float) -> int:
    """`time.perf_counter` to nanoseconds since the epoch."""
    return _EPOCH + int(seconds * 1e9)


Attributes = dict[str, str | int | float]


class HashedResource(Resource):
    """One whose hash is kept: the exporter asks for it with every span it encodes, and OpenTelemetry's own writes JSON each time."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource.attributes, resource.schema_url)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


class RequestSpan(NamedTuple):
    """The server span of a request that is not over.

    Attributes:
        context: its ids.
        parent: the caller's span, or None.
        start: `time.perf_counter` when it began.
        method: of those that HTTP has; None is another.
        route: the template of the path.
    """

    context: SpanContext
    parent: SpanContext | None
    start: float
    method: str | None
    route: str
    scheme: str
    path: str

    @property
    def name(self) -> str:
        return f"{self.method or 'HTTP'} {self.route}"

    def attributes(self) -> Attributes:
        """Those that are known when it begins."""
        return {
            "http.request.method": self.method or "_OTHER",
            "http.route": self.route,
            "url.scheme": self.scheme,
            "url.path": self.path,
        }


class Tracing:
    """The spans of one worker process.

    Args:
        processor: takes the spans that have ended.
        resource: who makes them.
        manifest: of the model that is served.
        encoder: of those that are the same for every request; None where all are left to the exporter.
    """

    def __init__(
        self, processor: SpanProcessor, resource: Resource, manifest: Manifest, encoder: Encoder | None = None
    ) -> None:
        self._resource = HashedResource(resource)
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._sampler = self._provider.sampler
        self._bound = _root_bound(self._sampler)
        self._processor, self._ids = processor, RandomIdGenerator()
        self._propagator = TraceContextTextMapPropagator()
        self._model = {"twinscore.model.name": manifest.name, "twinscore.model.version": manifest.version}
        self._encoder = encoder
        if encoder is not None:
            self._keep_common(encoder)

    def _keep_common(self, encoder: Encoder) -> None:
        """What the spans that are encoded here have in common, a kind at a time."""

        @lru_cache(MAX_KINDS)
        def scored(method: str | None, route: str, scheme: str, path: str, rows: int, remote: bool) -> bytes:
            span = RequestSpan(encoding.Encoded.context, None, 0, method, route, scheme, path)
            attributes = {**span.attributes(), "http.response.status_code": 200, "twinscore.rows": rows, **self._model}
            return encoder.common(span.name, SpanKind.SERVER, attributes, remote_parent=remote)

        @lru_cache(MAX_KINDS)
        def predicted(rows: int, batch_rows: int) -> bytes:
            return encoder.common("inference", SpanKind.INTERNAL, _of_inference(rows, batch_rows))

        @lru_cache(MAX_KINDS)
        def together(rows: int) -> bytes:
            return encoder.common("batch", SpanKind.INTERNAL, _of_batch(rows))

        self._scored, self._predicted, self._together = scored, predicted, together

    def begin(
        self,
        method: str,
        route: str,
        scope: Mapping[str, Any],
        traceparent: bytes | None,
        tracestate: bytes | None,
        start: float,
    ) -> RequestSpan | None:
        """The server span of a request, or None where it is not traced.

        Args:
            method: as it was sent.
            route: the template of the path.
            scope: the request's, of ASGI.
            traceparent, tracestate: the headers of W3C Trace Context, or None.
            start: when it came (`time.perf_counter`).
        """
        if route in UNTRACED:
            return None
        caller, parent, trace_id = NO_CONTEXT, None, self._ids.generate_trace_id()
        if traceparent is not None:
            carrier = {"traceparent": traceparent.decode("latin-1")}
            if tracestate is not None and len(tracestate) <= MAX_TRACESTATE_BYTES:
                carrier["tracestate"] = tracestate.decode("latin-1")
            caller = self._propagator.extract(carrier, NO_CONTEXT)
            found = get_current_span(caller).get_span_context()
            if found.is_valid:
                parent, trace_id = found, found.trace_id
        elif self._bound is not None and trace_id & TraceIdRatioBased.TRACE_ID_LIMIT >= self._bound:
            return None
        span_id = self._ids.generate_span_id()
        context = SpanContext(trace_id, span_id, False, SAMPLED)
        path = scope["path"][:MAX_PATH_LENGTH]
        span = RequestSpan(
            *(context, parent, start, method if method in METHODS else None, route, scope["scheme"], path)
        )
        if traceparent is None and self._bound is not None:
            return span
        decision = self._sampler.should_sample(caller, trace_id, span.name, SpanKind.SERVER, span.attributes())
        if decision.decision is not Decision.RECORD_AND_SAMPLE:
            return None
        return span._replace(context=SpanContext(trace_id, span_id, False, SAMPLED, decision.trace_state))

    def enter(self, span: RequestSpan) -> Token[Context]:
        """Makes `span` the current one of this task; give the token to `leave`."""
        return attach(set_span_in_context(NonRecordingSpan(span.context), NO_CONTEXT))

    def leave(self, token: Token[Context]) -> None:
        detach(token)

    def current(self) -> SpanContext | None:
        """The server span of the request that this task serves, where it is traced."""
        context = get_current_span().get_span_context()
        return context if context.is_valid else None

    def end(self, span: RequestSpan, request: Answered) -> None:
        """Ends a server span."""
        context, parent, end = span.context, span.parent, time.perf_counter()
        if self._encoder is not None and request.rows and request.status == 200:
            remote = parent is not None and parent.is_remote
            self._emit_encoded(
                self._scored(span.method, span.route, span.scheme, span.path, request.rows, remote),
                *(context.trace_id, context.span_id, 0 if parent is None else parent.span_id),
                *(span.start, end, REQUEST_ID(request.request_id) + encoding.trace_state(context.trace_state)),
            )
            return
        attributes = {**span.attributes(), "twinscore.request.id": request.request_id}
        if request.status:
            attributes["http.response.status_code"] = request.status
        else:
            attributes["error.type"] = "unanswered"  # the client went away
        if request.rows:
            attributes["twinscore.rows"] = request.rows
            attributes.update(self._model)
        if request.problem is not None:
            attributes["error.type"] = request.problem
        self._emit(
            *(span.name, context, parent, attributes, span.start, end),
            kind=SpanKind.SERVER,
            failed=request.status >= 500,
        )

    def inference(
        self,
        parent: SpanContext,
        queued: float,
        start: float,
        end: float,
        *,
        rows: int,
        batch_rows: int,
        error: BaseException | None = None,
    ) -> int:
        """The span of one request's prediction; returns its id.

        Args:
            parent: the server span of the request.
            queued, start, end: when the rows were ready, and when their prediction began and ended
                (`time.perf_counter`).
            rows: of this request.
            batch_rows: predicted together with them, and they themselves.
            error: why the prediction failed.
        """
        span_id = self._ids.generate_span_id()
        if self._encoder is not None and error is None:
            own = QUEUE_SECONDS(start - queued) + encoding.trace_state(parent.trace_state)
            self._emit_encoded(
                self._predicted(rows, batch_rows), parent.trace_id, span_id, parent.span_id, queued, end, own
            )
        else:
            context = SpanContext(parent.trace_id, span_id, False, SAMPLED, parent.trace_state)
            attributes = {**_of_inference(rows, batch_rows), "twinscore.queue.seconds": start - queued}
            self._emit("inference", context, parent, attributes, queued, end, error=error)
        return span_id

    def batch(
        self,
        members: Sequence[tuple[SpanContext, float]],
        rows: int,
        start: float,
        end: float,
        error: BaseException | None = None,
    ) -> None:
        """The spans of single rows that were predicted together: of each, and one of the batch where it holds more than one.

        Args:
            members: the server span of each row's request that is traced, and when the row was queued.
            rows: in all.
            start, end: of the prediction.
            error: why it failed.
        """
        spans = [
            (parent.trace_id, self.inference(parent, queued, start, end, rows=1, batch_rows=rows, error=error))
            for parent, queued in members
        ]
        if not spans or rows == 1:
            return
        # Recorded because a request in it is: no sampler decides that anew for this root.
        trace_id, span_id = self._ids.generate_trace_id(), self._ids.generate_span_id()
        if self._encoder is not None and error is None:
            own = b"".join([encoding.link(*span) for span in spans])
            self._emit_encoded(self._together(rows), trace_id, span_id, 0, start, end, own)
        else:
            links = [Link(SpanContext(*span, False, SAMPLED)) for span in spans]
            context = SpanContext(trace_id, span_id, False, SAMPLED)
            self._emit("batch", context, None, _of_batch(rows), start, end, links=links, error=error)

    def _emit_encoded(
        self, common: bytes, trace_id: int, span_id: int, parent_id: int, start: float, end: float, own: bytes
    ) -> None:
        span: Any = encoding.span(common, trace_id, span_id, parent_id, _nanoseconds(start), _nanoseconds(end), own)
        self._processor.on_end(span)  # a BatchSpanProcessor hands on what it is given

    def _emit(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Attributes,
        start: float,
        end: float,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
        error: BaseException | None = None,
        failed: bool = False,
    ) -> None:
        """Hands over a span that is over already: starting and ending one by the tracer costs five times as much."""
        events: tuple[Event, ...] = ()
        if error is not None:
            cause = error.__cause__ or error
            attributes["error.type"] = type(cause).__name__
            details = {"exception.type": type(cause).__name__, "exception.message": str(cause)}
            events = (Event("exception", details, _nanoseconds(end)),)
        self._processor.on_end(
            ReadableSpan(
                name,
                context=context,
                parent=parent,
                resource=self._resource,
                attributes=attributes,
                events=events,
                links=links,
                kind=kind,
                status=FAILED if failed or error is not None else UNSET,
                start_time=_nanoseconds(start),
                end_time=_nanoseconds(end),
                instrumentation_scope=SCOPE,
            )
        )

    def close(self) -> None:
        """Sends what is left, and gives up after `CLOSE_SECONDS`."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)


def _of_inference(rows: int, batch_rows: int) -> Attributes:
    return {"twinscore.rows": rows, "twinscore.batch.rows": batch_rows}


def _of_batch(rows: int) -> Attributes:
    return {"twinscore.batch.rows": rows}


def _root_bound(sampler: Sampler) -> int | None:
    """Traces that no caller has decided on are sampled if the lower 64 bits of their ids are below it; None: ask the sampler."""
    root = getattr(sampler, "_root", None) if isinstance(sampler, ParentBased) else sampler
    if root is ALWAYS_ON:
        return TraceIdRatioBased.TRACE_ID_LIMIT + 1
    return root.bound if type(root) is TraceIdRatioBased else None
