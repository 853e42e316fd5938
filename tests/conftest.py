"""Fixtures that start the real thing: `twinscore serve` in a process of its own, on a free port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from shared.model.locate import latest_package
from shared.model.manifest import MANIFEST_FILE, Manifest
from shared.model.package import ModelPackage, load_package
from shared.reliability.ports import free_port
from shared.telemetry.multiprocess import use_directory

# Before anything imports prometheus_client, which decides then where this process keeps its metrics.
use_directory()

VARIANTS = ("fastapi", "bento")
ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 30.0

StartServer = Callable[..., "Server"]


@dataclass
class Server:
    """A running service.

    Attributes:
        url: its base, without a slash at the end.
        process: of the `twinscore serve` that runs it, or None where somebody else started it.
        log: what the process has printed, standard output and error.
    """

    url: str
    process: subprocess.Popen[bytes] | None
    log: Path | None

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends the signal, waits, and returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--base-url", help="run the contract suite against a service that is running already")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a test spends about half its time waiting for the processes it started."""
    return min((os.cpu_count() or 1) + 1, 4)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@contextmanager
def running(
    variant: str,
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    ca: Path | None = None,
) -> Iterator[Server]:
    """`twinscore serve VARIANT`, ready to answer; stopped at the end, whatever happens.

    `folder` holds its log and BentoML's home; nothing of the caller's own settings reaches it. `ca` is of a service that
    speaks TLS.
    """
    port = free_port()
    log = folder / f"{variant}-{port}.log"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
    clean |= {"BENTOML_HOME": str(folder / "bentoml"), "TWINSCORE_DRAIN_SECONDS": "0", **(environment or {})}
    command = [sys.executable, "-m", "shared.cli", "serve", variant, "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=clean, stdout=output, stderr=subprocess.STDOUT)
    server = Server(f"{'https' if ca else 'http'}://127.0.0.1:{port}", process, log)
    try:
        _wait_until_ready(server, True if ca is None else ssl.create_default_context(cafile=ca))
        yield server
    finally:
        server.stop()


def _wait_until_ready(server: Server, verify: ssl.SSLContext | bool) -> None:
    assert server.process is not None
    assert server.log is not None
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.process.poll() is not None:
            break
        try:
            if httpx.get(f"{server.url}/readyz", timeout=1, verify=verify).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the service did not become ready:\n{server.log.read_text()}")


@pytest.fixture(scope="session")
def package() -> ModelPackage:
    """The default model package, with XGBoost as its predictor: the reference."""
    return load_package(latest_package(ROOT / "models"), "xgboost")


@pytest.fixture(scope="session")
def default_model(package: ModelPackage) -> Path:
    return package.directory


def copy_with_a_wrong_golden_row(model: Path, directory: Path) -> Path:
    """The same package at `directory`, its digests right, but for a golden row whose probability is another."""
    shutil.copytree(model, directory)
    document = json.loads((directory / MANIFEST_FILE).read_text())
    document["golden"]["probabilities"][0] += 0.1
    document["sha256"] = Manifest.model_validate(document).digest()
    (directory / MANIFEST_FILE).write_text(json.dumps(document))
    return directory


def make_certificate(certificate: Path, key: Path, *names: str) -> None:
    """Writes a certificate that is its own authority, and its key, by `openssl`."""
    subject = ["-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={','.join(map(_alternative, names))}"]
    files = ["-keyout", key, "-out", certificate]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject], check=True, capture_output=True
    )


def _alternative(name: str) -> str:
    return f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}"


@pytest.fixture
def start_server(tmp_path: Path, default_model: Path) -> Iterator[StartServer]:
    """Starts further servers: `start_server(variant, *options, environment=...)`; stopped after the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(variant: str, *options: str, environment: Mapping[str, str] | None = None) -> Server:
            if "--model" not in options:
                options = (*options, "--model", str(default_model))
            return stack.enter_context(running(variant, tmp_path, *options, environment=environment))

        yield start
