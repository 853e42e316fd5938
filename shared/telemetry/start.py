"""The one way to begin keeping metrics: what decides where they are kept must come before prometheus_client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.model.manifest import Manifest
from shared.telemetry.multiprocess import use_directory

if TYPE_CHECKING:
    from shared.telemetry.metrics import Metrics


def start_metrics(
    manifest: Manifest, backend: str, in_flight: Callable[[], int], *, server_pid: int | None = None
) -> Metrics:
    """The metrics of this worker process; see `Metrics` and `use_directory`."""
    directory = use_directory(server_pid)
    from shared.telemetry.metrics import Metrics

    return Metrics(directory, manifest, backend, in_flight)
