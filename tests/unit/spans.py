"""Spans as `Tracing` hands them over."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import SpanProcessor


class Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def on_end(self, span: Any) -> None:
        self.spans.append(span)
