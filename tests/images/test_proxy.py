"""The stack's proxy, run from its configuration outside a container, before both services."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from shared.reliability.ports import free_port
from tests.conftest import ROOT, START_SECONDS, StartServer

CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="HAProxy is not installed (Debian: apt-get install haproxy)"
)


@dataclass
class Proxy:
    url: str
    admin: Path

    def command(self, line: str) -> str:
        """One command of HAProxy's runtime API, and its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.admin))
            connection.sendall(line.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def up(self) -> set[str]:
        rows = [line.split(",") for line in self.command("show stat").splitlines()]
        return {row[1] for row in rows if row[0] == "scoring" and row[1] != "BACKEND" and row[17] == "UP"}

    def until_up(self, *names: str) -> None:
        until = time.monotonic() + START_SECONDS
        while self.up() != set(names):
            assert time.monotonic() < until
            time.sleep(0.05)

    def answers(self, count: int) -> list[int]:
        """Asks for the model card that many times, and returns the status codes."""
        with httpx.Client(base_url=self.url) as client:
            return [client.get("/model").status_code for _ in range(count)]


@pytest.fixture
def addresses(start_server: StartServer) -> dict[str, str]:
    return {name: start_server(name).url.removeprefix("http://") for name in ("fastapi", "bento")}


@pytest.fixture
def proxy(addresses: dict[str, str], tmp_path: Path) -> Iterator[Proxy]:
    started = Proxy(f"http://127.0.0.1:{free_port()}", tmp_path / "admin")
    environment = {
        "LISTEN": started.url.removeprefix("http://"),
        "ADMIN": str(started.admin),
        "FASTAPI_WEIGHT": "75",
        "BENTO_WEIGHT": "25",
        **{f"{name.upper()}_ADDRESS": address for name, address in addresses.items()},
    }
    process = subprocess.Popen(
        ["haproxy", "-W", "-db", "-f", str(CONFIGURATION)],
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not started.admin.exists():
            assert process.poll() is None
            time.sleep(0.02)
        started.until_up("fastapi", "bento")
        yield started
    finally:
        process.terminate()
        process.wait(30)


def counted(address: str) -> float:
    """Answers to GET /model that the service has given."""
    name = 'twinscore_http_requests_total{method="GET",route="/model",status="200"} '
    (line,) = [line for line in httpx.get(f"http://{address}/metrics").text.splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


def test_weights_split_the_traffic_and_move_it(proxy: Proxy, addresses: dict[str, str]) -> None:
    def shares(count: int) -> dict[str, float]:
        before = {name: counted(address) for name, address in addresses.items()}
        assert set(proxy.answers(count)) == {200}
        return {name: counted(address) - before[name] for name, address in addresses.items()}

    assert shares(40) == {"fastapi": 30, "bento": 10}
    proxy.command("set server scoring/fastapi weight 0")
    assert shares(20) == {"fastapi": 0, "bento": 20}
    proxy.command("set server scoring/fastapi weight 256")
    proxy.command("set server scoring/bento weight 0")
    assert shares(20) == {"fastapi": 20, "bento": 0}

    proxy.command("set server scoring/fastapi weight 0")
    refused = httpx.get(f"{proxy.url}/model", headers={"x-request-id": "mine-1"})
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-request-id"] == refused.json()["request_id"] == "mine-1"
    assert refused.json()["type"] == "urn:twinscore:problem:not-ready"
