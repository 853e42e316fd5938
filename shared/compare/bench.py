"""Following the results of a `twinscore bench` that runs beside this page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

POLL_SECONDS = 1.0
MAX_BYTES = 32 * 1024 * 1024
FORMAT = 1
FIGURES = ("p50", "p90", "p99", "p999", "max")


class Follower:
    """Reads the file whenever it has changed.

    Args:
        path: of the results; None where this is no checkout and none was given.
        changed: called with what the page draws.
    """

    def __init__(self, path: Path | None, changed: Callable[[dict[str, Any]], None]) -> None:
        self._path = path
        self._changed = changed
        self._stamp: tuple[int, int] | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        if self._path is None:
            self._changed({"state": "none"})
            return
        while True:
            found = await asyncio.to_thread(self._read, self._path)
            if found is not None:
                self._changed(found)
            await asyncio.sleep(POLL_SECONDS)

    def _read(self, path: Path) -> dict[str, Any] | None:
        """What is there; None where nothing has changed, or where the file is just being written."""
        shown: dict[str, Any] = {"path": str(path)}
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return None
            if stat.st_size > MAX_BYTES:
                self._stamp = stamp
                return shown | {"state": "unusable", "reason": f"larger than {MAX_BYTES} bytes"}
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self._stamp = None
            return shown | {"state": "absent"}
        except (OSError, UnicodeDecodeError) as error:
            return shown | {"state": "unusable", "reason": getattr(error, "strerror", None) or "not text"}
        try:
            document = json.loads(text, parse_constant=lambda _: None)
        except ValueError:
            return None  # half written: read again at the next look
        self._stamp = stamp
        try:
            if document["format"] != FORMAT:
                raise ValueError(document["format"])
            return shown | {
                "state": "results",
                "written": stat.st_mtime_ns / 1e6,
                "command": str(document["meta"].get("command", "")),
                "measurements": [_measurement(item) for item in document["measurements"]],
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return shown | {"state": "unusable", "reason": "holds no results of `twinscore bench`"}


def _measurement(item: dict[str, Any]) -> dict[str, Any]:
    found = {key: item[key] for key in ("suite", "contender", "predictor", "model", "round", "failure")}
    return found | {"phases": [_phase(phase) for phase in item["phases"]]}


def _phase(phase: dict[str, Any]) -> dict[str, Any]:
    outcome = phase["outcome"]
    return {
        "kind": phase["kind"],
        "load": phase["load"],
        "per_second": outcome["good"] / outcome["seconds"] if outcome["seconds"] else 0.0,
        "errors": outcome["refused"] + outcome["failed"],
        "rows": phase["batch_rows"],
    } | {name: outcome[name] for name in FIGURES}
