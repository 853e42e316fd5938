"""SIGTERM drains: not ready at once, answering for the drain time, then gone with exit code 0."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from shared.model.package import ModelPackage
from shared.serving.supervisor import TOGETHER_SECONDS
from tests.conftest import VARIANTS, StartServer
from tests.processes.test_serve import golden_request

DRAIN_SECONDS = 5
DRAIN = {"TWINSCORE_DRAIN_SECONDS": str(DRAIN_SECONDS)}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_draining_service_is_not_ready_but_answers(
    variant: str, workers: str, start_server: StartServer, package: ModelPackage
) -> None:
    server = start_server(variant, "--workers", workers, environment=DRAIN)
    assert server.process is not None
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/readyz").status_code == 200
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        while (refused := client.get("/readyz")).status_code == 200:
            continue
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert client.post("/score", json=golden_request(package)).status_code == 200
        assert client.get("/livez").status_code == 200
    assert server.process.wait(30) == 0
    assert time.monotonic() - began >= DRAIN_SECONDS


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_request_is_lost_while_it_drains_under_load(
    variant: str, start_server: StartServer, package: ModelPackage
) -> None:
    """A client that heeds /readyz, as a load balancer does, loses nothing."""
    server = start_server(variant, environment=DRAIN)
    assert server.process is not None
    statuses: list[int] = []

    def send_until_not_ready() -> None:
        with httpx.Client(base_url=server.url, timeout=10) as client:
            while client.get("/readyz").status_code == 200:
                statuses.extend(client.post("/score", json=golden_request(package)).status_code for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(send_until_not_ready) for _ in range(8)]
        while len(statuses) < 100 and not any(client.done() for client in clients):
            time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.result(timeout=60)
    assert server.process.wait(30) == 0
    assert len(statuses) > 100
    assert set(statuses) == {200}


@pytest.mark.parametrize("variant", VARIANTS)
def test_ctrl_c_does_not_drain(variant: str, start_server: StartServer) -> None:
    server = start_server(variant, environment={"TWINSCORE_DRAIN_SECONDS": "600"})
    assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_second_sigterm_ends_it_at_once(variant: str, start_server: StartServer) -> None:
    server = start_server(variant, environment={"TWINSCORE_DRAIN_SECONDS": "60"})
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    while httpx.get(f"{server.url}/readyz").status_code == 200:
        continue
    time.sleep(2 * TOGETHER_SECONDS)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(50) == 0
    assert time.monotonic() - began < 45


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_outlives_a_killed_supervisor(variant: str, start_server: StartServer) -> None:
    server = start_server(variant, "--workers", "2")
    assert server.process is not None
    family = psutil.Process(server.process.pid).children(recursive=True)
    server.process.kill()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_worker_outlives_the_server_that_manages_it(variant: str, start_server: StartServer) -> None:
    server = start_server(variant, "--workers", "2")
    assert server.process is not None
    manager = psutil.Process(server.process.pid).children()[0]
    workers = manager.children(recursive=True)
    manager.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
