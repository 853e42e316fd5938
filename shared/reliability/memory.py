"""Resident memory of a service that is restarted and killed meanwhile: by the lifetime of each worker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from statistics import fmean

import psutil

from shared.reliability.services import Service

SAMPLE_SECONDS = 1.0
WARM_UP = 0.3
"""The share of a lifetime after which allocators and caches have settled."""

TAIL = 0.2


@dataclass
class Lifetime:
    """One worker process: when it was looked at, seconds, and how large it was, MB."""

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def length(self) -> float:
        """Seconds from the first look to the last."""
        return self.seconds[-1] - self.seconds[0]

    def mean(self, begin: float, end: float) -> float:
        """MB, over a part of the lifetime, given as shares of it."""
        first, last = (self.seconds[0] + share * self.length for share in (begin, end))
        sizes = [size for moment, size in zip(self.seconds, self.megabytes, strict=True) if first <= moment <= last]
        return fmean(sizes or self.megabytes)

    @property
    def warm(self) -> float:
        """MB after warm-up."""
        return self.mean(WARM_UP, WARM_UP + TAIL)

    @property
    def end(self) -> float:
        """MB at its end."""
        return self.mean(1 - TAIL, 1)


class MemoryWatch:
    """Looks at all processes of a service once a second, from `start` to `stop`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None
        self.workers: dict[tuple[int, float], Lifetime] = {}
        """By process id and the time it was created."""
        self.totals: list[float] = []
        """MB of all processes of the service together, each time that it ran."""

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Looks once more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._look()

    @property
    def longest(self) -> Lifetime | None:
        """Of the worker that was there for the longest time."""
        return max(self.workers.values(), key=lambda life: life.length, default=None)

    async def _run(self) -> None:
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _look(self) -> None:
        total = self._service.memory()
        if total:
            self.totals.append(total)
        for worker in self._service.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                life = self.workers.setdefault((worker.pid, worker.create_time()), Lifetime())
                life.megabytes.append(worker.memory_info().rss / 1e6)
                life.seconds.append(time.monotonic())
