"""A full disk and no file descriptors: what is being served goes on, and all of it again when there is room."""

from __future__ import annotations

import asyncio
import io
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from shared.contract import routes
from shared.model.package import ModelPackage
from shared.reliability.services import Service
from shared.telemetry.multiprocess import DIRECTORY_VARIABLE
from tests.conftest import ROOT, VARIANTS
from tests.faults.conftest import eventually, scores
from tests.raw import Connection

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
DISK_MB = 4
FILES = 160
"""That a service may have open: it needs some 80 itself."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    file = folder / "fill"
    with file.open("wb", buffering=0) as output:
        for size in (1 << 16, 1 << 12, 1):
            with pytest.raises(OSError, match="No space left"):
                _write_on(output, size)
    return file


def _write_on(output: io.FileIO, size: int) -> None:
    while True:
        output.write(bytes(size))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_disk_that_fills_up_while_serving(
    variant: str, disk: Path, default_model: Path, tmp_path: Path, package: ModelPackage
) -> None:
    """The metrics go on as well, but for series that there were none of before."""
    service = Service(variant, default_model, tmp_path, environment={"TMPDIR": str(disk)})
    row = package.manifest.golden.rows[0]
    try:
        asyncio.run(service.start())
        assert list(disk.glob("**/*.db"))
        file = fill(disk)
        with httpx.Client(base_url=service.url, timeout=30) as client:
            for method in METHODS:
                for path in (*routes.ROUTES, "/docs/none", "/none"):
                    if (method, path) != ("GET", routes.METRICS):
                        client.request(method, path)
            for _ in range(50):
                assert client.post(routes.SCORE, json={"features": row}).status_code == 200
        assert "no room for more metrics" in service.log.read_text()
        metrics = service.metrics()
        assert metrics["twinscore_probability_count"] >= 50
        assert metrics["twinscore_worker_starts_total"] == 1
        file.unlink()
        assert scores(service, row) == 200
        assert service.metrics()["twinscore_probability_count"] >= 51
        assert "Traceback" not in service.log.read_text()
    finally:
        service.kill()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_disk_that_is_full_at_the_start(variant: str, disk: Path, default_model: Path, tmp_path: Path) -> None:
    fill(disk)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))},
        "TWINSCORE_MODEL": str(default_model),
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        DIRECTORY_VARIABLE: str(disk / "metrics"),
    }
    done = subprocess.run(
        [sys.executable, "-m", f"{variant}_service"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.fullmatch(r"Error: the metrics cannot be kept in .*: No space left on device; .*\n", done.stderr)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_file_descriptors_left(variant: str, default_model: Path, tmp_path: Path, package: ModelPackage) -> None:
    """New clients are sent away; those who are there are served, and all are when others have gone."""
    row = package.manifest.golden.rows[0]
    service = Service(variant, default_model, tmp_path, environment={"TWINSCORE_ACCESS_LOG": "false"})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, limits[1]))
    try:
        service.begin()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    try:
        eventually(service.is_ready, 60)
        worker = max(service.workers(), key=lambda process: process.memory_info().rss)
        with ExitStack() as stack, httpx.Client(base_url=service.url, timeout=30) as there:
            assert there.post(routes.SCORE, json={"features": row}).status_code == 200
            for _ in range(2 * FILES):
                stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
            eventually(lambda: worker.num_fds() >= FILES - 2)
            used, began = _seconds(worker), time.monotonic()
            with Connection(service.url) as late:
                assert late.is_closed()
                for _ in range(10):
                    assert there.post(routes.SCORE, json={"features": row}).status_code == 200
                    assert there.get(routes.READYZ).status_code == 200
                time.sleep(1.2)  # what is done once a second is done meanwhile
            # It does not turn in circles over what it cannot accept.
            assert _seconds(worker) - used < 0.5 * (time.monotonic() - began)
        eventually(lambda: _served(service, row))
        log = service.log.read_text()
        assert "Traceback" not in log
        assert len(log.splitlines()) < 50
    finally:
        service.kill()


def _seconds(process: psutil.Process) -> float:
    """Of processor time."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _served(service: Service, row: list[float | None]) -> bool:
    try:
        return scores(service, row) == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_service_that_goes_on_dying(variant: str, default_model: Path, tmp_path: Path) -> None:
    """Ten times in a minute it is started again; whoever started `twinscore serve` knows better what to do then."""
    service = Service(variant, default_model, tmp_path)
    try:
        asyncio.run(service.start())
        # What dies before the command itself saw it ready stops it at once.
        eventually(lambda: "is ready on" in service.log.read_text(), 10)
        assert service.process is not None
        serve = psutil.Process(service.process.pid)
        killed: set[int] = set()

        def kill() -> bool:
            if service.process is None or service.process.poll() is not None:
                return True
            for child in serve.children():
                if child.pid not in killed:
                    killed.add(child.pid)
                    child.kill()
            return False

        eventually(kill, 60)
        assert service.process.returncode
        assert service.log.read_text().count("started again") == 10
        assert len(killed) == 11
    finally:
        service.kill()
