"""How spans leave the process: by OpenTelemetry, configured by its standard OTEL_* variables."""

from __future__ import annotations

import os
import sys
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from shared import __version__
from shared.contract.errors import UserError
from shared.model.manifest import Manifest
from shared.telemetry.encoding import encoder_for
from shared.telemetry.tracing import SCOPE, Tracing

SWITCH_SECONDS: Final = 0.0005
"""How long the exporter's thread may keep the event loop from the interpreter: spans of refusals, of which there can be many, it
encodes itself. With CPython's own 5 ms, and all spans encoded there, the 99th percentile of one connection was 9.5 ms, not 5."""

QUEUE, BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
QUEUED: Final = 16_384
SENT: Final = 2_048
"""Spans kept, and sent together, at most, unless these variables say otherwise. Once encoded they take 330 bytes, where
OpenTelemetry's own take 750; and to send 512 of them, as many as it sends together, takes six times as long as to encode them."""


def start_tracing(variant: str, manifest: Manifest) -> Tracing:
    """Traces of this process, sent by OTLP. Raises UserError: see `make_exporter` and `sizes`."""
    attributes: dict[str, str] = {
        "service.version": __version__,
        "service.instance.id": f"{os.uname().nodename}:{os.getpid()}",
    }
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name=" not in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        attributes["service.name"] = f"twinscore-{variant}"
    sys.setswitchinterval(SWITCH_SECONDS)
    exporter, resource = make_exporter(), Resource.create(attributes)
    encoder = encoder_for(exporter, resource, SCOPE)
    queue, batch = sizes()
    return Tracing(BatchSpanProcessor(exporter, queue, max_export_batch_size=batch), resource, manifest, encoder)


def sizes() -> tuple[int, int]:
    """How many spans are kept, and how many are sent together, at most.

    Raises:
        UserError: a variable is no number, or more are to be sent together than are kept.
    """
    queue, batch = _number(QUEUE), _number(BATCH)
    if queue is None:
        queue = max(QUEUED, batch or 0)
    if batch is None:
        batch = min(SENT, queue)
    if batch > queue:
        raise UserError(f"{BATCH}={batch} is more than {QUEUE}={queue}: no more can be sent together than are kept")
    return queue, batch


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    if not text.isdecimal() or not int(text):
        raise UserError(f"{variable}={text}: use a whole number from 1 up")
    return int(text)


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
