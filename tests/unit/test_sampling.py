"""Which requests are traced is what OpenTelemetry's sampler says, also where it is not asked."""

from __future__ import annotations

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanKind

from shared.model.package import ModelPackage
from shared.telemetry.tracing import Tracing

SCOPE = {"scheme": "http", "path": "/score"}
REQUESTS = 500


class NumberedTraces:
    """Ids whose lower half is spread evenly over what a sampler looks at."""

    def __init__(self) -> None:
        self.number = 0

    def generate_trace_id(self) -> int:
        self.number += 1
        return (1 << 100) + (self.number * (2**64 // REQUESTS)) % 2**64

    def generate_span_id(self) -> int:
        return self.number


@pytest.mark.parametrize(
    ("sampler", "argument"),
    [
        ("parentbased_traceidratio", "0.25"),
        ("traceidratio", "0.25"),
        ("parentbased_traceidratio", "0"),
        ("parentbased_traceidratio", "1"),
        ("parentbased_always_on", ""),
        ("always_off", ""),
        ("parentbased_always_off", ""),
    ],
)
def test_as_the_sampler_says(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    tracing = Tracing(SpanProcessor(), Resource.create({}), package.manifest)
    monkeypatch.setattr(tracing, "_ids", NumberedTraces())
    traced = [tracing.begin("POST", "/score", SCOPE, None, None, 0.0) is not None for _ in range(REQUESTS)]

    asked, ids = TracerProvider(shutdown_on_exit=False).sampler, NumberedTraces()
    expected = [
        asked.should_sample(Context(), ids.generate_trace_id(), "POST /score", SpanKind.SERVER, {}).decision
        is Decision.RECORD_AND_SAMPLE
        for _ in range(REQUESTS)
    ]
    assert traced == expected


@pytest.mark.parametrize(("flag", "traced"), [("01", True), ("00", False)])
def test_a_caller_decides_for_its_own_traces(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch, flag: str, traced: bool
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0" if traced else "1")
    tracing = Tracing(SpanProcessor(), Resource.create({}), package.manifest)
    header = f"00-{'a' * 32}-{'b' * 16}-{flag}".encode()
    assert (tracing.begin("POST", "/score", SCOPE, header, None, 0.0) is not None) == traced
