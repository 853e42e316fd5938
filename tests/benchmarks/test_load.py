"""The load generators, against a server of which we know what they must see."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.contenders.catalog import interpreter
from benchmarks.load.locust import users
from benchmarks.load.open_loop import available, open_loop
from benchmarks.load.wrk import LoadError, closed_loop
from benchmarks.run import cores

SERVER = Path(__file__).with_name("pausing_server.py")
RATE, SECONDS = 200, 2.0
PAUSE_SECONDS = 0.6

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
needs_loadtest = pytest.mark.skipif(not available(), reason="`make bench-setup` has not been run")

StartPausing = Callable[[int, float, int], str]


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    path = tmp_path / "bodies.jsonl"
    path.write_text('{"features": [1.0]}\n{"features": [2.5, 3.0]}\n')
    return path


@pytest.fixture
def start_pausing() -> Iterator[StartPausing]:
    with ExitStack() as stack:

        def start(pause_at: int, pause_seconds: float, refuse_every: int) -> str:
            command = [sys.executable, str(SERVER), str(pause_at), str(pause_seconds), str(refuse_every)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout is not None
            return f"http://127.0.0.1:{int(process.stdout.readline())}/score"

        yield start


@needs_loadtest
def test_the_open_loop_counts_the_wait_of_every_request_that_was_due_in_a_pause(
    start_pausing: StartPausing, bodies: Path
) -> None:
    seen = open_loop(start_pausing(100, PAUSE_SECONDS, 0), bodies, rate=RATE, seconds=SECONDS, core=str(cores()[1]))
    assert (seen.good, seen.refused, seen.failed) == (RATE * SECONDS, 0, 0)
    assert seen.max >= PAUSE_SECONDS * 1000
    # Of 400 requests 80 were due in the first 0.4 s of the pause and so waited 0.2 s at least.
    assert seen.p90 >= 200


@needs_wrk
def test_a_closed_loop_hides_the_same_pause(start_pausing: StartPausing, bodies: Path) -> None:
    seen = closed_loop(
        start_pausing(100, PAUSE_SECONDS, 0), bodies, connections=1, seconds=SECONDS, core=str(cores()[1])
    )
    assert seen.max >= PAUSE_SECONDS * 1000
    # One request of hundreds met it: the reason why latencies under a given load come from the open loop.
    assert seen.p90 < PAUSE_SECONDS * 1000


@needs_wrk
def test_wrk_tells_good_answers_from_refusals(start_pausing: StartPausing, bodies: Path) -> None:
    seen = closed_loop(start_pausing(0, 0, 3), bodies, connections=1, seconds=1, core=str(cores()[1]))
    assert seen.refused == (seen.good + seen.refused) // 3
    assert seen.failed == 0


@needs_loadtest
def test_the_open_loop_tells_good_answers_from_refusals(start_pausing: StartPausing, bodies: Path) -> None:
    seen = open_loop(start_pausing(0, 0, 4), bodies, rate=100, seconds=1, core=str(cores()[1]))
    assert (seen.good, seen.refused, seen.failed) == (75, 25, 0)


@needs_loadtest
def test_the_open_loop_tells_of_requests_without_an_answer(bodies: Path) -> None:
    seen = open_loop("http://127.0.0.1:9/score", bodies, rate=20, seconds=1, core=str(cores()[1]))
    assert (seen.good, seen.refused, seen.failed) == (0, 0, 20)


@needs_wrk
def test_wrk_without_a_server_is_an_error(bodies: Path) -> None:
    with pytest.raises(LoadError, match="wrk"):
        closed_loop("http://127.0.0.1:9/score", bodies, connections=1, seconds=1, core=str(cores()[1]))


@pytest.mark.skipif(not interpreter("bench").exists(), reason="`make bench-setup` has not been run")
def test_locust_counts_refusals(start_pausing: StartPausing, bodies: Path) -> None:
    seen = users(start_pausing(0, 0, 2), bodies, users=2, core=str(cores()[1]), seconds=3)
    assert seen.good + seen.refused > 0
    assert abs(seen.good - seen.refused) <= 2
