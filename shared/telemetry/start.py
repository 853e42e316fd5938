"""What one worker process tells of itself: metrics, traces and logs, each of which can be off."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.contract.errors import UserError
from shared.model.manifest import Manifest
from shared.model.package import ModelPackage
from shared.telemetry.access import AccessLog, Answered
from shared.telemetry.logs import Logs, event
from shared.telemetry.multiprocess import use_directory

if TYPE_CHECKING:
    from shared.telemetry.metrics import Metrics
    from shared.telemetry.tracing import Tracing


CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
"""Of `GET /metrics`; prometheus_client's own constant, which must not be imported before the metrics folder is set."""


@dataclass(frozen=True)
class Telemetry:
    """The parts that are on.

    Attributes:
        metrics: None where they are off.
        tracing: None where no endpoint is set.
        access_log: None where requests are not logged.
    """

    metrics: Metrics | None = None
    tracing: Tracing | None = None
    access_log: AccessLog | None = None

    def request(self, request: Answered) -> None:
        """Notes a request that is over, and ends its span."""
        if request.status:
            if self.metrics is not None:
                self.metrics.request(request)
            if self.access_log is not None:
                self.access_log.note(request)
        if request.span is not None and self.tracing is not None:
            self.tracing.end(request.span, request)

    async def scrape(self) -> bytes:
        """The body of `GET /metrics`."""
        return b"" if self.metrics is None else await self.metrics.scrape()

    def ready(self, package: ModelPackage, inline_rows: int) -> None:
        """Logs that the service is ready, and with what."""
        card = package.card
        event(
            "ready",
            "ready: %s %s by %s (at most %.1e from XGBoost's probabilities), %d rows inline",
            *(card.name, card.version, card.backend, card.largest_deviation, inline_rows),
            model_name=card.name,
            model_version=card.version,
            sha256=card.sha256,
            backend=card.backend,
            largest_deviation=card.largest_deviation,
        )

    def close(self) -> None:
        """Writes and sends what was noted."""
        if self.metrics is not None:
            self.metrics.flush()
        if self.access_log is not None:
            self.access_log.flush()
        if self.tracing is not None:
            self.tracing.close()


def start_telemetry(
    package: ModelPackage,
    in_flight: Callable[[], int],
    logs: Logs,
    *,
    max_in_flight: int,
    metrics: bool = True,
    access_log: bool = True,
    server_pid: int | None = None,
) -> Telemetry:
    """The telemetry of this worker process; see `Metrics` and `use_directory`.

    Raises:
        UserError: a variable of OpenTelemetry asks for what cannot be had, or there is no room for the metrics.
    """
    manifest, kept = package.manifest, None
    if metrics:
        # What decides where metrics are kept must come before prometheus_client.
        directory = use_directory(server_pid)
        from shared.telemetry.metrics import Metrics

        try:
            kept = Metrics(directory, manifest, package.predictor.backend, in_flight, max_in_flight)
        except OSError as error:
            raise UserError(f"the metrics cannot be kept in {directory}: {error.strerror}") from None
    return Telemetry(kept, _tracing(logs.variant, manifest), AccessLog(logs, manifest.version) if access_log else None)


def traces_wanted() -> bool:
    """Whether OpenTelemetry's standard variables ask for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").lower() == "none":
        return False
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def check_tracing() -> None:
    """Raises UserError where a variable of OpenTelemetry asks for what cannot be had."""
    if traces_wanted():
        from shared.telemetry.exporting import make_exporter, sizes

        make_exporter()
        sizes()


def _tracing(variant: str, manifest: Manifest) -> Tracing | None:
    if not traces_wanted():
        return None
    # Here: a service without traces does not need the SDK.
    from shared.telemetry.exporting import start_tracing

    return start_tracing(variant, manifest)
