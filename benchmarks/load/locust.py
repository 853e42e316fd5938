"""Users that arrive over time: the Kind scenario of 100 users, 3 new ones a second, for 50 s, driven by Locust."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.contenders.catalog import interpreter
from benchmarks.load.outcome import Outcome
from benchmarks.load.wrk import LoadError

FILE = Path(__file__).with_name("locustfile.py")
SECONDS = 50
SPAWN_RATE = 3


def users(url: str, bodies: Path, *, users: int, core: str, seconds: int = SECONDS) -> Outcome:
    """Latencies are Locust's, rounded to two digits from 100 ms on.

    Raises:
        LoadError: Locust gave no result.
    """
    parts = urlsplit(url)
    command = ["taskset", "-c", core, str(interpreter("bench")), "-m", "locust", "-f", str(FILE), "--headless"]
    command += ["--users", str(users), "--spawn-rate", str(SPAWN_RATE), "--run-time", f"{seconds}s", "--json"]
    command += ["--host", f"{parts.scheme}://{parts.netloc}", "--loglevel", "ERROR"]
    environment = {**os.environ, "BENCH_BODIES": str(bodies), "BENCH_PATH": parts.path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=seconds + 120)
    try:
        (stats,) = json.loads(done.stdout)
    except ValueError:
        raise LoadError(f"Locust: {done.stderr.strip()[-300:]}") from None
    counts = sorted((float(latency), count) for latency, count in stats["response_times"].items())
    failed = stats["num_failures"]
    return Outcome(
        stats["last_request_timestamp"] - stats["start_time"],
        stats["num_requests"] - failed,
        failed,
        0,
        *(_percentile(counts, share) for share in (0.5, 0.9, 0.99, 0.999, 1.0)),
    )


def _percentile(counts: Sequence[tuple[float, int]], share: float) -> float:
    """Of latencies with how often each was seen, in rising order."""
    left = math.ceil(share * sum(count for _, count in counts))
    for latency, count in counts:
        left -= count
        if left <= 0:
            return latency
    return 0.0
