"""A container engine, where there is one, and both images built by it from this checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import __version__
from shared.reliability.ports import free_port
from tests.conftest import ROOT

VARIANTS = ("fastapi", "bento")
REPOSITORY = "twinscore-test/"
"""Before the names of what is built here, so that nobody's own images are touched."""

BUILD_SECONDS = 1500.0
START_SECONDS = 90.0
STOP_SECONDS = 40

HARDENED = (
    *("--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)

StartContainer = Callable[..., "Container"]


def docker(*arguments: str, check: bool = True, timeout: float = 120.0) -> str:
    """Runs `docker` and returns its standard output."""
    done = subprocess.run(
        ["docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


@dataclass
class Container:
    """A container that serves on a loopback port of the host."""

    id: str
    url: str

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", self.id))[0]
        return found

    def logs(self) -> list[dict[str, Any]]:
        """What the service has logged: one JSON object a line."""
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.logs() if line.get("event") == name]

    def run(self, *command: str) -> str:
        return docker("exec", self.id, *command)

    def stop(self) -> int:
        """Sends SIGTERM, waits, and returns the exit code."""
        docker("stop", "--time", str(STOP_SECONDS), self.id)
        return int(self.inspect()["State"]["ExitCode"])

    def until_ready(self) -> bool:
        """False if it has ended, as it does where another process took the port meanwhile."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200:
                    return True
            except httpx.TransportError:
                if not self.inspect()["State"]["Running"]:
                    return False
            time.sleep(0.1)
        raise RuntimeError(f"not ready: {docker('logs', self.id)}")


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where no engine answers. None is started here."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    done = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        pytest.skip(f"no container engine answers (DOCKER_HOST or the default socket): {done.stderr.strip()}")


@pytest.fixture(scope="session")
def images(engine: None, default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The image of each variant, built as `make images` does."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TWINSCORE_")}
    environment |= {"REPOSITORY": REPOSITORY, "NETWORK": "host", "BENTOML_HOME": str(tmp_path_factory.mktemp("home"))}
    done = subprocess.run(
        [ROOT / "deploy" / "docker" / "build.sh"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return {variant: f"{REPOSITORY}twinscore-{variant}:{__version__}" for variant in VARIANTS}


@contextmanager
def _container(image: str, *options: str, environment: Mapping[str, str]) -> Iterator[Container]:
    for _ in range(3):
        port = free_port()
        settings = {"TWINSCORE_HOST": "127.0.0.1", "TWINSCORE_PORT": str(port), **environment}
        variables = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
        container = Container(
            docker("run", "--detach", *HARDENED, *variables, *options, image), f"http://127.0.0.1:{port}"
        )
        try:
            if container.until_ready():
                yield container
                return
        finally:
            docker("rm", "--force", "--volumes", container.id)
    raise RuntimeError(f"{image} ends before it is ready, three times")


@pytest.fixture
def start_container() -> Iterator[StartContainer]:
    """Starts containers: `start_container(image, *options of docker run, environment=...)`; removed after the test."""
    with ExitStack() as stack:

        def start(image: str, *options: str, environment: Mapping[str, str] | None = None) -> Container:
            return stack.enter_context(_container(image, *options, environment=environment or {}))

        yield start
