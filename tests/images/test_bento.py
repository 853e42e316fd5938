"""`bentoml build` makes a Bento that carries the model and what serving needs, and BentoML serves it from its store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import yaml

from shared.reliability.ports import free_port
from shared.reliability.second_model import write_second_version
from tests.conftest import ROOT, START_SECONDS

BIN = str(Path(sys.executable).parent)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A store of its own, and none of the caller's settings."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "BENTOML_"))}
    return {**clean, "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml"))}


@pytest.fixture(scope="module")
def bento(environment: Mapping[str, str], default_model: Path) -> Path:
    """The folder of the Bento that is built from this checkout."""
    for command in (
        [f"{BIN}/twinscore", "models", "store", str(default_model)],
        [f"{BIN}/bentoml", "build", "--output", "tag"],
    ):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    version = done.stdout.strip().rpartition(":")[2]
    return Path(environment["BENTOML_HOME"]) / "bentos" / "fraud_detector" / version


def test_it_declares_what_it_needs(bento: Path, default_model: Path) -> None:
    declared = yaml.safe_load((bento / "bento.yaml").read_text())
    (service,) = declared["services"]
    assert [model["tag"] for model in service["models"]] == [f"{default_model.parent.name}:{default_model.name}"]
    assert service["config"]["resources"]
    assert service["config"]["traffic"]["timeout"] > 0


def test_it_contains_what_serving_needs_and_no_more(bento: Path) -> None:
    files = {path.relative_to(bento / "src").as_posix() for path in (bento / "src").rglob("*") if path.is_file()}
    assert {file.partition("/")[0] for file in files} == {
        *("bento_service", "shared", "requirements", "sbom", "deploy", "LICENSE", "bentofile.yaml")
    }
    assert not [file for file in files if file.startswith(("shared/training", "shared/importing", "deploy/kubernetes"))]
    assert not [file for file in files if file.endswith((".pyc", ".parquet"))]
    assert "fastapi_service" not in " ".join(files)


def test_its_lock_is_ours(bento: Path) -> None:
    ours = (ROOT / "requirements" / "bento.txt").read_text()
    assert (bento / "src" / "requirements" / "bento.txt").read_text() == ours
    dockerfile = (bento / "env" / "docker" / "Dockerfile").read_text()
    assert "--require-hashes --only-binary :all: -r bento.txt" in dockerfile
    written = (bento / "env" / "python" / "requirements.txt").read_text()
    assert written.count("--hash=sha256:") == ours.count("--hash=sha256:")


def test_it_is_served_from_the_store(
    bento: Path, environment: Mapping[str, str], default_model: Path, tmp_path: Path
) -> None:
    """With its own model, though the store has got a later one since."""
    later = tmp_path / "2.0.0"
    write_second_version(default_model, later.name, later)
    subprocess.run([sys.executable, "-m", "bento_service.store", str(later)], cwd=ROOT, env=environment, check=True)
    port = free_port()
    settings = {"TWINSCORE_DRAIN_SECONDS": "0", "TWINSCORE_ACCESS_LOG": "false"}
    command = [f"{BIN}/bentoml", "serve", "fraud_detector:latest", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=tmp_path, env={**environment, **settings}, stdout=output, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_SECONDS
        while not _ready(url):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        verify = [f"{BIN}/twinscore", "verify", url, "--model", str(default_model)]
        done = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-3000:]
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1).status_code == 200
    except httpx.TransportError:
        return False
