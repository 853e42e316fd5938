"""Each variant is itself: its own framework answers `/score`, and BentoML's own dispatcher batches it.

The services run as real processes, by the commands their frameworks give: `uvicorn` and `bentoml serve`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shared.model.package import ModelPackage
from shared.reliability.ports import free_port
from tests.conftest import ROOT, START_SECONDS, STOP_SECONDS

UVICORN = ("uvicorn", "--log-level", "warning", "--factory")
BENTOML = ("bentoml", "serve")
CONNECTIONS = 64


@contextmanager
def serving(
    command: Sequence[str], folder: Path, model: Path, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """`python -m COMMAND --port ...`, ready; yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {"TWINSCORE_MODEL": str(model), "TWINSCORE_DRAIN_SECONDS": "0", "BENTOML_HOME": str(folder / "home")}
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=clean | variables | dict(environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not _is_ready(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "command",
    [
        (*UVICORN, "tests.identity.fastapi_without_score:create_app"),
        (*BENTOML, "tests.identity.bento_without_score:FraudDetector"),
    ],
    ids=["fastapi", "bento"],
)
def test_without_the_frameworks_own_route_score_is_404(
    command: Sequence[str], tmp_path: Path, package: ModelPackage
) -> None:
    body = package.manifest.golden.rows[0]
    with serving(command, tmp_path, package.directory) as url:
        answer = httpx.post(f"{url}/score", json={"features": body}, timeout=30)
        batch = httpx.post(f"{url}/score/batch", json={"rows": [body]}, timeout=30)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert batch.status_code == 200


def test_concurrent_requests_share_batches_in_bentomls_dispatcher(tmp_path: Path, package: ModelPackage) -> None:
    command = (*BENTOML, "tests.identity.bento_recording_batches:FraudDetector")
    record = tmp_path / "batches"
    rows = [package.manifest.golden.rows[index % len(package.golden_rows)] for index in range(CONNECTIONS)]
    limits = httpx.Limits(max_connections=CONNECTIONS)
    with (
        serving(command, tmp_path, package.directory, {"RECORD_BATCHES": str(record)}) as url,
        httpx.Client(base_url=url, timeout=30, limits=limits) as client,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        for _ in range(5):
            answers = list(pool.map(lambda row: client.post("/score", json={"features": row}), rows))
            assert {answer.status_code for answer in answers} == {200}
    sizes = [int(line) for line in record.read_text().splitlines()]
    assert sum(sizes) == 5 * CONNECTIONS
    assert max(sizes) > 1, Counter(sizes)
