"""Prediction inside an event loop: short slices inline, long ones in one thread."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from shared.model.predictor import Predictor, Probabilities, Rows

if TYPE_CHECKING:
    from shared.telemetry.metrics import Metrics

INLINE_SECONDS = 0.002
"""The longest the event loop is held by one prediction. A hop to a thread costs 40 to 120 microseconds instead."""

WARM_UP_ROUNDS = 7


class Inference:
    """A predictor, warmed up, with the number of rows it can predict inline.

    Args:
        predictor: its calls must not overlap; this class sees to it.
        rows: shape (g, features), to warm up with.
        metrics: every prediction is noted there.
        max_batch_rows: the largest slice handed to the thread.
    """

    def __init__(self, predictor: Predictor, rows: Rows, metrics: Metrics, *, max_batch_rows: int) -> None:
        self.predictor = predictor
        self._metrics = metrics
        self.slice_rows = self._warm_up(rows, max_batch_rows)
        """Rows predicted inline at once; 0 where even one row takes longer than `INLINE_SECONDS`."""
        self.max_batch_rows = max_batch_rows
        self._thread = ThreadPoolExecutor(1, "predict") if self.slice_rows == 0 else None

    @property
    def inline(self) -> bool:
        return self._thread is None

    def predict_now(self, rows: Rows) -> Probabilities:
        """Shape (n, features) to (n,), in the event loop: at most `slice_rows` rows."""
        start = time.perf_counter()
        probabilities = self.predictor(rows)
        self._metrics.inference(rows, probabilities, time.perf_counter() - start)
        return probabilities

    async def predict(self, rows: Rows) -> Probabilities:
        """Shape (n, features) to (n,). The event loop runs in between slices of a large batch."""
        if len(rows) <= self.slice_rows:
            return self.predict_now(rows)
        step = self.slice_rows or self.max_batch_rows
        parts = []
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            if self._thread is None:
                parts.append(self.predict_now(part))
                await asyncio.sleep(0)
            else:
                parts.append(await self._predict_in_thread(part))
        return np.concatenate(parts)

    async def _predict_in_thread(self, rows: Rows) -> Probabilities:
        start = time.perf_counter()
        probabilities = await asyncio.get_running_loop().run_in_executor(self._thread, self.predictor, rows)
        self._metrics.inference(rows, probabilities, time.perf_counter() - start)
        return probabilities

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def _warm_up(self, rows: Rows, max_batch_rows: int) -> int:
        """The largest power of two of rows whose median prediction stays under `INLINE_SECONDS`."""
        fits, size = 0, 1
        while True:
            batch = np.resize(rows, (size, rows.shape[1]))
            seconds = []
            for _ in range(WARM_UP_ROUNDS):
                start = time.perf_counter()
                self.predictor(batch)
                seconds.append(time.perf_counter() - start)
            if np.median(seconds) > INLINE_SECONDS:
                return fits
            fits = size
            if size >= max_batch_rows:
                return fits
            size *= 2
