"""The example of the two frameworks together runs as the book says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from shared.reliability.ports import free_port
from tests.conftest import ROOT, START_SECONDS, STOP_SECONDS

PAYMENT = {"payment_id": 2, "card": "card 7", "shop": "shop 3", "amount": 12.5, "at": "2026-03-14T15:20:00"}


@dataclass
class Together:
    process: subprocess.Popen[bytes]
    log: Path
    front: str
    mounted: str


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Iterator[Together]:
    folder = tmp_path_factory.mktemp("together")
    scorer, front, mounted = free_port(), free_port(), free_port()
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
    clean |= {
        "BENTOML_HOME": str(folder / "bentoml"),
        "TWINSCORE_MODEL": str(default_model),
        "TWINSCORE_DRAIN_SECONDS": "0",
    }
    command = [sys.executable, "-m", "examples.together"]
    command += ["--scorer", str(scorer), "--front", str(front), "--mounted", str(mounted)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=clean, stdout=output, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + START_SECONDS
        while "FastAPI in a Bento" not in log.read_text() or "200 {" not in log.read_text().split("in a Bento")[-1]:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield Together(process, log, f"http://127.0.0.1:{front}/payments", f"http://127.0.0.1:{mounted}/api/payments")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)


def test_it_shows_the_same_decision_from_both(together: Together) -> None:
    shown = [line.strip() for line in together.log.read_text().splitlines() if line.strip().startswith("200 {")]
    decisions = [json.loads(line.removeprefix("200 ")) for line in shown]
    assert len(decisions) == 2
    assert decisions[0] == decisions[1]
    assert set(decisions[0]) == {"payment_id", "decision", "probability", "model_version"}


def test_the_same_payments_get_the_same_probability(together: Together) -> None:
    answers = [httpx.post(url, json=PAYMENT) for url in (together.front, together.mounted)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


def test_a_bad_payment_is_refused_by_the_product_itself(together: Together) -> None:
    for url in (together.front, together.mounted):
        assert httpx.post(url, json={**PAYMENT, "amount": -1}).status_code == 422
        # Later than this the features know nothing of what came in between.
        late = httpx.post(url, json={**PAYMENT, "payment_id": 3, "at": "2020-01-01T00:00:00"})
        assert late.status_code == 422
        assert "late" in late.text


def test_without_the_service_the_front_says_so_and_goes_on_when_it_is_back(together: Together) -> None:
    ready = together.front.replace("/payments", "/readyz")
    scorer = next(
        child for child in psutil.Process(together.process.pid).children() if "shared.cli" in " ".join(child.cmdline())
    )
    for process in [*scorer.children(recursive=True), scorer]:
        process.kill()
    answer = httpx.post(together.front, json={**PAYMENT, "payment_id": 4, "at": "2026-03-14T15:21:00"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert httpx.get(ready).status_code == 503
    assert httpx.post(together.mounted, json={**PAYMENT, "payment_id": 4, "at": "2026-03-14T15:21:00"}).is_success
    until = time.monotonic() + START_SECONDS
    while httpx.get(ready).status_code != 200:
        assert time.monotonic() < until, together.log.read_text()
        time.sleep(0.2)
    answer = httpx.post(together.front, json={**PAYMENT, "payment_id": 5, "at": "2026-03-14T15:22:00"})
    assert answer.status_code == 200
