"""The spans that the two services export over OTLP, kept for the traces that the page began."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from shared.compare.target import Variant
from shared.contract.errors import UserError

MAX_TRACES = 2_000
MAX_BATCHES = 4_000
SERVER, INFERENCE, BATCH = "POST /score", "inference", "batch"
ROWS, QUEUE = "twinscore.batch.rows", "twinscore.queue.seconds"


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Ids are lower-case hexadecimal; `began` and `ended` nanoseconds since 1970.

    Attributes:
        links: trace id and span id of each span linked to.
    """

    trace_id: str
    span_id: str
    name: str
    began: int
    ended: int
    attributes: dict[str, Any]
    links: Sequence[tuple[str, str]]

    def timing(self) -> dict[str, float]:
        """As the page reads it: milliseconds."""
        return {"began": self.began / 1e6, "ms": (self.ended - self.began) / 1e6}


Decode = Callable[[bytes], list[Span]]


def load_decoder() -> Decode:
    """Reads an export request, protobuf to spans; it raises ValueError for what is none.

    Raises:
        UserError: the OpenTelemetry protocol's messages are not installed.
    """
    try:
        messages: Any = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        errors: Any = importlib.import_module("google.protobuf.message")
    except ModuleNotFoundError:
        raise UserError("traces are not shown: install twinscore with the `otlp` extra") from None

    def decode(body: bytes) -> list[Span]:
        try:
            request = messages.ExportTraceServiceRequest.FromString(body)
        except errors.DecodeError:
            raise ValueError("no ExportTraceServiceRequest") from None
        return [
            _span(span) for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]

    return decode


def _span(message: Any) -> Span:
    return Span(
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        name=message.name,
        began=message.start_time_unix_nano,
        ended=message.end_time_unix_nano,
        attributes={item.key: _value(item.value) for item in message.attributes},
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in message.links],
    )


def _value(message: Any) -> Any:
    kind = message.WhichOneof("value")
    return getattr(message, kind) if kind in ("string_value", "bool_value", "int_value", "double_value") else None


class Traces:
    """What has come of the traces that were announced; others are dropped, except batches linked to one of these.

    Args:
        changed: called with the views of traces that got further spans.
    """

    def __init__(self, changed: Callable[[list[dict[str, Any]]], None]) -> None:
        self._changed = changed
        self._traces: OrderedDict[str, tuple[Variant, dict[str, Span]]] = OrderedDict()
        self._batches: OrderedDict[tuple[str, str], Span] = OrderedDict()
        self.seen: set[Variant] = set()
        """The variants that have sent a span of a trace announced here."""

    def expect(self, trace_id: str, variant: Variant) -> None:
        """Announces a trace, before its request is sent."""
        self._traces[trace_id] = variant, {}
        while len(self._traces) > MAX_TRACES:
            self._traces.popitem(last=False)

    def add(self, spans: Iterable[Span]) -> None:
        touched: dict[str, None] = {}
        for span in spans:
            if span.name == BATCH:
                for link in span.links:
                    if link[0] in self._traces:
                        self._batches[link] = span
                        touched[link[0]] = None
            elif span.trace_id in self._traces:
                variant, found = self._traces[span.trace_id]
                found[span.name] = span
                self.seen.add(variant)
                touched[span.trace_id] = None
        while len(self._batches) > MAX_BATCHES:
            self._batches.popitem(last=False)
        if touched:
            self._changed([self._view(trace_id) for trace_id in touched])

    def _view(self, trace_id: str) -> dict[str, Any]:
        variant, spans = self._traces[trace_id]
        view: dict[str, Any] = {"trace_id": trace_id, "variant": variant}
        server, inference = spans.get(SERVER), spans.get(INFERENCE)
        if server is not None:
            view["server"] = server.timing()
        if inference is not None:
            view["inference"] = inference.timing() | {
                "rows": inference.attributes.get(ROWS),
                "queue_ms": _milliseconds(inference.attributes.get(QUEUE)),
            }
            batch = self._batches.get((trace_id, inference.span_id)) or _alone(inference)
            if batch is not None:
                view["batch"] = batch.timing() | {
                    "id": batch.span_id,
                    "trace_id": batch.trace_id,
                    "rows": batch.attributes.get(ROWS, len(batch.links)),
                }
        return view


def _alone(inference: Span) -> Span | None:
    """The batch of a row that was predicted alone, which has no span of its own: what is left of `inference` behind the queue."""
    queued = _milliseconds(inference.attributes.get(QUEUE))
    if inference.attributes.get(ROWS) != 1 or queued is None:
        return None
    return replace(inference, began=inference.began + round(queued * 1e6))


def _milliseconds(seconds: Any) -> float | None:
    return seconds * 1e3 if isinstance(seconds, float | int) and isfinite(seconds) else None
