"""`twinscore replay` against running services: what it reports is so, and what differs is an error."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from shared.model.features.batch import compute_features
from shared.model.features.transactions import Transactions
from shared.model.locate import DEFAULT_NAME
from shared.model.package import load_package
from shared.training.evaluate import evaluate
from shared.training.simulator import simulate
from shared.training.split import choose_protocol, split
from shared.training.tables import write_transactions
from tests.conftest import ROOT, Server, running
from tests.replay.proxy import faulty_proxy

FIRST_TEST_DAY = date(2018, 5, 24)
"""Of 60 simulated days from 2018-04-01 the last seven."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replay")


@pytest.fixture(scope="module")
def simulated() -> Transactions:
    return simulate(customers=150, terminals=60, days=60, seed=3)


@pytest.fixture(scope="module")
def table(folder: Path, simulated: Transactions) -> Path:
    path = folder / "table.parquet"
    write_transactions(path, simulated)
    return path


@pytest.fixture(scope="module")
def model(folder: Path, table: Path) -> Path:
    """A model trained and evaluated on the table."""
    twinscore("train", "--data", str(table), "--out", str(folder / "models"), expect=0)
    return folder / "models" / DEFAULT_NAME / "1.0.0"


@pytest.fixture(scope="module")
def services(folder: Path, model: Path) -> Iterator[tuple[Server, Server]]:
    with (
        running("fastapi", folder, "--model", str(model)) as one,
        running("bento", folder, "--model", str(model)) as two,
    ):
        yield one, two


def twinscore(*arguments: str, expect: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shared.cli", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == expect, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


def replayed(table: Path, report: Path, *arguments: str, expect: int = 0) -> dict[str, Any]:
    twinscore("replay", str(table), "--report", str(report), *arguments, expect=expect)
    document: dict[str, Any] = json.loads(report.read_text())
    return document


def test_both_variants_on_the_test_days_give_the_offline_evaluation(
    table: Path, simulated: Transactions, model: Path, services: tuple[Server, Server], tmp_path: Path
) -> None:
    urls = [option for server in services for option in ("--url", server.url)]
    plot = tmp_path / "plot.svg"
    result = twinscore(
        "replay", str(table), *urls, "--from", str(FIRST_TEST_DAY), "--report", str(tmp_path / "r.json"),
        "--plot", str(plot), expect=0,
    )  # fmt: skip
    report = json.loads((tmp_path / "r.json").read_text())
    sent = int((simulated.timestamp >= np.datetime64(FIRST_TEST_DAY)).sum())
    assert (report["transactions"], report["history"]) == (sent, len(simulated) - sent)
    assert (report["skewed_rows"], report["differences"], report["faults"]) == (0, 0, [])
    assert f"0 of {len(simulated):,} rows differ from the batch features" in result.stdout

    parts = split(simulated, choose_protocol(simulated))
    package = load_package(model)
    threshold = package.manifest.decision_threshold
    assert threshold is not None
    probabilities = package.predictor(compute_features(simulated)[parts.test])
    expected = evaluate(
        simulated.timestamp[parts.test].astype("datetime64[D]"),
        simulated.customer_id[parts.test],
        simulated.is_fraud[parts.test],
        probabilities,
        threshold,
    )
    assert report["evaluated"] == report["offline"] == json.loads(json.dumps(expected))
    for name in ("auc_roc", "average_precision", "card_precision_at_100", "rows", "frauds"):
        assert report["evaluated"][name] == pytest.approx(report["card"][name], abs=2e-3)

    days = report["days"]
    assert [day["day"] for day in days] == [str(np.datetime64(FIRST_TEST_DAY) + number) for number in range(7)]
    assert sum(day["transactions"] for day in days) == sent
    assert sum(day["alerts"] for day in days) == report["alerts"] > 0
    assert days[-1]["auc_roc"] == report["figures"]["auc_roc"]
    drawn = ElementTree.parse(plot).getroot()
    assert len(drawn.findall("{*}rect/{*}title")) == 3 * len(days)
    assert all(latency["p50"] > 0 for latency in report["latency_ms"].values())


def test_failures_in_transit_lose_nothing(table: Path, services: tuple[Server, Server], tmp_path: Path) -> None:
    faults = {3: "503", 11: "502", 20: "429", 31: "504", 40: "drop", 55: "drop after"}
    with faulty_proxy(services[0].url, lambda number: faults.get(number % 60, "")) as url:
        both = ("--url", url, "--url", services[1].url)
        report = replayed(table, tmp_path / "r.json", *both, "--from", "2018-05-30")
    assert report["faults"] == []
    assert report["retries"] >= report["transactions"] // 60 * 6 > 0


def test_a_tampered_answer_is_an_error(table: Path, services: tuple[Server, Server], tmp_path: Path) -> None:
    with faulty_proxy(services[0].url, lambda number: "tamper" if number == 17 else "") as url:
        both = ("--url", services[1].url, "--url", url)
        report = replayed(table, tmp_path / "r.json", *both, "--from", "2018-05-30", expect=1)
    assert report["differences"] == 1
    assert report["faults"][0] == "1 transactions have different probabilities"
    assert report["faults"][1].startswith("transaction ")
    assert report["skewed_rows"] == 0


def test_a_rate_is_kept(table: Path, services: tuple[Server, Server], tmp_path: Path) -> None:
    arguments = ("--url", services[0].url, "--from", "2018-05-30", "--to", "2018-05-30", "--rate", "100")
    report = replayed(table, tmp_path / "r.json", *arguments)
    assert report["seconds"] >= (report["transactions"] - 1) / 100
    assert [day["day"] for day in report["days"]] == ["2018-05-30"]


def test_what_cannot_be_replayed_is_told_in_a_line(
    table: Path, services: tuple[Server, Server], default_model: Path, tmp_path: Path
) -> None:
    url = ("--url", services[0].url)
    for arguments, message in [
        (("--url", "http://127.0.0.1:9"), "http://127.0.0.1:9 cannot be used"),
        ((*url, *url), "give one service, or two different ones"),
        ((*url, "--from", "2019-01-01"), "no transactions on these days"),
        ((*url, "--plot", str(tmp_path / "plot.png")), "ends in .svg"),
        ((*url, "--report", str(tmp_path / "none" / "r.json")), "does not exist"),
    ]:
        assert message in twinscore("replay", str(table), *arguments, expect=2).stderr
    with running("fastapi", tmp_path, "--model", str(default_model)) as other:
        both = (*url, "--url", other.url)
        assert "of another digest" in twinscore("replay", str(table), *both, expect=2).stderr


def test_a_service_that_stays_away_ends_the_replay(table: Path, services: tuple[Server, Server]) -> None:
    with faulty_proxy(services[0].url, lambda number: "500" if number == 30 else "") as url:
        result = twinscore("replay", str(table), "--url", url, "--from", "2018-05-30", expect=2)
    assert "answers 500" in result.stderr
