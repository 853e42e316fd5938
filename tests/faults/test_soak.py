"""`twinscore soak`: a short one from end to end, ended early, and what its tables and files say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.reliability import proxy
from shared.reliability.results import BEGIN, END, SUMMARY_BEGIN, SUMMARY_END
from tests.conftest import ROOT
from tests.faults.conftest import eventually
from tests.processes.test_serve import run_twinscore

KILLED = "a worker of bento is killed"


@pytest.mark.skipif(not proxy.available(), reason="HAProxy is not installed (Debian: apt-get install haproxy)")
def test_ended_early_it_tells_what_became_of_every_request(default_model: Path, tmp_path: Path) -> None:
    results, document, log = tmp_path / "results.json", tmp_path / "document.md", tmp_path / "log"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    readme = tmp_path / "readme.md"
    readme.write_text(f"before\n{SUMMARY_BEGIN}\n{SUMMARY_END}\nafter\n")
    command = [sys.executable, "-m", "shared.cli", "soak", "--only", "hostile,mixed", "--minutes", "1"]
    command += ["--hostile", "100", "--model", str(default_model)]
    command += ["--results", str(results), "--document", str(document), "--document", str(readme)]
    with log.open("wb") as progress:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=progress, text=True)
    try:
        eventually(lambda: KILLED in log.read_text() or process.poll() is not None, 120)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, output + log.read_text()
    hostile, mixed = json.loads(results.read_text())["phases"]
    assert (hostile["phase"], mixed["phase"]) == ("hostile", "mixed")
    for variant in ("fastapi", "bento"):
        assert hostile["figures"][variant]["sent"] == 100
        assert hostile["figures"][variant]["server_errors"] == 0
        assert mixed["figures"]["services"][variant]["hostile"] > 0
    figures = mixed["figures"]
    assert (figures["restarts"], figures["kills"], figures["unexplained"]) == (1, 1, 0)
    for load in figures["loads"].values():
        assert load["sent"] == load["good"] + sum(load["refused"].values()) + load["failed"]
    assert figures["loads"]["rows"]["good"] > 100
    assert figures["loads"]["bad input"]["good"] == 0
    assert sum(load["failed"] for load in figures["loads"].values()) <= figures["held"]
    assert "restarts, kills of a worker" in output
    text = document.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "| restarts, kills of a worker | 1, 1 |" in text
    assert "old" not in text
    lines = readme.read_text().splitlines()
    assert [line.count("|") for line in lines] == [0, 0, 0, 3, 3, 3, 3, 0, 0, 0]
    assert "100 sent, 0 answered 5xx" in lines[5]
    assert "0 of them not held by one of the 1 workers killed; 1 restarts" in lines[6]


def test_mistakes_are_told_in_a_line_before_anything_is_started(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    for options, message in (
        (("--only", "swap,none"), "'none' is none of"),
        (("--results", str(other)), "does not hold results"),
        (("--document", str(other)), "has no lines"),
    ):
        done = run_twinscore("soak", *options)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
