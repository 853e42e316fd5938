"""The report says what the figures say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.load.outcome import Outcome
from benchmarks.plan import Loads, cases
from benchmarks.report.bars import bars, losses
from benchmarks.report.summary import Summary
from benchmarks.report.write import write_report
from benchmarks.results import Measurement, Phase, Results, describe_run, read
from shared.contract.errors import UserError
from tests.conftest import ROOT


def measured(contender: str, predictor: str, rate: int, *, suite: str = "contenders", number: int = 0) -> Measurement:
    outcome = Outcome(10.0, rate * 10, 0, 0, 1.0, 2.0, 3.0, 4.0, 5.0)
    phases = [Phase("closed", 64, outcome, 100.0, None), Phase("after", 1, outcome, 100.0, None)]
    return Measurement(suite, contender, predictor, "deep", number, 2.0, 200.0, 150.0, phases)


def results(*measurements: Measurement) -> Results:
    return Results(describe_run(command="a test", rounds=1), list(measurements))


def test_a_bar_is_the_ratio_of_the_medians() -> None:
    rounds = [measured("fastapi", "ours", rate, number=i) for i, rate in enumerate((5000, 6300, 9000))]
    summary = Summary(results(*rounds, measured("textbook-fastapi", "proba", 900)))
    first = bars(summary)[0]
    assert (first.value, first.met) == (7.0, True)


def test_what_telemetry_costs_is_told_by_neighbours() -> None:
    """The machine is slower from one turn to the next by more than what is looked for."""
    rates = {"silent": (1000, 500, 2000, 1000), "sampled": (900, 440, 1760, 850), "traced": (500, 250, 1000)}
    found = [
        measured(f"fastapi-{name}", "ours", rate, suite="telemetry", number=turn)
        for name, turns in rates.items()
        for turn, rate in enumerate(turns)
    ]
    told = [bar.value for bar in bars(Summary(results(*found))) if bar.variant == "fastapi" and bar.value is not None]
    assert told == [0.5, pytest.approx(0.88)]


def test_the_closest_of_the_rest_counts() -> None:
    rest = [
        *(measured("litserve", "proba", 600), measured("textbook-fastapi", "proba", 500)),
        *(measured("mlserver", "ours", 1000), measured("litserve", "ours", 800)),
        measured("mosec", "ours", 9000),
    ]
    found = bars(Summary(results(measured("fastapi", "ours", 5000), *rest)))
    index = next(i for i, bar in enumerate(found) if bar.variant == "fastapi" and "closest of the rest" in bar.text)
    assert [bar.value for bar in found[index : index + 2]] == [pytest.approx(5000 / 600), 5.0]


def test_it_says_who_is_ahead_of_us_and_by_how_much() -> None:
    found = losses(Summary(results(measured("bento", "ours", 2000), measured("mosec", "proba", 7000))))
    assert found == [
        "Twinscore BentoML, deep model, 64 connections: 2,000 good answers/s, behind Mosec (proba) with 7,000"
    ]


def test_our_own_and_the_floor_are_no_losses() -> None:
    summary = Summary(
        results(measured("bento", "ours", 2), measured("fastapi", "ours", 3), measured("floor", "none", 4))
    )
    assert losses(summary) == []


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    failed = Measurement("contenders", "ray", "ours", "deep", 0, failure="no <answer> in 90 s")
    ladder = measured("ladder-fastapi-eager", "ours", 3000, suite="ladder")
    crossover = [measured(name, "ours", 100, suite="crossover") for name in ("fastapi", "fastapi-off")]
    page = write_report(results(measured("fastapi", "ours", 5000), failed, ladder, *crossover), tmp_path).read_text()
    assert not re.search(r"(src|href|url)\s*[=(]|@import|<script", page)
    assert "no &lt;answer&gt; in 90 s" in page
    assert "eager batches" in page
    assert "1.00x" in page
    assert "| Twinscore FastAPI, our predictor | 5,000 |" in (tmp_path / "README.md").read_text()


def test_only_refuses_an_unknown_name() -> None:
    with pytest.raises(UserError, match="--only nobody: no such contender; there are fastapi, bento"):
        cases(("contenders",), ("nobody",), quick=False, loads=Loads((1,)))


def test_the_ladder_goes_from_the_textbook_to_the_service() -> None:
    plan = cases(("ladder",), (), quick=False, loads=Loads((1,), (800,)))
    names = [case.contender.name for case in plan]
    steps = [f"ladder-fastapi-{step}" for step in ("predictor", "eager", "frozen")]
    assert names[:5] == ["textbook-fastapi", *steps, "fastapi"]
    assert all(case.loads.rates == () for case in plan)


def test_results_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("[]")
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli", "bench", "--report-from", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {path} does not hold results of `twinscore bench`")
    assert done.stderr.count("\n") == 1


def test_runs_put_together_are_kept_and_say_how_they_were_taken(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    Results(describe_run(command="one", rounds=3), [measured("fastapi", "ours", 5000)]).write(first)
    Results(describe_run(command="two", rounds=1), [measured("bento", "ours", 2000)]).write(second)
    kept = tmp_path / "kept.json"
    command = [sys.executable, "-m", "shared.cli", "bench", "--report-from", str(first), "--report-from", str(second)]
    subprocess.run(
        [*command, "--results", str(kept), "--out", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    found = read(kept)
    assert [m.contender for m in found.measurements] == ["fastapi", "bento"]
    assert (found.meta["command"], found.meta["rounds"]) == ("one; two", "1 to 3")
    assert "1 to 3" in (tmp_path / "README.md").read_text()
