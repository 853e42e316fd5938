"""What a supervisor does in odd moments: nobody reads what it says, its own child leaves workers behind, it is told twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shared.model.package import ModelPackage
from shared.reliability.ports import free_port
from shared.serving.supervisor import TOGETHER_SECONDS, is_ready
from tests.conftest import ROOT, START_SECONDS, VARIANTS, copy_with_a_wrong_golden_row
from tests.raw import Connection, request

AT_ONCE_SECONDS = 15
SETTLE_SECONDS = 1.0
"""Until the supervisor has seen for itself that all are ready."""


def until(condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextlib.contextmanager
def started(
    module: list[str], folder: Path, model: Path, *, stderr: int, session: bool = False, **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server on a port of its own, ready; killed with all its processes at the end."""
    port = free_port()
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
    environment = {
        **clean,
        "TMPDIR": str(folder),
        "BENTOML_HOME": str(folder / "bentoml"),
        "TWINSCORE_MODEL": str(model),
        "TWINSCORE_PORT": str(port),
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *module], cwd=ROOT, env=environment, stderr=stderr, start_new_session=session
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or is_ready(url))
        time.sleep(SETTLE_SECONDS)
        assert process.poll() is None
        yield process, url
    finally:
        if process.poll() is None:
            for member in [*psutil.Process(process.pid).children(recursive=True), process]:
                member.kill()
        process.wait()


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("where", ["full disk", "closed pipe", "full pipe"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_worker_is_replaced_though_nothing_can_be_written(
    variant: str, where: str, default_model: Path, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    if where == "full disk":
        writing, _ = os.open("/dev/full", os.O_WRONLY), os.close(writing)
    elif where == "full pipe":
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
    try:
        serve = ["shared.cli", "serve", variant]
        with started(serve, tmp_path, default_model, stderr=writing, TWINSCORE_DRAIN_SECONDS="0") as (process, url):
            if where == "closed pipe":
                os.close(writing)
                writing = os.open(os.devnull, os.O_WRONLY)
                os.close(reading)
                reading = os.open(os.devnull, os.O_RDONLY)
            (worker,) = workers_of(process)
            worker.kill()
            until(lambda: worker not in workers_of(process) and is_ready(url))
            assert process.poll() is None
            process.terminate()
            assert process.wait(AT_ONCE_SECONDS) == 0
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("variant", VARIANTS)
def test_workers_that_are_left_behind_are_waited_for(variant: str, default_model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    serve = ["shared.cli", "serve", variant, "--workers", "2"]
    with (
        log.open("wb") as output,
        started(serve, tmp_path, default_model, stderr=output.fileno(), TWINSCORE_DRAIN_SECONDS="4") as (process, url),
    ):
        manager = psutil.Process(process.pid).children()[0]
        left = manager.children(recursive=True)
        manager.kill()
        until(lambda: log.read_text().count("started again") == 1)
        _, alive = psutil.wait_procs(left, timeout=START_SECONDS)
        assert alive == []
        until(lambda: is_ready(url))
        assert process.poll() is None
        assert log.read_text().count("started again") == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_closed_terminal_stops_it_and_leaves_nothing(variant: str, default_model: Path, tmp_path: Path) -> None:
    serve = ["shared.cli", "serve", variant]
    with started(serve, tmp_path, default_model, stderr=2, TWINSCORE_DRAIN_SECONDS="0") as (process, _):
        assert list(tmp_path.glob("twinscore-metrics-*"))
        process.send_signal(signal.SIGHUP)
        assert process.wait(AT_ONCE_SECONDS) == 0
    assert list(tmp_path.glob("twinscore-metrics-*")) == []


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_second_signal_waits_for_no_request(variant: str, workers: str, default_model: Path, tmp_path: Path) -> None:
    """As process 1 of a container, without `twinscore serve` above it."""
    settings = {
        "TWINSCORE_WORKERS": workers,
        "TWINSCORE_DRAIN_SECONDS": "60",
        "TWINSCORE_DEADLINE_SECONDS": "60",
    }
    with (
        started([f"{variant}_service"], tmp_path, default_model, stderr=2, **settings) as (process, url),
        Connection(url) as connection,
    ):
        connection.send(request("POST", "/score", b"x" * 100)[:-1])
        process.terminate()
        until(lambda: not is_ready(url))
        time.sleep(2 * TOGETHER_SECONDS)
        process.terminate()
        assert process.wait(AT_ONCE_SECONDS) is not None


@pytest.mark.parametrize("how", ["SIGINT to the group", "SIGINT to serve", "SIGTERM to every process"])
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_who_is_told_by_several_loses_no_request(
    variant: str, workers: str, how: str, default_model: Path, package: ModelPackage, tmp_path: Path
) -> None:
    """A terminal tells the whole group, systemd every process, and supervisors their workers besides."""
    settings = {"TWINSCORE_WORKERS": workers, "TWINSCORE_DRAIN_SECONDS": "3"}
    module = [f"{variant}_service"] if "group" in how else ["shared.cli", "serve", variant]
    content = request("POST", "/score", json.dumps({"features": package.manifest.golden.rows[0]}).encode())
    with (
        started(module, tmp_path, default_model, stderr=2, session=True, **settings) as (process, url),
        contextlib.ExitStack() as stack,
    ):
        connections = [stack.enter_context(Connection(url)) for _ in range(8)]
        for connection in connections:
            connection.send(content[:-1])
        time.sleep(SETTLE_SECONDS)
        if "group" in how:
            os.killpg(process.pid, signal.SIGINT)
        elif "every" in how:
            for member in [process, *workers_of(process)]:
                member.send_signal(signal.SIGTERM)
        else:
            process.send_signal(signal.SIGINT)
        time.sleep(SETTLE_SECONDS)
        for connection in connections:
            connection.send(content[-1:])
        assert {connection.read("POST").status for connection in connections} == {200}
        assert process.wait(AT_ONCE_SECONDS) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_workers_that_cannot_start_fail_the_process(variant: str, default_model: Path, tmp_path: Path) -> None:
    """What runs a container starts it again, or tells, by the exit code."""
    wrong = copy_with_a_wrong_golden_row(default_model, tmp_path / "wrong")
    settings = {"TWINSCORE_MODEL": str(wrong), "TWINSCORE_PORT": str(free_port()), "TWINSCORE_WORKERS": "2"}
    done = subprocess.run(
        [sys.executable, "-m", f"{variant}_service"],
        cwd=ROOT,
        env={**os.environ, "BENTOML_HOME": str(tmp_path / "bentoml"), **settings},
        timeout=START_SECONDS,
        check=False,
    )
    assert done.returncode > 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_sigint_to_the_process_alone_does_not_drain(variant: str, default_model: Path, tmp_path: Path) -> None:
    settings = {"TWINSCORE_WORKERS": "2", "TWINSCORE_DRAIN_SECONDS": "60"}
    with started([f"{variant}_service"], tmp_path, default_model, stderr=2, **settings) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(AT_ONCE_SECONDS) == 0
