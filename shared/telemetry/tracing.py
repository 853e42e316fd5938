"""Traces by OpenTelemetry, configured by its standard OTEL_* variables. With no endpoint set there is no `Tracing`.

Each request has a server span, and each prediction in it a child, `inference`. Where rows of several requests are
predicted together, the batch is a root span of its own, linked to the `inference` span of every request it served: it
belongs to all of them, so it can be the child of none. A row that is predicted alone shares none, and has none.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import Token
from typing import Any, Final, NamedTuple

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBasedTraceIdRatio, Sampler, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared import __version__
from shared.contract import routes
from shared.contract.errors import UserError
from shared.model.manifest import Manifest
from shared.telemetry.access import Answered

UNTRACED: Final = routes.PROBES | {routes.METRICS}
"""Asked every few seconds by machines: their spans would bury the others."""

CLOSE_SECONDS: Final = 3.0
"""How long the end of a service waits for a collector that does not answer."""

SWITCH_SECONDS: Final = 0.0005
"""How long the exporter's thread, which encodes hundreds of spans at a time, may keep the event loop from the interpreter. With
CPython's own 5 ms, the 99th percentile of one connection with every trace was 9.5 ms, not 5 (FastAPI, ten alternating rounds)."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NO_CONTEXT: Final = Context()
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
UNSET: Final = Status(StatusCode.UNSET)
FAILED: Final = Status(StatusCode.ERROR)
SCOPE: Final = InstrumentationScope("twinscore", __version__)

# Spans of one request must agree on the time even when the wall clock is set meanwhile.
_EPOCH: Final = time.time_ns() - time.perf_counter_ns()


def _nanoseconds(seconds: float) -> int:
    """`time.perf_counter` to nanoseconds since the epoch."""
    return _EPOCH + int(seconds * 1e9)


Attributes = dict[str, str | int | float]


class HashedResource(Resource):
    """One whose hash is kept: the exporter asks for it with every span, and OpenTelemetry's own writes JSON each time."""

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
    """

    name: str
    context: SpanContext
    parent: SpanContext | None
    start: float
    attributes: Attributes


class Tracing:
    """The spans of one worker process.

    Args:
        processor: takes the spans that have ended.
        resource: who makes them.
        manifest: of the model that is served.
    """

    def __init__(self, processor: SpanProcessor, resource: Resource, manifest: Manifest) -> None:
        self._resource = HashedResource(resource)
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._sampler = self._provider.sampler
        self._bound = _ratio_bound(self._sampler)
        self._processor, self._ids = processor, RandomIdGenerator()
        self._propagator = TraceContextTextMapPropagator()
        self._model = {"twinscore.model.name": manifest.name, "twinscore.model.version": manifest.version}

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
        if traceparent is None:
            # The sampler would say so too, of most requests, and needs a name and attributes to be asked.
            if trace_id & TraceIdRatioBased.TRACE_ID_LIMIT >= self._bound:
                return None
        else:
            carrier = {"traceparent": traceparent.decode("latin-1")}
            if tracestate is not None:
                carrier["tracestate"] = tracestate.decode("latin-1")
            caller = self._propagator.extract(carrier, NO_CONTEXT)
            found = get_current_span(caller).get_span_context()
            if found.is_valid:
                parent, trace_id = found, found.trace_id
        known = method in METHODS
        name = f"{method} {route}" if known else f"HTTP {route}"
        attributes: Attributes = {
            "http.request.method": method if known else "_OTHER",
            "http.route": route,
            "url.scheme": scope["scheme"],
            "url.path": scope["path"],
        }
        decision = self._sampler.should_sample(caller, trace_id, name, SpanKind.SERVER, attributes)
        if decision.decision is not Decision.RECORD_AND_SAMPLE:
            return None
        context = SpanContext(trace_id, self._ids.generate_span_id(), False, SAMPLED, decision.trace_state)
        return RequestSpan(name, context, parent, start, attributes)

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
        attributes = span.attributes
        attributes["twinscore.request.id"] = request.request_id
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
            *(span.name, span.context, span.parent, attributes, span.start, time.perf_counter()),
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
    ) -> SpanContext:
        """The span of one request's prediction.

        Args:
            parent: the server span of the request.
            queued, start, end: when the rows were ready, and when their prediction began and ended
                (`time.perf_counter`).
            rows: of this request.
            batch_rows: predicted together with them, and they themselves.
            error: why the prediction failed.
        """
        attributes: Attributes = {
            "twinscore.rows": rows,
            "twinscore.batch.rows": batch_rows,
            "twinscore.queue.seconds": start - queued,
        }
        context = SpanContext(parent.trace_id, self._ids.generate_span_id(), False, SAMPLED, parent.trace_state)
        self._emit("inference", context, parent, attributes, queued, end, error=error)
        return context

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
        links = [
            Link(self.inference(parent, queued, start, end, rows=1, batch_rows=rows, error=error))
            for parent, queued in members
        ]
        if links and rows > 1:
            attributes: Attributes = {"twinscore.batch.rows": rows}
            # Recorded because a request in it is: no sampler decides that anew for this root.
            context = SpanContext(self._ids.generate_trace_id(), self._ids.generate_span_id(), False, SAMPLED)
            self._emit("batch", context, None, attributes, start, end, links=links, error=error)

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


def _ratio_bound(sampler: Sampler) -> int:
    """The lower 64 bits of a trace's id must be below it where no caller has decided; 2**64 where all are, or who knows."""
    root = getattr(sampler, "_root", None) if isinstance(sampler, ParentBasedTraceIdRatio) else sampler
    return root.bound if type(root) is TraceIdRatioBased else TraceIdRatioBased.TRACE_ID_LIMIT + 1


def start_tracing(variant: str, manifest: Manifest) -> Tracing:
    """Traces of this process, sent by OTLP. Raises UserError: see `make_exporter`."""
    attributes: dict[str, str] = {
        "service.version": __version__,
        "service.instance.id": f"{os.uname().nodename}:{os.getpid()}",
    }
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name=" not in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        attributes["service.name"] = f"twinscore-{variant}"
    sys.setswitchinterval(SWITCH_SECONDS)
    return Tracing(BatchSpanProcessor(make_exporter()), Resource.create(attributes), manifest)


def make_exporter() -> SpanExporter:
    """By OTLP, over the protocol that the standard variables name.

    Raises:
        UserError: the protocol is unknown, or its exporter is not installed.
    """
    protocol = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    try:
        if protocol == "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter()
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

            return GrpcSpanExporter()
    except ImportError:
        raise UserError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but the exporter for {protocol} is not installed: "
            "pip install 'twinscore[otlp]', or unset it"
        ) from None
    raise UserError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: use http/protobuf or grpc")
