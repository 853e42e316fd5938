"""Variants in processes of their own, started by `twinscore serve`, and what can be done to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from shared.reliability.ports import free_port

START_SECONDS = 90.0
SIGNAL_SECONDS = 2.0
STOP_SECONDS = 60.0
SHOWN_CHARACTERS = 3000
VARIANTS = ("fastapi", "bento")


class StartError(Exception):
    """A service that did not become ready; the message has the end of its log."""


@contextlib.contextmanager
def on_cores(cores: frozenset[int] | None) -> Iterator[None]:
    """Keeps this thread, and the processes that it starts meanwhile for good, on these processors; None changes nothing."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Service:
    """One variant of one model, on one port; it can be started again after it has stopped.

    Args:
        variant: `fastapi` or `bento`.
        model: folder of the package.
        folder: for its log and BentoML's home.
        port: to listen on; None takes a free one.
        workers: processes that score.
        environment: settings; nothing of the caller's own `TWINSCORE_*` and `OTEL_*` reaches it.
        cores: processors that it may run on; None all.
    """

    def __init__(
        self,
        variant: str,
        model: Path,
        folder: Path,
        *,
        port: int | None = None,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        cores: frozenset[int] | None = None,
    ) -> None:
        self.variant = variant
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{variant}-{self.port}.log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
        self._environment = clean | {"BENTOML_HOME": str(folder / "bentoml"), **(environment or {})}
        self._command = [sys.executable, "-m", "shared.cli", "serve", variant, "--port", str(self.port)]
        self._command += ["--model", str(model.resolve()), "--workers", str(workers)]
        self._cores = cores
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Starts the processes and does not wait."""
        with self.log.open("ab") as output, on_cores(self._cores):
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )

    async def start(self) -> None:
        """Starts it and waits until it is ready. Raises StartError."""
        self.begin()
        assert self.process is not None
        until = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(self.is_ready):
            if self.process.poll() is not None or time.monotonic() > until:
                code = self.process.poll()
                end = self.log.read_text(errors="replace")[-SHOWN_CHARACTERS:]
                raise StartError(f"{self.variant} did not become ready (exit code {code}):\n{end}")
            await asyncio.sleep(0.1)

    def is_ready(self) -> bool:
        return self.status("/readyz") == 200

    def status(self, path: str, timeout: float = 2.0) -> int | None:
        """The status of a GET, or None where nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def metrics(self) -> dict[str, float]:
        """The samples of `GET /metrics` by name and labels. Raises OSError."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    async def stopped(self) -> int:
        """Waits for the end and returns the exit code. Raises subprocess.TimeoutExpired."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    def kill(self) -> None:
        """Ends all its processes, at once."""
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process is not None:
            self.process.wait()
        psutil.wait_procs(family, timeout=5)

    def family(self) -> list[psutil.Process]:
        """Its processes, the command first; none where it is not running."""
        if self.process is None or self.process.poll() is not None:
            return []
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def memory(self) -> float:
        """Resident memory of all its processes, MB."""
        total = 0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6

    def workers(self) -> list[psutil.Process]:
        """The processes that score: those that have no children, but for the one that cleans up after multiprocessing."""
        family = self.family()
        parents, found = set(), []
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                parents.add(process.ppid())
                if process.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(process.cmdline()):
                    found.append(process)
        return [process for process in found if process.pid not in parents]

    def stop_worker(self) -> tuple[psutil.Process, frozenset[int]]:
        """SIGSTOPs the worker with the most connections; returns it and the ports of the other ends of those."""
        worker = max(self.workers(), key=lambda process: (len(_peers(process, self.port)), process.memory_info().rss))
        worker.send_signal(signal.SIGSTOP)
        # It takes effect some time later, and until then more connections may be accepted.
        until = time.monotonic() + SIGNAL_SECONDS
        while worker.status() != psutil.STATUS_STOPPED and time.monotonic() < until:
            time.sleep(0.001)
        return worker, _peers(worker, self.port)


def _peers(process: psutil.Process, port: int) -> frozenset[int]:
    """Remote ports of the connections that a process has accepted on `port`, those the client has closed too."""
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return frozenset()
    return frozenset(c.raddr.port for c in connections if c.raddr and c.laddr.port == port)
