"""Closed loops: so many connections, each with one request under way at any time, driven by wrk."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.load.outcome import Outcome

SCRIPT = Path(__file__).with_name("score.lua")


class LoadError(Exception):
    """A load generator that did not do its work; the message is what it said."""


def closed_loop(url: str, bodies: Path, *, connections: int, seconds: float, core: str) -> Outcome:
    """Posts the lines of `bodies` in turn.

    Raises:
        LoadError: wrk gave no result.
    """
    whole = max(1, round(seconds))
    command = ["taskset", "-c", core, "wrk", "-t", "1", "-c", str(connections), "-d", f"{whole}s"]
    command += ["--timeout", "30s", "-s", str(SCRIPT), url, "--", str(bodies)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=whole + 60)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LoadError(f"wrk: {(done.stderr or done.stdout).strip()[-300:]}")
    figures = json.loads(lines[-1])
    return Outcome(
        seconds=figures["seconds"],
        good=figures["requests"] - figures["status_errors"],
        refused=figures["status_errors"],
        failed=figures["socket_errors"] + figures["timeouts"],
        **{key: figures[key] for key in ("p50", "p90", "p99", "p999", "max")},
    )
