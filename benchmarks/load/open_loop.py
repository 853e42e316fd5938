"""An open loop: requests at a constant rate, waiting counted from the moment each was due, driven by loadtest (npm).

autocannon was tried and not taken: it sends each second's requests in one burst at the start of the second, and its
correction for coordinated omission computes the expected interval in the wrong unit.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks import CACHE
from benchmarks.load.outcome import Outcome
from benchmarks.load.wrk import LoadError

SCRIPT = Path(__file__).with_name("open_loop.mjs")
MODULES = CACHE / "node"


def open_loop(url: str, bodies: Path, *, rate: int, seconds: float, core: str) -> Outcome:
    """Posts the lines of `bodies` in turn, `rate` a second.

    Raises:
        LoadError: loadtest gave no result.
    """
    command = ["taskset", "-c", core, "node", str(SCRIPT), str(MODULES), url, str(bodies)]
    command += [str(rate), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 120)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LoadError(f"loadtest: {(done.stderr or done.stdout).strip()[-300:]}")
    return Outcome(**json.loads(lines[-1]))


def available() -> bool:
    return (MODULES / ".ready").exists()
