"""Predictions in an event loop: sliced, never overlapping, every one of them counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastapi_service.batcher import Batcher
from shared.model.package import ModelPackage, load_package
from shared.model.predictor import Probabilities, Rows
from shared.serving.gate import Gate
from shared.serving.gathering import CALM_TURNS, MAX_TURNS, schedule
from shared.serving.health import Health
from shared.serving.inference import INLINE_SECONDS, Inference, PredictionError
from shared.telemetry.logs import Logs
from shared.telemetry.start import Telemetry, start_telemetry


class SlowPredictor:
    """The packaged predictor, made to take a while for every row: what a large model does."""

    backend = "slow"

    def __init__(self, package: ModelPackage, seconds_a_row: float) -> None:
        self._predictor = package.predictor
        self._seconds = seconds_a_row
        self.threads: set[int] = set()
        self.running = 0

    def __call__(self, rows: Rows) -> Probabilities:
        self.running += 1
        assert self.running == 1
        self.threads.add(threading.get_ident())
        time.sleep(self._seconds * len(rows))
        self.running -= 1
        return self._predictor(rows)


@pytest.fixture(scope="module")
def telemetry(package: ModelPackage) -> Iterator[Telemetry]:
    yield start_telemetry(package, lambda: 0, Logs("fastapi", "json"), max_in_flight=1, access_log=False)
    from prometheus_client.values import close_all_multiprocess_files

    close_all_multiprocess_files()


@pytest.fixture
def packaged(default_model: Path) -> ModelPackage:
    return load_package(default_model)


def inference_of(package: ModelPackage, telemetry: Telemetry, *, max_batch_rows: int) -> Inference:
    health = Health(Gate(max_in_flight=1024, deadline_seconds=10), hang_seconds=0)
    return Inference(package, telemetry, health, max_batch_rows=max_batch_rows)


def counted(telemetry: Telemetry, what: str = "sum") -> float:
    """Rows predicted by this process so far, as a scrape tells; with `count`, the predictions."""
    lines = asyncio.run(telemetry.scrape()).decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"twinscore_inference_batch_rows_{what}"))


def test_a_large_batch_gives_way_to_the_loop_and_every_slice_is_counted(
    packaged: ModelPackage, telemetry: Telemetry
) -> None:
    before = counted(telemetry)
    slow = SlowPredictor(packaged, INLINE_SECONDS / 20)
    rows = np.resize(packaged.golden_rows, (200, packaged.golden_rows.shape[1]))

    async def run() -> tuple[Probabilities, int]:
        inference = inference_of(replace(packaged, predictor=slow), telemetry, max_batch_rows=128)
        # 20 at the most, and not only a power of two.
        assert 8 < inference.slice_rows <= 20
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.ensure_future(count_turns())
        probabilities = await inference.predict(rows)
        counting.cancel()
        return probabilities, turns

    probabilities, turns = asyncio.run(run())
    assert turns >= 3
    assert counted(telemetry) - before == 200
    assert probabilities.tobytes() == packaged.predictor(rows).tobytes()


def test_rows_left_over_share_a_batch_with_what_came_meanwhile(packaged: ModelPackage, telemetry: Telemetry) -> None:
    row, sizes, late = packaged.golden_rows[:1], [], []

    async def run() -> None:
        inference = inference_of(packaged, telemetry, max_batch_rows=128)
        batcher = Batcher(inference, telemetry, max_batch_rows=2)
        loop = asyncio.get_running_loop()

        def predict(rows: Rows) -> Probabilities:
            if not sizes:
                # As a request that is read while the first batch is predicted.
                loop.call_soon(lambda: late.append(loop.create_task(batcher.predict(row))))
            sizes.append(len(rows))
            return packaged.predictor(rows)

        inference.predictor = predict  # type: ignore[assignment]
        await asyncio.gather(*(batcher.predict(row) for _ in range(3)))
        await late[0]

    asyncio.run(run())
    assert sizes == [2, 2]


async def turns_until_begun(company: bool, grows: Callable[[int], bool]) -> int:
    """Turns of the loop until a batch begins, where in some a row is queued."""
    loop, begun, passed, queue = asyncio.get_running_loop(), asyncio.Event(), 0, [0]
    schedule(loop, begun.set, queue, company=company)
    while not begun.is_set():
        await asyncio.sleep(0)
        passed += 1
        if grows(passed):
            queue.append(0)
    return passed


@pytest.mark.parametrize(
    ("company", "grows", "turns"),
    [
        (False, lambda turn: True, 1),
        (True, lambda turn: False, CALM_TURNS),
        (True, lambda turn: turn in (1, 3), 4 + CALM_TURNS),
        (True, lambda turn: True, MAX_TURNS),
    ],
    ids=["alone", "no rows come", "rows come twice", "rows come all the time"],
)
def test_a_batch_begins_at_once_or_in_company_when_no_more_rows_come(
    company: bool, grows: Callable[[int], bool], turns: int
) -> None:
    assert asyncio.run(turns_until_begun(company, grows)) == turns


def test_a_slow_model_predicts_in_one_thread_and_the_loop_stays_free(
    packaged: ModelPackage, telemetry: Telemetry
) -> None:
    before = counted(telemetry)
    slow = SlowPredictor(packaged, INLINE_SECONDS * 5)

    async def run() -> tuple[list[float], float]:
        inference = inference_of(replace(packaged, predictor=slow), telemetry, max_batch_rows=4)
        assert not inference.inline
        slow.threads.clear()
        batcher = Batcher(inference, telemetry, max_batch_rows=4)
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                slept = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - slept)

        watching = asyncio.ensure_future(watch())
        both = asyncio.gather(*(batcher.predict(row[np.newaxis]) for row in packaged.golden_rows[:10]))
        several = inference.predict(packaged.golden_rows[:8])
        singles, _ = await asyncio.gather(both, several)
        watching.cancel()
        inference.close()
        return list(singles), longest

    singles, longest = asyncio.run(run())
    assert singles == packaged.predictor(packaged.golden_rows[:10]).tolist()
    assert len(slow.threads) == 1
    assert threading.get_ident() not in slow.threads
    assert counted(telemetry) - before == 18
    # The predictions took 180 ms: the loop did not wait for them.
    assert longest < 0.15


def test_rows_that_queue_in_one_turn_share_a_batch(packaged: ModelPackage, telemetry: Telemetry) -> None:
    before, batches = counted(telemetry), counted(telemetry, "count")

    async def run() -> list[float]:
        inference = inference_of(packaged, telemetry, max_batch_rows=128)
        batcher = Batcher(inference, telemetry, max_batch_rows=128)
        return list(await asyncio.gather(*(batcher.predict(row[np.newaxis]) for row in packaged.golden_rows[:40])))

    assert asyncio.run(run()) == packaged.predictor(packaged.golden_rows[:40]).tolist()
    assert counted(telemetry) - before == 40
    assert counted(telemetry, "count") - batches < 40


def test_a_cancelled_row_is_not_computed(packaged: ModelPackage, telemetry: Telemetry) -> None:
    before = counted(telemetry)

    async def run() -> None:
        inference = inference_of(packaged, telemetry, max_batch_rows=128)
        batcher = Batcher(inference, telemetry, max_batch_rows=128)
        rows = packaged.golden_rows
        waiting = [asyncio.ensure_future(batcher.predict(row[np.newaxis])) for row in rows[:3]]
        waiting[1].cancel()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        assert [answers[0], answers[2]] == packaged.predictor(rows[[0, 2]]).tolist()

    asyncio.run(run())
    assert counted(telemetry) - before == 2


def test_a_predictor_that_fails_fails_its_batch_and_no_other(packaged: ModelPackage, telemetry: Telemetry) -> None:
    class Failing:
        backend = "failing"
        broken = False

        def __call__(self, rows: Rows) -> Probabilities:
            if self.broken:
                raise ValueError("broken")
            return packaged.predictor(rows)

    failing = Failing()

    async def run() -> None:
        inference = inference_of(replace(packaged, predictor=failing), telemetry, max_batch_rows=128)
        batcher = Batcher(inference, telemetry, max_batch_rows=128)
        row = packaged.golden_rows[:1]
        failing.broken = True
        with pytest.raises(PredictionError, match="broken"):
            await batcher.predict(row)
        failing.broken = False
        assert await batcher.predict(row) == packaged.predictor(row)[0]

    asyncio.run(run())
