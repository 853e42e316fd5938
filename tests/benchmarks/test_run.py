"""One short run of the real thing: servers are started, asked, measured and gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import models
from benchmarks.contenders.catalog import BY_NAME
from benchmarks.load.open_loop import available
from benchmarks.plan import Case, Loads, cases, groups
from benchmarks.process import family
from benchmarks.results import Measurement, Results, describe_run, read
from benchmarks.run import run
from benchmarks.server import StartError, running
from tests.conftest import ROOT, port_is_free

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@pytest.fixture(autouse=True)
def keep_affinity() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("name", "predictor"), [("floor", "none"), ("textbook-fastapi", "proba"), ("fastapi", "ours"), ("bento", "ours")]
)
def test_a_contender_is_measured_and_its_results_come_back_from_the_file(
    name: str, predictor: str, tmp_path: Path
) -> None:
    case = Case("contenders", BY_NAME[name], predictor, "packaged", Loads((1, 2), seconds=1, warm_up_seconds=1))
    found: list[Measurement] = []
    run([case], rounds=1, tell=lambda line: None, done=found.append, grows=lambda measurement: None)
    (measured,) = found
    assert measured.failure is None
    assert [(phase.kind, phase.load) for phase in measured.phases] == [("closed", 1), ("closed", 2), ("after", 1)]
    assert all(phase.outcome.good > 0 and phase.outcome.refused == 0 for phase in measured.phases)
    assert all((phase.batch_rows is not None) == BY_NAME[name].metrics for phase in measured.phases)
    assert measured.rss_mb >= measured.pss_mb > 0
    assert measured.cold_start_seconds > 0
    path = tmp_path / "results.json"
    Results(describe_run(command="a test", rounds=1), found).write(path)
    assert read(path).measurements == found


def test_cases_beside_each_other_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.run.TURNS", 2)
    loads = Loads((1, 2), seconds=1, warm_up_seconds=1)
    names = ("fastapi", "fastapi-silent")
    beside = [Case("telemetry", BY_NAME[name], "ours", "packaged", loads, beside="fastapi") for name in names]
    found: list[Measurement] = []
    lines: list[str] = []
    run(beside, rounds=1, tell=lines.append, done=found.append, grows=lambda measurement: None)
    assert [(m.contender, m.round) for m in found] == [(name, turn) for turn in range(2) for name in names]
    assert all(m.failure is None and m.rss_mb > 0 for m in found)
    assert all([phase.load for phase in m.phases] == [1, 2] for m in found)
    assert all(phase.outcome.good > 0 and phase.outcome.refused == 0 for m in found for phase in m.phases)
    assert [line for line in lines if "turn 2/2" in line]


def test_only_neighbours_that_belong_together_run_beside_each_other() -> None:
    found = groups(cases(["telemetry", "workers"], [], quick=False, loads=Loads((1,))))
    assert [len(group) for group in found] == [4, 4, 1, 1, 1, 1]


def test_a_case_may_be_cut_down_to_some_of_its_loads() -> None:
    case = Case("contenders", BY_NAME["floor"], "none", "deep", Loads((1, 16), (800,)))
    assert case.only(["open"]).loads == Loads((), (800,))
    assert case.only(["closed"]).loads == Loads((1, 16), ())
    assert not case.only(["users"]).loads.any


def test_a_server_is_gone_afterwards() -> None:
    package = models.package("packaged", lambda line: None)
    with running(BY_NAME["fastapi"], package, "ours", "0", models.sample(package)[0]) as server:
        assert not port_is_free(server.port)
    assert port_is_free(server.port)


def test_a_contender_that_answers_wrongly_is_not_measured() -> None:
    package = models.package("packaged", lambda line: None)
    row, probability = models.sample(package)[0]
    with (
        pytest.raises(StartError, match="where the model says"),
        running(BY_NAME["textbook-fastapi"], package, "ours", "0", (row, probability + 1e-4)),
    ):
        pass


def test_a_contender_that_does_not_start_says_where_its_output_is(tmp_path: Path) -> None:
    with (
        pytest.raises(StartError, match=r"ended with code .*\.log"),
        running(BY_NAME["textbook-fastapi"], tmp_path, "ours", "0", ([1.0], 0.5)),
    ):
        pass


@pytest.mark.skipif(not available(), reason="`make bench-setup` has not been run")
def test_a_signal_stops_the_server_and_still_writes_the_report(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "shared.cli", "bench", "--suite", "contenders", "--only", "floor"]
    command += ["--seconds", "2", "--results", str(results), "--out", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    while "closed 1" not in (line := process.stderr.readline()):
        assert line, "ended before it measured anything"
    members = family(process.pid)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert [pid for pid in members if Path(f"/proc/{pid}").exists()] == []
    assert (tmp_path / "index.html").exists()
