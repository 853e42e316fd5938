"""Batches that form by themselves: rows that queue while the predictor is busy are predicted together.

There is no timer. A row that finds the loop idle is predicted in the same turn of the loop; under load, the rows of
all requests that were read in a few turns share a batch.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.model.predictor import Probabilities, Rows
from shared.serving.gathering import schedule
from shared.serving.inference import Inference
from shared.telemetry.start import Telemetry

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


class Job(NamedTuple):
    """A row that waits for its batch.

    Attributes:
        row: shape (1, features).
        future: of its probability.
        queued: when it came (`time.perf_counter`).
        span: the server span of its request, where that is traced.
    """

    row: Rows
    future: asyncio.Future[float]
    queued: float
    span: SpanContext | None


class Batcher:
    """Puts single rows together.

    Args:
        inference: predicts the batches.
        telemetry: how long rows wait is noted there, and what was predicted together.
        max_batch_rows: rows in one batch at most; 1 predicts every row alone.
    """

    def __init__(self, inference: Inference, telemetry: Telemetry, *, max_batch_rows: int) -> None:
        self._inference = inference
        # A batch that holds the loop for too long would be cut into slices: form the slices at once.
        self._max_rows = min(max_batch_rows, inference.slice_rows) if inference.inline else max_batch_rows
        self._metrics = telemetry.metrics
        self._tracing = telemetry.tracing
        self._queue: deque[Job] = deque()
        self._running: asyncio.Task[None] | None = None
        self._scheduled = False
        self._company = False

    async def predict(self, row: Rows) -> float:
        """Shape (1, features) to its probability.

        A caller that is cancelled while its row is queued takes the row out of the queue.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        span = None if self._tracing is None else self._tracing.current()
        self._queue.append(Job(row, future, time.perf_counter(), span))
        if not self._scheduled and self._running is None:
            self._schedule()
        return await future

    def _flush(self) -> None:
        self._scheduled = False
        jobs = self._take()
        self._company = len(jobs) > 1
        if not jobs:
            return
        if self._inference.inline:
            start = time.perf_counter()
            try:
                self._answer(jobs, self._inference.predict_now(_stack(jobs)), start)
            except Exception as error:
                self._fail(jobs, error, start)
            self._continue()
        else:
            # In a context of its own: this one is that of whichever request scheduled the flush.
            self._running = asyncio.get_running_loop().create_task(self._run(jobs), context=Context())

    async def _run(self, jobs: list[Job]) -> None:
        start = time.perf_counter()
        try:
            self._answer(jobs, await self._inference.predict(_stack(jobs)), start)
        except Exception as error:
            self._fail(jobs, error, start)
        finally:
            self._running = None
            self._continue()

    def _continue(self) -> None:
        if self._queue and not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        schedule(asyncio.get_running_loop(), self._flush, self._queue, company=self._company)

    def _take(self) -> list[Job]:
        jobs: list[Job] = []
        now = time.perf_counter()
        while self._queue and len(jobs) < self._max_rows:
            job = self._queue.popleft()
            if not job.future.done():
                jobs.append(job)
        if self._metrics is not None:
            self._metrics.queue_seconds.pending.extend([now - job.queued for job in jobs])
        return jobs

    def _answer(self, jobs: list[Job], probabilities: Probabilities, start: float) -> None:
        for job, probability in zip(jobs, probabilities.tolist(), strict=True):
            if not job.future.done():
                job.future.set_result(probability)
        self._trace(jobs, start)

    def _fail(self, jobs: list[Job], error: Exception, start: float) -> None:
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)
        self._trace(jobs, start, error)

    def _trace(self, jobs: list[Job], start: float, error: Exception | None = None) -> None:
        if self._tracing is not None:
            members = [(job.span, job.queued) for job in jobs if job.span is not None]
            self._tracing.batch(members, len(jobs), start, time.perf_counter(), error)


def _stack(jobs: list[Job]) -> Rows:
    return jobs[0].row if len(jobs) == 1 else np.concatenate([job.row for job in jobs])
