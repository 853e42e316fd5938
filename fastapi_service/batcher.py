"""Batches that form by themselves: rows that queue while the predictor is busy are predicted together.

There is no timer. A row that finds the loop idle is predicted in the same turn of the loop; under load, the rows of
all requests that were read in one turn share a batch.
"""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np

from shared.model.predictor import Rows
from shared.serving.inference import Inference


class Batcher:
    """Puts single rows together.

    Args:
        inference: predicts the batches.
        max_batch_rows: rows in one batch at most; 1 predicts every row alone.
    """

    def __init__(self, inference: Inference, *, max_batch_rows: int) -> None:
        self._inference = inference
        self._max_rows = max_batch_rows
        self._queue: deque[tuple[Rows, asyncio.Future[float]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._scheduled = False

    async def predict(self, row: Rows) -> float:
        """Shape (1, features) to its probability.

        A caller that is cancelled while its row is queued takes the row out of the queue.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        self._queue.append((row, future))
        if not self._scheduled and self._running is None:
            self._scheduled = True
            loop.call_soon(self._flush)
        return await future

    def _flush(self) -> None:
        self._scheduled = False
        jobs = self._take()
        if not jobs:
            return
        if self._inference.inline and len(jobs) <= self._inference.slice_rows:
            try:
                self._answer(jobs, self._inference.predictor(_stack(jobs)))
            except Exception as error:
                self._fail(jobs, error)
            self._continue()
        else:
            self._running = asyncio.ensure_future(self._run(jobs))

    async def _run(self, jobs: list[tuple[Rows, asyncio.Future[float]]]) -> None:
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

    def _take(self) -> list[tuple[Rows, asyncio.Future[float]]]:
        jobs: list[tuple[Rows, asyncio.Future[float]]] = []
        while self._queue and len(jobs) < self._max_rows:
            job = self._queue.popleft()
            if not job[1].done():
                jobs.append(job)
        return jobs

    @staticmethod
    def _answer(jobs: list[tuple[Rows, asyncio.Future[float]]], probabilities: np.ndarray) -> None:  # type: ignore[type-arg]
        for (_, future), probability in zip(jobs, probabilities.tolist(), strict=True):
            if not future.done():
                future.set_result(probability)

    @staticmethod
    def _fail(jobs: list[tuple[Rows, asyncio.Future[float]]], error: Exception) -> None:
        for _, future in jobs:
            if not future.done():
                future.set_exception(error)


def _stack(jobs: list[tuple[Rows, asyncio.Future[float]]]) -> Rows:
    return jobs[0][0] if len(jobs) == 1 else np.concatenate([row for row, _ in jobs])
