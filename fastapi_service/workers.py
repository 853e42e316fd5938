"""uvicorn's supervisor of several workers, which stops them as it was told to."""

from __future__ import annotations

import os
import signal
import socket
import time
from types import FrameType
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess

from shared.serving.supervisor import TOGETHER_SECONDS

if TYPE_CHECKING:
    from fastapi import FastAPI

POLL_SECONDS = 0.05


def create_worker_app() -> FastAPI:
    """The application of a worker, which leads a session: Ctrl-C reaches its supervisor alone, which passes it on once."""
    from fastapi_service.app import create_app

    if os.name != "nt":
        os.setsid()
    return create_app()


class Workers(Multiprocess):
    """SIGINT, which does not drain, reaches the workers as such; and a second signal ends them at once."""

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._signal = signal.SIGTERM
        self._told: float | None = None
        signal.signal(signal.SIGTERM, self._on_sigterm)

    @property
    def failed(self) -> bool:
        """A worker could not start."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)

    def handle_int(self) -> None:
        self._signal = signal.SIGINT
        super().handle_int()

    def terminate_all(self) -> None:
        for process in self.processes:
            if os.name == "nt":
                process.terminate()
            elif process.exitcode is None and process.pid is not None:
                os.kill(process.pid, self._signal)

    def join_all(self) -> None:
        while any(process.exitcode is None for process in self.processes):
            if signal.SIGINT in self.signal_queue or signal.SIGTERM in self.signal_queue:
                for process in self.processes:
                    process.kill()
            time.sleep(POLL_SECONDS)
        super().join_all()

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._told is None or now - self._told > TOGETHER_SECONDS:
            self.signal_queue.append(number)
        self._told = self._told or now
