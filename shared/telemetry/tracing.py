"""Traces by OpenTelemetry, configured by its standard OTEL_* variables. With no endpoint set there is no `Tracing`.

Each request has a server span, and each prediction in it a child, `inference`. Where rows of several requests are
predicted together, the batch is a root span of its own, linked to the `inference` span of every request it served: it
belongs to all of them, so it can be the child of none.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import Token
from typing import Any, Final

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
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

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NO_CONTEXT: Final = Context()

# Spans of one request must agree on the time even when the wall clock is set meanwhile.
_EPOCH: Final = time.time_ns() - time.perf_counter_ns()


def _nanoseconds(seconds: float) -> int:
    """`time.perf_counter` to nanoseconds since the epoch."""
    return _EPOCH + int(seconds * 1e9)


class Tracing:
    """The spans of one worker process.

    Args:
        processor: takes the spans that have ended.
        resource: who makes them.
        manifest: of the model that is served.
    """

    def __init__(self, processor: SpanProcessor, resource: Resource, manifest: Manifest) -> None:
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("twinscore", __version__)
        # A batch is recorded when a request in it is: no sampler may decide that anew for a root span.
        batches = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        batches.add_span_processor(processor)
        self._batch_tracer = batches.get_tracer("twinscore", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._model = {"twinscore.model.name": manifest.name, "twinscore.model.version": manifest.version}

    def begin(
        self,
        method: str,
        route: str,
        scope: Mapping[str, Any],
        traceparent: bytes | None,
        tracestate: bytes | None,
    ) -> Span | None:
        """The server span of a request, or None where it is not traced.

        Args:
            method: as it was sent.
            route: the template of the path.
            scope: the request's, of ASGI.
            traceparent, tracestate: the headers of W3C Trace Context, or None.
        """
        if route in UNTRACED:
            return None
        parent = NO_CONTEXT
        if traceparent is not None:
            carrier = {"traceparent": traceparent.decode("latin-1")}
            if tracestate is not None:
                carrier["tracestate"] = tracestate.decode("latin-1")
            parent = self._propagator.extract(carrier, NO_CONTEXT)
        known = method in METHODS
        span = self._tracer.start_span(
            f"{method} {route}" if known else f"HTTP {route}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method if known else "_OTHER",
                "http.route": route,
                "url.scheme": scope["scheme"],
                "url.path": scope["path"],
            },
        )
        return span if span.is_recording() else None

    def enter(self, span: Span) -> Token[Context]:
        """Makes `span` the current one of this task; give the token to `leave`."""
        return attach(set_span_in_context(span, NO_CONTEXT))

    def leave(self, token: Token[Context]) -> None:
        detach(token)

    def current(self) -> Span | None:
        """The server span of the request that this task serves, where it is recorded."""
        span = get_current_span()
        return span if span.is_recording() else None

    def end(self, span: Span, request: Answered) -> None:
        """Ends a server span."""
        attributes: dict[str, str | int] = {"twinscore.request.id": request.request_id}
        if request.status:
            attributes["http.response.status_code"] = request.status
        else:
            attributes["error.type"] = "unanswered"  # the client went away
        if request.rows:
            attributes |= {"twinscore.rows": request.rows, **self._model}
        if request.problem is not None:
            attributes["error.type"] = request.problem
        span.set_attributes(attributes)
        if request.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def inference(
        self,
        parent: Span,
        queued: float,
        start: float,
        end: float,
        *,
        rows: int,
        batch_rows: int,
        error: BaseException | None = None,
    ) -> Span:
        """The span of one request's prediction.

        Args:
            parent: the server span of the request.
            queued, start, end: when the rows were ready, and when their prediction began and ended
                (`time.perf_counter`).
            rows: of this request.
            batch_rows: predicted together with them, and they themselves.
            error: why the prediction failed.
        """
        span = self._tracer.start_span(
            "inference",
            context=set_span_in_context(parent, NO_CONTEXT),
            start_time=_nanoseconds(queued),
            attributes={
                **self._model,
                "twinscore.rows": rows,
                "twinscore.batch.rows": batch_rows,
                "twinscore.queue.seconds": start - queued,
            },
        )
        _fail(span, error)
        span.end(_nanoseconds(end))
        return span

    def batch(
        self,
        members: Sequence[tuple[Span | None, float]],
        start: float,
        end: float,
        error: BaseException | None = None,
    ) -> None:
        """The spans of single rows that were predicted together.

        Args:
            members: the server span of each row's request, or None, and when the row was queued.
            start, end: of the prediction.
            error: why it failed.
        """
        links = [
            Link(
                self.inference(
                    parent, queued, start, end, rows=1, batch_rows=len(members), error=error
                ).get_span_context()
            )
            for parent, queued in members
            if parent is not None
        ]
        if links:
            span = self._batch_tracer.start_span(
                "batch",
                context=NO_CONTEXT,
                links=links,
                start_time=_nanoseconds(start),
                attributes={**self._model, "twinscore.batch.rows": len(members)},
            )
            _fail(span, error)
            span.end(_nanoseconds(end))

    def close(self) -> None:
        """Sends what is left, and gives up after `CLOSE_SECONDS`."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)


def _fail(span: Span, error: BaseException | None) -> None:
    if error is not None:
        error = error.__cause__ or error
        span.set_attribute("error.type", type(error).__name__)
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR))


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
