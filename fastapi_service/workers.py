"""uvicorn's supervisor of several workers, which stops them as it was told to."""

from __future__ import annotations

import os
import signal
import time

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

POLL_SECONDS = 0.05


class Workers(Multiprocess):
    """SIGINT, which does not drain, reaches the workers as such; and a second signal ends them at once."""

    _signal = signal.SIGTERM

    @property
    def failed(self) -> bool:
        """A worker could not start."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)

    def handle_int(self) -> None:
        self._signal = signal.SIGINT
        super().handle_int()

    def terminate_all(self) -> None:
        for process in self.processes:
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, self._signal)

    def join_all(self) -> None:
        while any(process.exitcode is None for process in self.processes):
            if signal.SIGINT in self.signal_queue or signal.SIGTERM in self.signal_queue:
                for process in self.processes:
                    process.kill()
            time.sleep(POLL_SECONDS)
        super().join_all()
