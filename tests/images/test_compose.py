"""The stack as Compose starts it, on the network of the host: both variants and the proxy."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from shared import __version__
from shared.reliability.ports import free_port
from tests.conftest import ROOT
from tests.images.conftest import REPOSITORY, docker
from tests.images.test_containers import verify
from tests.images.test_proxy import counted

pytestmark = pytest.mark.timeout(1800)  # the first test waits for both images to be built

FILES = ("docker-compose.yml", "deploy/compose/host-network.yml", "tests/images/proxy.yml")
PORTS = ("PROXY_PORT", "FASTAPI_PORT", "BENTO_PORT", "ADMIN_PORT")


class Stack:
    """A project of its own name, so that a stack somebody runs here is left alone."""

    def __init__(self) -> None:
        self.ports = {name: str(free_port()) for name in PORTS}
        self.name = f"twinscore-test-{os.getpid()}"

    def compose(self, *arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "docker-compose"), "--project-name", self.name]
        command += [part for file in FILES for part in ("-f", file)] + list(arguments)
        environment = {**os.environ, **self.ports, "REPOSITORY": REPOSITORY, "VERSION": __version__}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def address(self, port: str) -> str:
        return f"127.0.0.1:{self.ports[port]}"

    def url(self, port: str) -> str:
        return f"http://{self.address(port)}"

    def command(self, line: str) -> None:
        """One command of the proxy's runtime API."""
        with socket.create_connection(("127.0.0.1", int(self.ports["ADMIN_PORT"]))) as connection:
            connection.sendall(line.encode() + b"\n")
            assert connection.recv(4096).strip() == b""

    def containers(self) -> dict[str, str]:
        """Identifiers by service, stopped ones too."""
        listed = docker(
            *("ps", "--all", "--filter", f"label=com.docker.compose.project={self.name}"),
            *("--format", '{{.Label "com.docker.compose.service"}} {{.ID}}'),
        )
        return dict(line.split() for line in listed.splitlines())


@pytest.fixture
def stack(images: Mapping[str, str]) -> Iterator[Stack]:
    docker(
        *("build", "--network", "host", "-t", f"{REPOSITORY}haproxy", "-f", "tests/images/haproxy.Dockerfile"),
        "tests/images",
        timeout=600,
    )
    built = Stack()
    try:
        yield built
    finally:
        built.compose("down", "--volumes", "--timeout", "5")
        assert built.containers() == {}


def test_it_comes_up_healthy_and_goes_down(stack: Stack, default_model: Path) -> None:
    stack.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180", "proxy")
    containers = stack.containers()
    assert set(containers) == {"fastapi", "bento", "proxy"}
    for service, container in containers.items():
        assert docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy", service

    verified = verify(stack.url("PROXY_PORT"), default_model)
    assert verified.returncode == 0, verified.stdout[-3000:]
    for port in ("FASTAPI_PORT", "BENTO_PORT"):
        assert counted(stack.address(port)) > 0

    # The runtime API, which `docker compose exec proxy` speaks to: all to FastAPI, then both again.
    stack.command("set server scoring/bento weight 0")
    before = counted(stack.address("BENTO_PORT"))
    assert {httpx.get(f"{stack.url('PROXY_PORT')}/model").status_code for _ in range(10)} == {200}
    assert counted(stack.address("BENTO_PORT")) == before
    stack.command("set server scoring/bento weight 50")

    # One variant stops and drains: the proxy sees it and no caller does.
    stopping = subprocess.Popen(["docker", "stop", "--time", "40", containers["fastapi"]], stdout=subprocess.DEVNULL)
    with httpx.Client(base_url=stack.url("PROXY_PORT")) as client:
        while stopping.poll() is None:
            assert client.get("/model").status_code == 200

    stack.compose("stop")
    for service in ("fastapi", "bento", "proxy"):
        assert docker("inspect", "--format", "{{.State.ExitCode}}", containers[service]) == "0", service
