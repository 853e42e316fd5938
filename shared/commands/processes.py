"""Running the services as child processes, and leaving none behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from shared.contract.errors import UserError
from shared.serving.drain import SUPERVISOR_VARIABLE
from shared.telemetry.multiprocess import DIRECTORY_VARIABLE

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ServiceCommand:
    """How to start one variant.

    Attributes:
        name: what to call it in messages.
        arguments: the command line after the Python interpreter.
        environment: added to this process's own.
        url: where it will listen.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    url: str


class Services:
    """Child processes that live and die together.

    Each runs in a session of its own, so that Ctrl-C reaches only this process, which then passes the signal on once.

    Args:
        commands: the services to run.
        stop_seconds: how long they may take to stop before they are killed.
        metrics: a folder in which each gets one for its metrics.
    """

    def __init__(self, commands: Sequence[ServiceCommand], *, stop_seconds: float, metrics: Path) -> None:
        self._metrics = metrics
        self._commands = commands
        self._stop_seconds = stop_seconds
        self._children: list[subprocess.Popen[bytes]] = []
        self._signals: list[int] = []

    def run(self, when_ready: Callable[[], None]) -> int:
        """Starts all, calls `when_ready` once every one is ready, and waits. Returns the exit code.

        A signal stops them all. A child that ends by itself stops the others: its exit code is returned, 1 for 0.
        """
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for command in self._commands:
                folder = str(self._metrics / command.name)
                environment = {**os.environ, **command.environment, DIRECTORY_VARIABLE: folder}
                environment[SUPERVISOR_VARIABLE] = str(os.getpid())
                self._children.append(
                    subprocess.Popen(
                        [sys.executable, *command.arguments],
                        env=environment,
                        start_new_session=True,
                        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                    )
                )
            if self._until_ready():
                when_ready()
            while not self._signals and self._ended() is None:
                time.sleep(POLL_SECONDS)
            return 0 if self._signals else (self._ended() or 1)
        finally:
            self._stop()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _ended(self) -> int | None:
        codes = [code for child in self._children if (code := child.poll()) is not None]
        return codes[0] if codes else None

    def _until_ready(self) -> bool:
        waiting = [command.url for command in self._commands]
        while waiting and not self._signals and self._ended() is None:
            waiting = [url for url in waiting if not is_ready(url)]
            time.sleep(POLL_SECONDS)
        return not waiting

    def _stop(self) -> None:
        """Passes the signal on; a second signal, or the time being over, ends every process there is."""
        first = self._signals[0] if self._signals else signal.SIGTERM
        family = [process for child in self._children for process in _family(child.pid)]
        leaders = {child.pid for child in self._children}
        for process in family:
            # SIGINT goes to all, as in a terminal: a supervisor that got it alone would stop its workers with
            # SIGTERM, which drains.
            if process.pid in leaders or first == signal.SIGINT:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(first)
        until = time.monotonic() + self._stop_seconds
        passed_on = max(len(self._signals), 1)
        while any(child.poll() is None for child in self._children):
            if time.monotonic() > until or len(self._signals) > passed_on:
                break
            time.sleep(POLL_SECONDS)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for child in self._children:
            child.wait()


def _family(pid: int) -> list[psutil.Process]:
    """A process and all that it started; BentoML's workers lead sessions of their own, so no group holds them."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _die_with_parent() -> None:
    """In the child: SIGTERM when the parent is gone, even by SIGKILL."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def check_port(host: str, port: int, variable: str) -> None:
    """Raises UserError if something listens on the port already."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another {variable}") from None
