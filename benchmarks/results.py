"""What was measured, as JSON that the report is made from."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.contenders.catalog import Venv, interpreter
from benchmarks.load.outcome import Outcome
from shared.contract.errors import UserError

FORMAT = 1
LIBRARIES = (
    *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "bentoml", "pydantic", "onnxruntime"),
    *("xgboost-cpu", "xgboost", "numpy", "litserve", "mosec", "mlserver", "ray", "locust"),
)


@dataclass(frozen=True)
class Phase:
    """One load on one running server.

    Attributes:
        kind: `closed` (load is the connections), `after` (one connection after all others), `open` (requests a
            second) or `users` (Locust).
        cpu_us: microseconds of processor time of the server per request sent.
        batch_rows: mean rows of a prediction, where the server tells.
    """

    kind: str
    load: int
    outcome: Outcome
    cpu_us: float
    batch_rows: float | None


@dataclass(frozen=True)
class Measurement:
    """One start of one contender, and the loads it took in turn; `failure` says why there are none."""

    suite: str
    contender: str
    predictor: str
    model: str
    round: int
    cold_start_seconds: float = 0.0
    rss_mb: float = 0.0
    pss_mb: float = 0.0
    phases: list[Phase] = field(default_factory=list)
    failure: str | None = None


@dataclass(frozen=True)
class Results:
    """A whole run."""

    meta: dict[str, Any]
    measurements: list[Measurement]

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"format": FORMAT, "meta": self.meta, "measurements": [asdict(m) for m in self.measurements]}
        # Whole at any time, for those who follow it.
        whole = path.with_name(path.name + ".part")
        whole.write_text(json.dumps(document, indent=1) + "\n")
        whole.replace(path)


def read(path: Path) -> Results:
    """Raises UserError if the file is not a benchmark's results."""
    try:
        document = json.loads(path.read_text())
        if document["format"] != FORMAT:
            raise UserError(f"{path} has format {document['format']}, this version reads {FORMAT}: measure again")
        return Results(document["meta"], [_measurement(item) for item in document["measurements"]])
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not hold results of `twinscore bench`: {error!r}") from None


def together(runs: Sequence[Results]) -> Results:
    """Several runs as one, described by the last; their commands are kept.

    Raises:
        UserError: they come from different machines.
    """
    machines = {(run.meta["cpu"], run.meta["cores"]) for run in runs}
    if len(machines) > 1:
        raise UserError("these results come from different machines: ratios between them mean nothing")
    commands = "; ".join(run.meta["command"] for run in runs)
    counts = sorted({run.meta["rounds"] for run in runs})
    rounds = counts[0] if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    meta = {**runs[-1].meta, "command": commands, "rounds": rounds}
    return Results(meta, [measurement for run in runs for measurement in run.measurements])


def _measurement(item: dict[str, Any]) -> Measurement:
    phases = [Phase(**{**phase, "outcome": Outcome(**phase["outcome"])}) for phase in item["phases"]]
    return Measurement(**{**item, "phases": phases})


def describe_run(**options: Any) -> dict[str, Any]:
    """The machine, the versions and the date; `options` are kept beside them."""
    venvs: tuple[Venv, ...] = ("own", "bench", "extra")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _output(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]),
        "changed_files": len(_output(["git", "-C", str(ROOT), "status", "--porcelain"]).splitlines()),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "wrk": _output(["wrk", "-v"]).partition("[")[0].strip(),
        "node": _output(["node", "--version"]),
        "versions": {venv: _versions(venv) for venv in venvs if interpreter(venv).exists()},
        **options,
    }


def _versions(venv: Venv) -> dict[str, str]:
    code = (
        "import sys, json\nfrom importlib.metadata import version, PackageNotFoundError\nfound = {}\n"
        "for name in sys.argv[1:]:\n    try: found[name] = version(name)\n    except PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    found: dict[str, str] = json.loads(_output([str(interpreter(venv)), "-c", code, *LIBRARIES]))
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
