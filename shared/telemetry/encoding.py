"""The spans of scored requests, put together in the form in which they go over the wire.

OpenTelemetry's encoder makes a protobuf message of each attribute of each span: 22 us a span, where a request takes 110. What
spans of a kind have in common is encoded by it once and kept; behind that come the ids, the times and what else is a span's own,
in any order (https://protobuf.dev/programming-guides/encoding). Other spans, as those of failures and refusals, are left to it.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, TraceFlags, TraceState

# Tags of fields that opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto give: number and type of each.
SPANS = b"\x12"  # of ScopeSpans: 2, with a length
TRACE_ID, SPAN_ID = b"\x0a\x10", b"\x12\x08"  # of Span and of Link: 1 and 2, with their lengths
PARENT = b"\x22\x08"  # of Span: 4, with its length
TRACE_STATE = b"\x1a"  # 3, with a length
START, END = b"\x39", b"\x41"  # 7 and 8, of eight bytes
ATTRIBUTE, LINK = b"\x4a", b"\x6a\x21"  # 9 and 13, with a length
LINK_FLAGS = b"\x35\x00\x01\x00\x00"  # of Link: 6, of four bytes: it is known whether the span is remote, and it is not
KEY, VALUE = b"\x0a", b"\x12"  # of KeyValue: 1 and 2, with a length
TEXT, DOUBLE = b"\x0a", b"\x21"  # of AnyValue: 1, with a length; 4, of eight bytes

TOGETHER = 256
"""Spans that are put into a message in one step."""

Attributes = Mapping[str, str | int | float]

SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Encoded(bytes):
    """A span that needs no more encoding: the field of a `ScopeSpans` that holds it."""

    __slots__ = ()

    context = SpanContext(1, 1, is_remote=False, trace_flags=SAMPLED)
    """Not its own: it tells a `BatchSpanProcessor` that the span is sampled."""


class Encoder:
    """Of the spans of one process.

    Args:
        encode_spans: OpenTelemetry's, for the messages of OTLP.
        resource: who makes the spans.
        scope: what makes them.
    """

    def __init__(
        self, encode_spans: Callable[[Sequence[Any]], Any], resource: Resource, scope: InstrumentationScope
    ) -> None:
        self._encode_spans = encode_spans
        self._resource, self._scope = resource, scope
        self._empty = self._one("", SpanKind.INTERNAL, {}, remote_parent=False)
        del self._empty.resource_spans[0].scope_spans[0].spans[:]

    def _one(self, name: str, kind: SpanKind, attributes: Attributes, *, remote_parent: bool) -> Any:
        span = ReadableSpan(
            *(name, Encoded.context, SpanContext(1, 1, remote_parent), self._resource, attributes),
            kind=kind,
            status=Status(),
            start_time=0,
            end_time=0,
            instrumentation_scope=self._scope,
        )
        return self._encode_spans([span])

    def common(self, name: str, kind: SpanKind, attributes: Attributes, *, remote_parent: bool = False) -> bytes:
        """All of a span but its ids, its times, its links, and attributes that only it has."""
        request = self._one(name, kind, attributes, remote_parent=remote_parent)
        span = request.resource_spans[0].scope_spans[0].spans[0]
        for field in ("trace_id", "span_id", "parent_span_id"):
            span.ClearField(field)
        content: bytes = span.SerializeToString()
        return content

    def encode(self, spans: Sequence[Encoded | ReadableSpan]) -> Any:
        """In place of OpenTelemetry's `encode_spans`: an `ExportTraceServiceRequest`."""
        encoded = [span for span in spans if isinstance(span, Encoded)]
        others = [span for span in spans if not isinstance(span, Encoded)]
        request = type(self._empty)()
        request.CopyFrom(self._encode_spans(others) if others else self._empty)
        scope_spans = request.resource_spans[0].scope_spans[0]
        # A part at a time: meanwhile no other thread has the interpreter.
        for first in range(0, len(encoded), TOGETHER):
            scope_spans.MergeFromString(b"".join(encoded[first : first + TOGETHER]))
        return request


def encoder_for(exporter: SpanExporter, resource: Resource, scope: InstrumentationScope) -> Encoder | None:
    """Has `exporter`, one of OpenTelemetry's for OTLP, take encoded spans too; None where it encodes in another way than known here."""
    module: Any = sys.modules[type(exporter).__module__]
    encode_spans = getattr(module, "encode_spans", None)
    if encode_spans is None:
        return None
    encoder = Encoder(encode_spans, resource, scope)
    module.encode_spans = encoder.encode
    return encoder


def span(common: bytes, trace_id: int, span_id: int, parent_id: int, start: int, end: int, own: bytes) -> Encoded:
    """One span.

    Args:
        common: see `Encoder.common`.
        parent_id: 0 where it has no parent.
        start, end: nanoseconds since the epoch.
        own: what else only it has, from `trace_state`, `link`, `text` and `double`.
    """
    content = b"".join(
        (
            common,
            *(TRACE_ID, trace_id.to_bytes(16, "big"), SPAN_ID, span_id.to_bytes(8, "big")),
            PARENT + parent_id.to_bytes(8, "big") if parent_id else b"",
            *(START, start.to_bytes(8, "little"), END, end.to_bytes(8, "little")),
            own,
        )
    )
    return Encoded(SPANS + _varint(len(content)) + content)


def trace_state(state: TraceState) -> bytes:
    """That of a span."""
    if not state:
        return b""
    content = ",".join([f"{key}={value}" for key, value in state.items()]).encode()
    return TRACE_STATE + _varint(len(content)) + content


def link(trace_id: int, span_id: int) -> bytes:
    """A link to a span of this process."""
    return b"".join((LINK, TRACE_ID, trace_id.to_bytes(16, "big"), SPAN_ID, span_id.to_bytes(8, "big"), LINK_FLAGS))


def text(key: str) -> Callable[[str], bytes]:
    """Encodes values of an attribute."""

    @cache
    def head(length: int) -> bytes:
        value = TEXT + _varint(length)
        value = VALUE + _varint(len(value) + length) + value
        pair = _key(key) + value
        return ATTRIBUTE + _varint(len(pair) + length) + pair

    def encode(value: str) -> bytes:
        content = value.encode()
        return head(len(content)) + content

    return encode


def double(key: str) -> Callable[[float], bytes]:
    """Encodes values of an attribute."""
    pack = struct.Struct("<d").pack
    pair = _key(key) + VALUE + _varint(len(DOUBLE) + 8) + DOUBLE
    head = ATTRIBUTE + _varint(len(pair) + 8) + pair
    return lambda value: head + pack(value)


def _key(key: str) -> bytes:
    return KEY + _varint(len(key.encode())) + key.encode()


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    if number < 1 << 7:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80,)) + _varint(number >> 7)
