"""What a client sends makes no span large, and the settings of the queue are told apart from nonsense."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from shared.contract.errors import UserError
from shared.model.package import ModelPackage
from shared.telemetry.access import Answered
from shared.telemetry.exporting import BATCH, QUEUE, SENT, sizes
from shared.telemetry.tracing import Tracing
from tests.unit.spans import Kept

GRPC_MESSAGE_BYTES = 4 * 1024 * 1024
"""What receivers take, unless they are told otherwise."""


def test_the_longest_spans_sent_together_are_a_message_that_grpc_takes(package: ModelPackage) -> None:
    kept = Kept()
    tracing = Tracing(kept, Resource.create({}), package.manifest)
    state = b",".join(b"%s%d=%s" % (b"k" * 200, number, b"v" * 256) for number in range(32))
    for tracestate in (state, state[:458]):
        scope = {"scheme": "http", "path": "/" + "\N{SNOWMAN}" * 60_000}
        caller = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        span = tracing.begin("GET", "other", scope, caller, tracestate, 0.5)
        assert span is not None
        tracing.end(span, Answered("GET", "other", 404, 0.1, "not-found", 0, "x" * 128, caller, span))
    sizes_of_spans = [len(encode_spans([span]).SerializeToString()) for span in kept.spans]
    assert max(sizes_of_spans) * SENT < GRPC_MESSAGE_BYTES
    assert [bool(span.context.trace_state) for span in kept.spans] == [False, True]


@pytest.mark.parametrize(
    ("queue", "batch", "expected"),
    [
        ("", "", (16_384, 2_048)),
        ("100", "", (100, 100)),
        ("30000", "", (30_000, 2_048)),
        ("", "512", (16_384, 512)),
        ("", "20000", (20_000, 20_000)),
        (" 2048 ", "512", (2_048, 512)),
    ],
)
def test_each_variable_counts_alone(
    monkeypatch: pytest.MonkeyPatch, queue: str, batch: str, expected: tuple[int, int]
) -> None:
    monkeypatch.setenv(QUEUE, queue)
    monkeypatch.setenv(BATCH, batch)
    assert sizes() == expected


@pytest.mark.parametrize(
    ("queue", "batch", "message"),
    [
        ("100", "101", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=101 is more than OTEL_BSP_MAX_QUEUE_SIZE=100"),
        ("many", "", "OTEL_BSP_MAX_QUEUE_SIZE=many: use a whole number from 1 up"),
        ("", "0", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0: use a whole number from 1 up"),
        ("-1", "", "OTEL_BSP_MAX_QUEUE_SIZE=-1: use a whole number from 1 up"),
    ],
)
def test_nonsense_is_told(monkeypatch: pytest.MonkeyPatch, queue: str, batch: str, message: str) -> None:
    monkeypatch.setenv(QUEUE, queue)
    monkeypatch.setenv(BATCH, batch)
    with pytest.raises(UserError, match=message):
        sizes()
