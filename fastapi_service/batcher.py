"""Batches that form by themselves: rows that queue while the predictor is busy are predicted together.

There is no timer. A row that finds the loop idle is predicted in the same turn of the loop; under load, the rows of
all requests that were read in one turn share a batch.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from shared.model.predictor import Probabilities, Rows
from shared.serving.inference import Inference

if TYPE_CHECKING:
    from shared.telemetry.metrics import Metrics

Job = tuple[Rows, asyncio.Future[float], float]
"""A row, shape (1, features), the future of its probability, and when it was queued (`time.perf_counter`)."""


class Batcher:
    """Puts single rows together.

    Args:
        inference: predicts the batches.
        metrics: how long rows wait is noted there.
        max_batch_rows: rows in one batch at most; 1 predicts every row alone.
    """

    def __init__(self, inference: Inference, metrics: Metrics, *, max_batch_rows: int) -> None:
        self._inference = inference
        # A batch that holds the loop for too long would be cut into slices: form the slices at once.
        self._max_rows = min(max_batch_rows, inference.slice_rows) if inference.inline else max_batch_rows
        self._waits = metrics.queue_seconds.pending
        self._queue: deque[Job] = deque()
        self._running: asyncio.Task[None] | None = None
        self._scheduled = False

    async def predict(self, row: Rows) -> float:
        """Shape (1, features) to its probability.

        A caller that is cancelled while its row is queued takes the row out of the queue.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        self._queue.append((row, future, time.perf_counter()))
        if not self._scheduled and self._running is None:
            self._scheduled = True
            loop.call_soon(self._flush)
        return await future

    def _flush(self) -> None:
        self._scheduled = False
        jobs = self._take()
        if not jobs:
            return
        if self._inference.inline:
            try:
                self._answer(jobs, self._inference.predict_now(_stack(jobs)))
            except Exception as error:
                self._fail(jobs, error)
            self._continue()
        else:
            self._running = asyncio.ensure_future(self._run(jobs))

    async def _run(self, jobs: list[Job]) -> None:
        try:
            self._answer(jobs, await self._inference.predict(_stack(jobs)))
        except Exception as error:
            self._fail(jobs, error)
        finally:
            self._running = None
            self._continue()

    def _continue(self) -> None:
        if self._queue and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _take(self) -> list[Job]:
        jobs: list[Job] = []
        now = time.perf_counter()
        while self._queue and len(jobs) < self._max_rows:
            job = self._queue.popleft()
            if not job[1].done():
                jobs.append(job)
                self._waits.append(now - job[2])
        return jobs

    @staticmethod
    def _answer(jobs: list[Job], probabilities: Probabilities) -> None:
        for (_, future, _), probability in zip(jobs, probabilities.tolist(), strict=True):
            if not future.done():
                future.set_result(probability)

    @staticmethod
    def _fail(jobs: list[Job], error: Exception) -> None:
        for _, future, _ in jobs:
            if not future.done():
                future.set_exception(error)


def _stack(jobs: list[Job]) -> Rows:
    return jobs[0][0] if len(jobs) == 1 else np.concatenate([row for row, _, _ in jobs])
