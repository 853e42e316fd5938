"""Spans that are encoded here say what the same spans say that OpenTelemetry encodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_exporter
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_exporter
from opentelemetry.sdk.resources import Resource

from shared.model.manifest import Manifest
from shared.model.package import ModelPackage
from shared.telemetry import tracing
from shared.telemetry.access import Answered
from shared.telemetry.encoding import Encoded, Encoder, encoder_for
from shared.telemetry.tracing import SCOPE, Tracing
from tests.unit.spans import Kept

RESOURCE = Resource.create({"service.name": "test"})
LONGEST_ID = "x" * 128


class Ids:
    """The same for each `Tracing`."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def generate_trace_id(self) -> int:
        return next(self._numbers) << 90

    def generate_span_id(self) -> int:
        return next(self._numbers) << 40


def answered(status: int, rows: int, request_id: str, problem: str | None = None) -> Answered:
    return Answered("POST", "/score", status, 0.25, problem, rows, request_id, None, None)


class Recorded:
    """The spans of one `Tracing`."""

    def __init__(self, manifest: Manifest, encoder: Encoder | None) -> None:
        self._kept = Kept()
        self.tracing = Tracing(self._kept, RESOURCE, manifest, encoder)
        self.tracing._ids = Ids()  # type: ignore[assignment]

    def spans(self) -> list[Any]:
        return self._kept.spans


Record = Callable[[Encoder | None], Recorded]


@pytest.fixture(scope="module")
def record(package: ModelPackage) -> Record:
    def make(encoder: Encoder | None) -> Recorded:
        return Recorded(package.manifest, encoder)

    return make


def ordered(request: Any) -> Any:
    """Spans and their attributes in an order of their own: theirs means nothing."""
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    for span in scope.spans:
        span.attributes.sort(key=lambda attribute: attribute.key)
    scope.spans.sort(key=lambda span: span.span_id)
    return request


def play(found: Recorded, rows: Sequence[int], request_id: str, caller: bytes | None, state: bytes | None) -> None:
    """Requests of so many rows, of which those of one are predicted together."""
    scope = {"scheme": "https", "path": "/score"}
    begun = [found.tracing.begin("POST", "/score", scope, caller, state, 0.5) for _ in rows]
    spans = [span for span in begun if span is not None]
    assert len(spans) == len(rows)
    together = [(span.context, 0.6) for span, size in zip(spans, rows, strict=True) if size == 1]
    found.tracing.batch(together, len(together), 0.75, 0.8)
    for span, size in zip(spans, rows, strict=True):
        if size > 1:
            found.tracing.inference(span.context, 0.6, 0.75, 0.8, rows=size, batch_rows=size)
        found.tracing.end(span, answered(200, size, request_id))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.sampled_from([1, 1, 1, 2, 127, 128, 1024]), min_size=1, max_size=12),
    request_id=st.text("abcXYZ019-_.", min_size=1, max_size=128),
    caller=st.sampled_from([None, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
    state=st.sampled_from([None, b"vendor=1", b"one=1, two@tenant=a/b=c ,three=", b"long=" + 500 * b"x", b"no state"]),
)
def test_the_same_is_said(
    record: Record, rows: list[int], request_id: str, caller: bytes | None, state: bytes | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing.time, "perf_counter", lambda: 1.0)
        encoder = Encoder(encode_spans, RESOURCE, SCOPE)
        ours, theirs = record(encoder), record(None)
        for found in (ours, theirs):
            play(found, rows, request_id, caller, state)
    assert ordered(encoder.encode(ours.spans())) == ordered(encode_spans(theirs.spans()))
    assert all(isinstance(span, Encoded) for span in ours.spans())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 64, 1024])
def test_however_many_a_batch_links(record: Record, size: int) -> None:
    """Its length takes one, two or three bytes."""
    encoder = Encoder(encode_spans, RESOURCE, SCOPE)
    ours, theirs = record(encoder), record(None)
    for found in (ours, theirs):
        play(found, [1] * size, LONGEST_ID, None, None)
    linked = [
        {span.span_id: list(span.links) for span in request.resource_spans[0].scope_spans[0].spans}
        for request in (encoder.encode(ours.spans()), encode_spans(theirs.spans()))
    ]
    assert linked[0] == linked[1]
    assert sum(map(len, linked[0].values())) == (size if size > 1 else 0)


def test_failures_and_successes_go_out_together(record: Record) -> None:
    encoder = Encoder(encode_spans, RESOURCE, SCOPE)
    found = record(encoder)
    play(found, [1, 1], "good", None, None)
    span = found.tracing.begin("POST", "/score", {"scheme": "http", "path": "/score"}, None, None, 0.5)
    assert span is not None
    found.tracing.batch([(span.context, 0.6)], 1, 0.75, 0.8, ValueError("broken"))
    found.tracing.end(span, answered(500, 1, "bad", "internal-error"))
    request = encoder.encode(found.spans())
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    assert scope.scope.name == "twinscore"
    assert [
        attribute.value.string_value for attribute in resource.resource.attributes if attribute.key == "service.name"
    ]
    assert sorted(span.name for span in scope.spans) == ["POST /score"] * 3 + ["batch"] + ["inference"] * 3
    failed = {span.name: [event.name for event in span.events] for span in scope.spans if span.status.code == 2}
    assert failed == {"POST /score": [], "inference": ["exception"]}


@pytest.mark.parametrize("module", [http_exporter, grpc_exporter], ids=["http", "grpc"])
def test_exporters_take_both(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    monkeypatch.setattr(module, "encode_spans", encode_spans)
    exporter = module.OTLPSpanExporter(endpoint="http://127.0.0.1:9")
    encoder = encoder_for(exporter, RESOURCE, SCOPE)
    assert encoder is not None
    assert module.encode_spans == encoder.encode
    exporter.shutdown()


def test_an_exporter_that_encodes_otherwise_is_left_alone(record: Record) -> None:
    class Exporter:
        """Of this module, which has no `encode_spans` of an exporter's."""

    Exporter.__module__ = "shared.telemetry.access"
    exporter: Any = Exporter()
    assert encoder_for(exporter, RESOURCE, SCOPE) is None
    found = record(None)
    play(found, [1, 1], "plain", None, None)
    assert not [span for span in found.spans() if isinstance(span, Encoded)]
