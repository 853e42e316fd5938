"""Beginning to tell what one worker process does."""

from __future__ import annotations

import logging

from shared.model.package import ModelPackage
from shared.serving.gate import Gate
from shared.serving.settings import Settings, misspelt
from shared.telemetry.logs import Logs, event
from shared.telemetry.start import Telemetry, start_telemetry


def observe(
    gate: Gate, package: ModelPackage, settings: Settings, logs: Logs, *, server_pid: int | None = None
) -> Telemetry:
    """The telemetry of this process, also the gate's; call it before the gate opens. See `start_telemetry`."""
    for name, meant in misspelt().items():
        event("unknown_setting", "%s is no setting and changes nothing; %s is one", name, meant, level=logging.WARNING)
    gate.telemetry = start_telemetry(
        package,
        lambda: gate.in_flight,
        logs,
        max_in_flight=gate.max_in_flight,
        metrics=settings.metrics,
        access_log=settings.access_log,
        server_pid=server_pid,
    )
    return gate.telemetry
