"""Prediction inside an event loop: short slices inline, long ones in one thread."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from shared.model.package import TOLERANCE, ModelPackage
from shared.model.predictor import Probabilities, Rows
from shared.serving.health import MAX_FAULTS, Health
from shared.telemetry.start import Telemetry

INLINE_SECONDS = 0.002
"""The longest that one prediction may hold the event loop, measured when nothing else has used the caches: with a large model
it can be twice as long under load. A hop to a thread costs 40 to 120 microseconds instead."""

WARM_UP_ROUNDS = 7

logger = logging.getLogger("twinscore.inference")


class PredictionError(Exception):
    """The predictor raised, or answered what is no probability for every row."""


class Inference:
    """A predictor, warmed up, with the number of rows it can predict inline.

    Args:
        package: its predictor's calls must not overlap, this class sees to it; its golden rows warm it up and check it.
        telemetry: every prediction is noted there.
        health: told of every prediction, whether it went right.
        max_batch_rows: the largest slice handed to the thread.
    """

    def __init__(self, package: ModelPackage, telemetry: Telemetry, health: Health, *, max_batch_rows: int) -> None:
        self.predictor = package.predictor
        self._rows = package.golden_rows
        self._expected = np.array(package.manifest.golden.probabilities)
        self._metrics = telemetry.metrics
        self._tracing = telemetry.tracing
        self._health = health
        self.slice_rows = self._warm_up(self._rows, max_batch_rows)
        """Rows predicted inline at once; 0 where even one row takes longer than `INLINE_SECONDS`."""
        self.max_batch_rows = max_batch_rows
        self._thread = ThreadPoolExecutor(1, "predict") if self.slice_rows == 0 else None
        health.check = self._check

    @property
    def inline(self) -> bool:
        return self._thread is None

    def predict_now(self, rows: Rows) -> Probabilities:
        """Shape (n, features) to (n,), in the event loop: at most `slice_rows` rows.

        Raises:
            PredictionError: the predictor failed these rows.
        """
        start = time.perf_counter()
        try:
            probabilities = _checked(self.predictor(rows), len(rows))
        except Exception as error:
            raise self._fault(error) from error
        self._note(rows, probabilities, start)
        return probabilities

    async def predict(self, rows: Rows) -> Probabilities:
        """Shape (n, features) to (n,). The event loop runs in between slices of a large batch.

        Raises:
            PredictionError: see `predict_now`.
        """
        parent = None if self._tracing is None else self._tracing.current()
        if parent is None or self._tracing is None:
            return await self._predict(rows)
        start, failure = time.perf_counter(), None
        try:
            return await self._predict(rows)
        except PredictionError as error:
            failure = error
            raise
        finally:
            end = time.perf_counter()
            self._tracing.inference(parent, start, start, end, rows=len(rows), batch_rows=len(rows), error=failure)

    async def _predict(self, rows: Rows) -> Probabilities:
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
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._in_thread, rows)
            probabilities = _checked(answer, len(rows))
        except Exception as error:
            raise self._fault(error) from error
        self._note(rows, probabilities, start)
        return probabilities

    def _in_thread(self, rows: Rows) -> Probabilities:
        with self._health.busy():
            return self.predictor(rows)

    def _note(self, rows: Rows, probabilities: Probabilities, start: float) -> None:
        self._health.succeeded()
        if self._metrics is not None:
            self._metrics.inference(rows, probabilities, time.perf_counter() - start)

    def _fault(self, error: Exception) -> PredictionError:
        if self._metrics is not None:
            self._metrics.failures.inc()
        if self._health.failed() <= MAX_FAULTS:
            logger.error("prediction failed", exc_info=error, extra={"fields": {"event": "prediction_failed"}})
        return PredictionError(f"{self.predictor.backend}: {type(error).__name__}: {error}")

    async def _check(self) -> bool:
        """Whether the predictor gives the golden rows their probabilities."""
        step = self.slice_rows or self.max_batch_rows
        loop = asyncio.get_running_loop()
        try:
            for start in range(0, len(self._rows), step):
                part = self._rows[start : start + step]
                inline = self._thread is None
                answer = (
                    self.predictor(part) if inline else await loop.run_in_executor(self._thread, self._in_thread, part)
                )
                if not np.allclose(
                    _checked(answer, len(part)), self._expected[start : start + step], rtol=0, atol=TOLERANCE
                ):
                    return False
                await asyncio.sleep(0)
        except Exception:
            return False
        return True

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def _warm_up(self, rows: Rows, max_batch_rows: int) -> int:
        """The number of rows that are predicted in `INLINE_SECONDS`: on a line between the powers of two beside it."""
        fits, size, fast = 0, 1, 0.0
        while True:
            batch = np.resize(rows, (size, rows.shape[1]))
            seconds = []
            for _ in range(WARM_UP_ROUNDS):
                start = time.perf_counter()
                self.predictor(batch)
                seconds.append(time.perf_counter() - start)
            # The shortest: whatever else the machine does only adds.
            shortest = min(seconds)
            if shortest > INLINE_SECONDS:
                return fits + int((INLINE_SECONDS - fast) / (shortest - fast) * (size - fits))
            fits, fast = size, shortest
            if size >= max_batch_rows:
                return fits
            size *= 2


def _checked(probabilities: Probabilities, rows: int) -> Probabilities:
    """Raises ValueError unless there is a probability for every row."""
    if len(probabilities) != rows:
        raise ValueError(f"{len(probabilities)} probabilities for {rows} rows")
    if rows == 1:
        right = 0.0 <= probabilities[0] <= 1.0
    else:
        # NaN fails both comparisons.
        right = bool(probabilities.min() >= 0.0 and probabilities.max() <= 1.0)
    if not right:
        raise ValueError("a probability is not a number from 0 to 1")
    return probabilities
