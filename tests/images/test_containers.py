"""Both images as an engine runs them: read-only, as a user that is nobody, without capabilities."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from shared import __version__
from shared.contract import routes
from tests.conftest import ROOT
from tests.images.conftest import BUILD_SECONDS, REPOSITORY, START_SECONDS, VARIANTS, StartContainer, docker

pytestmark = pytest.mark.timeout(1800)  # the first test waits for both images to be built

BASE = "python:3.11-slim"
MAX_BYTES = 250_000_000
"""What the FastAPI image may add to its base."""

LIST_FOREIGN = """
for name in gcc cc g++ c++ clang make ld as; do command -v $name; done
find / -xdev \\( -name 'libcuda*' -o -name 'libcudart*' -o -name 'libnccl*' -o -name 'libnv*' \\) 2>/dev/null
find /opt/venv -name pip -o -name 'pip-*' -o -name tests -type d -path '*site-packages/*'
exit 0
"""
LIST_PACKAGES = """
import importlib.metadata, json
found = importlib.metadata.distributions()
print(json.dumps([f"pkg:pypi/{d.metadata['Name'].lower().replace('_', '-').replace('.', '-')}@{d.version}" for d in found]))
"""
SBOM = {"fastapi": "/app/fastapi.cdx.json", "bento": "/bento/src/sbom/bento.cdx.json"}


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(images: Mapping[str, str], variant: str) -> str:
    return images[variant]


def verify(url: str, model: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shared.cli", "verify", url, "--model", str(model)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_it_keeps_the_contract_and_drains(image: str, default_model: Path, start_container: StartContainer) -> None:
    container = start_container(image, environment={"TWINSCORE_DRAIN_SECONDS": "2"})
    verified = verify(container.url, default_model)
    assert verified.returncode == 0, verified.stdout[-3000:]
    state = container.inspect()
    assert state["Config"]["User"] == "10001:10001"
    assert state["HostConfig"]["ReadonlyRootfs"]
    assert container.run("id", "-u") == "10001"
    assert container.run("find", "/tmp", "-path", "*Microsoft*") == "", "ONNX Runtime reports its use"
    until = time.monotonic() + START_SECONDS
    while container.inspect()["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < until, container.inspect()["State"]["Health"]
        time.sleep(0.2)
    assert container.stop() == 0
    (draining,), (stopped,) = container.events("draining"), container.events("stopped")
    assert draining["time"] < stopped["time"]


def test_a_killed_worker_is_replaced(image: str, start_container: StartContainer) -> None:
    container = start_container(image, environment={"TWINSCORE_WORKERS": "2", "TWINSCORE_DRAIN_SECONDS": "0"})
    until = time.monotonic() + START_SECONDS
    while len(container.events("ready")) < 2:
        assert time.monotonic() < until
        time.sleep(0.2)
    before = {line["pid"] for line in container.events("ready")}
    assert 1 not in before
    container.run("python", "-c", f"import os, signal; os.kill({min(before)}, signal.SIGKILL)")
    while len(container.events("ready")) < 3:
        assert time.monotonic() < until + START_SECONDS
        assert container.inspect()["State"]["Running"]
        time.sleep(0.2)
    assert httpx.get(f"{container.url}{routes.READYZ}").status_code == 200
    assert container.stop() == 0


def test_a_mounted_model_and_plain_xgboost(image: str, default_model: Path, start_container: StartContainer) -> None:
    """What was left of SciPy is all that XGBoost needs."""
    mount = ("--volume", f"{default_model}:/mounted:ro")
    environment = {"TWINSCORE_MODEL": "/mounted", "TWINSCORE_BACKEND": "xgboost", "TWINSCORE_DRAIN_SECONDS": "0"}
    container = start_container(image, *mount, environment=environment)
    assert httpx.get(f"{container.url}{routes.MODEL}").json()["backend"] == "xgboost"
    golden = json.loads((default_model / "manifest.json").read_text())["golden"]
    answer = httpx.post(f"{container.url}{routes.SCORE_BATCH}", json={"rows": golden["rows"]})
    assert answer.json()["probabilities"] == golden["probabilities"]


def test_it_contains_what_serving_needs_and_no_more(image: str, variant: str) -> None:
    assert docker("run", "--rm", "--entrypoint", "sh", image, "-c", LIST_FOREIGN) == ""
    installed = set(json.loads(docker("run", "--rm", image, "python", "-c", LIST_PACKAGES)))
    bill = json.loads(docker("run", "--rm", image, "cat", SBOM[variant]))
    assert installed
    assert installed <= {component["purl"] for component in bill["components"] if "purl" in component}
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == (_revision() or "unknown")
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_a_clone_without_a_model_trains_one_in_the_build(engine: None, tmp_path: Path) -> None:
    """Only that stage is built, from what a fresh clone has."""
    for folder in ("shared", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("Dockerfile.fastapi", ".dockerignore", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    name = f"{REPOSITORY}trained"
    command = ["docker", "build", "--network", "host", "--target", "model", "-t", name, "-f", "Dockerfile.fastapi", "."]
    subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        timeout=BUILD_SECONDS,
        check=True,
    )
    packages = docker("run", "--rm", name, "sh", "-c", "cd models && ls -d */* && cat */*/manifest.json")
    folder, _, manifest = packages.partition("\n")
    card = json.loads(manifest)
    assert folder == f"{card['name']}/{card['version']}"
    assert card["golden"]["probabilities"]


def _revision() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_the_fastapi_image_is_small(images: Mapping[str, str]) -> None:
    ours, base = (int(docker("image", "inspect", "--format", "{{.Size}}", name)) for name in (images["fastapi"], BASE))
    assert ours - base < MAX_BYTES
