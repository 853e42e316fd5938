"""Child processes that live and die together: whole services, or the workers of one. Nothing heavy is imported here.

What has served before is started again when it dies unasked; what dies before it could serve stops everything, for
then it is a setting or a file that is wrong. A signal is passed on once, and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

SUPERVISOR_VARIABLE = "TWINSCORE_SUPERVISOR_PID"
"""Process id of the outermost supervisor, for the processes it starts, however deep."""

HANGUP = getattr(signal, "SIGHUP", None)
TOGETHER_SECONDS = 1.0
"""systemd tells every process of a service to stop, and their supervisor tells its workers: within this they are told once."""

POLL_SECONDS = 0.02
MAX_RESTARTS, RESTART_SECONDS = 10, 60.0
"""More restarts than this in that time, and the supervisor gives up: whoever started it knows better what to do."""


@dataclass(frozen=True)
class Child:
    """How to start one process.

    Attributes:
        name: what to call it in messages.
        arguments: the command line after the Python interpreter.
        environment: added to this process's own.
        url: where it will listen.
        port: host and port that it opens itself; None where it is given an open socket.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    url: str
    port: tuple[str, int] | None = None


class Supervisor:
    """Runs children, each in a session of its own, so that Ctrl-C reaches only this process.

    Args:
        children: what to run.
        stop_seconds: asked, once they are to stop, for how long they may take before they are killed.
        file_descriptors: what they inherit.
    """

    def __init__(
        self, children: Sequence[Child], *, stop_seconds: Callable[[], float], file_descriptors: Sequence[int] = ()
    ) -> None:
        self._children = children
        self._stop_seconds = stop_seconds
        self._file_descriptors = file_descriptors
        self._running: list[subprocess.Popen[bytes]] = []
        self._signals: list[int] = []
        self._told = 0.0
        self._settled = False
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._waiting: dict[int, float] = {}
        """Children that have died and are not started again yet, and until when their port is waited for."""

    def run(self, when_ready: Callable[[], None] | None = None) -> int:
        """Starts all, calls `when_ready` once every one is ready, and waits. Returns the exit code.

        A signal stops them all: 0. A child that ends before all are ready stops the others: its exit code, 1 for 0.
        """
        numbers = [signal.SIGINT, signal.SIGTERM]
        # The terminal was closed: it stops as it would by SIGTERM, unless `nohup` says otherwise.
        if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
            numbers.append(HANGUP)
        handlers = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            self._running = [self._start(child) for child in self._children]
            if self._until_ready() and when_ready is not None:
                when_ready()
            while not self._signals and self._until_replaced():
                time.sleep(POLL_SECONDS)
            return 0 if self._signals else (self._ended() or 1)
        finally:
            self._stop()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _start(self, child: Child) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *child.arguments],
            env={SUPERVISOR_VARIABLE: str(os.getpid()), **os.environ, **child.environment},
            start_new_session=True,
            pass_fds=self._file_descriptors,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        number = signal.SIGTERM if number == HANGUP else number
        now = time.monotonic()
        if number != signal.SIGTERM or not self._signals or now - self._told > TOGETHER_SECONDS:
            self._signals.append(number)
        if len(self._signals) == 1:
            self._told = now

    def _ended(self) -> int | None:
        codes = [code for child in self._running if (code := child.poll()) is not None]
        return codes[0] if codes else None

    def _until_ready(self) -> bool:
        waiting = {child.url for child in self._children}
        while waiting and not self._signals and self._ended() is None:
            waiting = {url for url in waiting if not is_ready(url)}
            time.sleep(POLL_SECONDS)
        self._settled = not waiting
        return self._settled

    def _until_replaced(self) -> bool:
        """Starts again what has died. False when that is of no use."""
        for index, (child, process) in enumerate(zip(self._children, self._running, strict=True)):
            code = process.poll()
            if code is None:
                continue
            now = time.monotonic()
            if index not in self._waiting:
                often = len(self._restarts) == MAX_RESTARTS and now - self._restarts[0] < RESTART_SECONDS
                if not self._settled or often:
                    return False
                self._restarts.append(now)
                tell(f"{child.name} ended with code {code}: started again")
                self._waiting[index] = now + self._stop_seconds()
            # Processes that it has left behind serve on until they have drained, and have the port as long.
            if child.port is None or now > self._waiting[index] or _is_free(*child.port):
                del self._waiting[index]
                self._running[index] = self._start(child)
        return True

    def _stop(self) -> None:
        """Passes the signal on; a second signal, or the time being over, ends every process there is."""
        if all(child.poll() is not None for child in self._running):
            return
        first = self._signals[0] if self._signals else signal.SIGTERM
        families = [_family(process.pid) for process in self._running]
        for family in families:
            # A child that has workers passes it on.
            for process in family[:1]:
                with contextlib.suppress(ProcessLookupError, _no_such_process()):
                    process.send_signal(first)
        until = time.monotonic() + self._stop_seconds()
        while any(child.poll() is None for child in self._running):
            if time.monotonic() > until or len(self._signals) > 1:
                break
            time.sleep(POLL_SECONDS)
        for process in [process for family in families for process in family]:
            with contextlib.suppress(ProcessLookupError, _no_such_process()):
                process.kill()
        for running in self._running:
            running.wait()


def tell(text: str) -> None:
    """Writes a line to standard error, or nothing where nobody reads it or its disk is full."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = sys.stderr.fileno()
        # What a pipe that takes anything at all takes without waiting is longer than a line.
        if sys.platform == "win32" or select.select([], [number], [], 0)[1]:
            os.write(number, f"{text}\n".encode())


def try_port(host: str, port: int) -> None:
    """Raises OSError if something listens on the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _is_free(host: str, port: int) -> bool:
    try:
        try_port(host, port)
    except OSError:
        return False
    return True


def _no_such_process() -> type[Exception]:
    import psutil

    return psutil.NoSuchProcess


def _family(pid: int) -> list[psutil.Process]:
    """A process and all that it started; BentoML's workers lead sessions of their own, so no group holds them."""
    import psutil

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


def local_url(scheme: str, host: str, port: int) -> str:
    """Where this machine reaches a service that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_ready(url: str) -> bool:
    """Whether `GET /readyz` says so. A certificate is not verified: this is the process we started."""
    # Not urllib: its import would take as long as all the rest here.
    scheme, _, address = url.partition("://")
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1) as plain:
            connection: socket.socket = plain
            if scheme == "https":
                import ssl

                connection = ssl._create_unverified_context().wrap_socket(plain)
            with connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                return connection.recv(12).endswith(b" 200")
    except OSError:
        return False
