"""Stopping without dropping a request.

Servers close their listeners as soon as they are told to stop, while a load balancer goes on sending until it has seen
`/readyz` fail. So SIGTERM is taken before the server gets it: `/readyz` turns 503 at once, the service answers for the
drain time, and only then is the signal handed to the server. SIGINT is left alone: it does not drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from types import FrameType
from typing import Any

import psutil

from shared.serving.gate import Gate
from shared.serving.supervisor import SUPERVISOR_VARIABLE, TOGETHER_SECONDS

PARENT_POLL_SECONDS = 1.0


class Drain:
    """SIGTERM of one worker process.

    Args:
        gate: tells `/readyz` and handlers.
        seconds: the drain time.
    """

    def __init__(self, gate: Gate, seconds: float) -> None:
        self._gate = gate
        self._seconds = seconds
        self._server: Callable[[int, FrameType | None], Any] | int | None = None
        self._begun: float | None = None
        self._supervised = False
        self._timer: asyncio.TimerHandle | None = None

    def install(self, supervisor: int | None = None) -> None:
        """Takes the signal from the server that runs this event loop; call it when the lifespan begins.

        Args:
            supervisor: process id of the parent that manages this worker: should it die, the worker drains and
                stops. None takes the parent that Python's multiprocessing knows of.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # embedded in somebody else's process: signals are theirs
        self._loop = asyncio.get_running_loop()
        self._server = signal.signal(signal.SIGTERM, self._on_sigterm)
        parent = parent_process()
        pid = supervisor or (parent.pid if parent else None)
        command = os.environ.get(SUPERVISOR_VARIABLE)
        if pid is not None or command is not None:
            self._supervised = True
            self._watch(pid, int(command) if command else None)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is at its end already
            self._loop.call_soon_threadsafe(self._begin if self._begun is None else self._again)

    def _begin(self) -> None:
        self._begun = self._loop.time()
        self._gate.begin_drain()
        self._timer = self._loop.call_later(self._seconds, self._finish)

    def _finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._gate.accepting = False
        signal.signal(signal.SIGTERM, self._server or signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    def _again(self) -> None:
        """Told a second time: what is in flight is not waited for."""
        if self._supervised and self._begun is not None and self._loop.time() - self._begun < TOGETHER_SECONDS:
            return
        self._finish()
        # uvicorn's servers take the second SIGINT for this.
        if callable(self._server):
            self._server(signal.SIGINT, None)

    def _watch(self, parent: int | None, command: int | None) -> None:
        # The parent may have died before this worker could see which process it was: the command is watched too.
        if parent in (None, os.getppid()) and (command is None or not _gone(command)):
            self._loop.call_later(PARENT_POLL_SECONDS, self._watch, parent, command)
        elif self._begun is None:
            self._begin()


def _gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except OSError:
        return False  # no descriptor is left to look with
