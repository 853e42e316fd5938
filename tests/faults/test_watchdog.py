"""A worker whose predictor hangs is ended and replaced by the framework's own supervisor, in containers too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from shared.model.package import ModelPackage
from shared.reliability.ports import free_port
from tests.conftest import ROOT, START_SECONDS, VARIANTS

MARKER = 424242.0
COMMANDS = {
    "fastapi": ["uvicorn", "--factory", "tests.faults.hanging:create_app", "--workers", "2"],
    "bento": ["bentoml", "serve", "tests.faults.hanging:FraudDetector"],
}


@pytest.mark.parametrize("where", ["inline", "thread"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_hang_ends_the_worker_and_another_takes_its_place(
    variant: str, where: str, default_model: Path, tmp_path: Path, package: ModelPackage
) -> None:
    port, log = free_port(), tmp_path / "log"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
    environment = {
        **clean,
        "HANG_VARIANT": variant,
        "HANG_MARKER": str(MARKER),
        "HANG_IN_THREAD": "1" if where == "thread" else "",
        "TWINSCORE_MODEL": str(default_model),
        "TWINSCORE_HANG_SECONDS": "2",
        "TWINSCORE_DEADLINE_SECONDS": "1",
        "TWINSCORE_DRAIN_SECONDS": "0",
        "BENTOML_HOME": str(tmp_path / "home"),
        "BENTOML_CONTAINERIZED": "true",
    }
    command = [sys.executable, "-m", *COMMANDS[variant], "--host", "127.0.0.1", "--port", str(port)]
    row = package.manifest.golden.rows[0]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            before = _scored(client, row, log)
            with pytest.raises(httpx.TransportError) if where == "inline" else nullcontext():
                # In a thread the deadline answers first, and the prediction hangs on.
                assert client.post("/score", json={"features": [MARKER, *row[1:]]}).status_code == 504
            # In a thread, what is left of the time when the loop was last awake.
            _until(lambda: re.search(r"Timeout \(0:00:0[012]", log.read_text(errors="replace")), log)
            assert _scored(client, row, log) == before
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def _until(condition: Callable[[], object], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < until, log.read_text(errors="replace")
        time.sleep(0.1)


def _scored(client: httpx.Client, row: list[float | None], log: Path) -> float:
    """The probability of a row, as soon as there is a worker that gives it."""
    found: list[float] = []

    def answered() -> bool:
        try:
            response = client.post("/score", json={"features": row}, timeout=2)
        except httpx.TransportError:
            return False
        if response.status_code == 200:
            found.append(response.json()["probability"])
        return bool(found)

    _until(answered, log)
    return found[0]
