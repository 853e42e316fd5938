"""What goes wrong in the tests, as requests to a real service or signals to its processes, and what it shows on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from shared.telemetry.multiprocess import DIRECTORY_VARIABLE
from tests.conftest import Server
from tests.stack.faulty_model import AMOUNT_COLUMN, FAILING_AMOUNT, SLOW_AMOUNT

Row = list[float | None]
DRAIN_BEGINS_SECONDS = 20.0


@dataclass(frozen=True)
class Service:
    """A running service and a client that sends its API key."""

    variant: str
    server: Server
    client: httpx.Client
    rows: list[Row]
    """Some hundred, whose scores are distributed as those of training."""

    def score(self, row: Row) -> int:
        return self.client.post("/score", json={"features": row}).status_code

    def score_batch(self, rows: list[Row]) -> int:
        return self.client.post("/score/batch", json={"rows": rows}).status_code

    def with_amount(self, amount: float | None) -> Row:
        row = list(self.rows[0])
        row[AMOUNT_COLUMN] = amount
        return row

    def score_together(self, rows: list[Row]) -> set[int]:
        """The statuses of requests sent at once, one for each row."""
        with ThreadPoolExecutor(len(rows)) as pool:
            return set(pool.map(self.score, rows))


@dataclass(frozen=True)
class Fault:
    """
    Attributes:
        alerts: that it must make fire, each by name and severity.
        shows_on: the metric that names it: a query that has a value above zero.
        induce: makes it happen once; called until the alerts fire.
        never_by_chance: no alert of its kind fires in a service without faults, however busy the machine.
    """

    alerts: tuple[tuple[str, str], ...]
    shows_on: str
    induce: Callable[[Service], None]
    never_by_chance: bool = True


def more_than_fit(service: Service) -> None:
    """While the predictor is busy with the first, more come than there are slots."""
    service.score_together([service.with_amount(SLOW_AMOUNT), *service.rows[:15]])


def what_breaks_the_contract(service: Service) -> None:
    for _ in range(20):
        assert service.score([1.0]) == 422


def values_out_of_range(service: Service) -> None:
    assert service.score_batch([[1e30] * len(service.rows[0])] * 500) == 200


def rows_without_amount(service: Service) -> None:
    assert service.score_batch([service.with_amount(None)] * 500) == 200


def a_slow_model(service: Service) -> None:
    for _ in range(5):
        assert service.score(service.with_amount(SLOW_AMOUNT)) == 200


def a_failing_predictor(service: Service) -> None:
    for _ in range(5):
        assert service.score(service.with_amount(FAILING_AMOUNT)) == 500


def a_dead_worker(service: Service) -> None:
    """Kills one that lives, once."""
    with suppress(httpx.TransportError):
        if "twinscore_worker_starts_total 2.0" in service.client.get("/metrics").text:
            workers(service.server)[0].kill()


def a_stop(service: Service) -> None:
    """SIGTERM, once: the service drains, then it is gone. A second one, before its workers have the first, would end it."""
    with suppress(httpx.TransportError):
        if service.client.get("/readyz").status_code == 200:
            assert service.server.process is not None
            service.server.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + DRAIN_BEGINS_SECONDS
            while service.client.get("/readyz").status_code == 200:
                assert time.monotonic() < until, "told to stop, it goes on"
                time.sleep(0.1)


def workers(server: Server) -> list[psutil.Process]:
    """The living worker processes: those that keep metrics in the folder of their server."""
    assert server.process is not None
    family = psutil.Process(server.process.pid).children(recursive=True)
    folders = set()
    for process in family:
        with suppress(psutil.Error):  # it has ended
            folders.add(process.environ()[DIRECTORY_VARIABLE])
    pids = {int(path.stem.rpartition("_")[2]) for folder in folders for path in Path(folder).glob("gauge_*.db")}
    return [process for process in family if process.pid in pids]


# In this order: fast answers, and refusals most of all, would dilute the share of the slow ones.
FAULTS = {
    "slow model": Fault(
        (("TwinscoreLatencyFastBurn", "page"), ("TwinscoreLatencySlowBurn", "ticket")),
        'variant:twinscore_stage_seconds:quantile5m{stage="inference", quantile="0.99"} > 0.01',
        a_slow_model,
        never_by_chance=False,
    ),
    "failing predictor": Fault(
        (
            ("TwinscoreInferenceFailures", "ticket"),
            ("TwinscoreAvailabilityFastBurn", "page"),
            ("TwinscoreAvailabilitySlowBurn", "ticket"),
        ),
        "rate(twinscore_inference_failures_total[16s])",
        a_failing_predictor,
    ),
    "wrong range": Fault(
        (("TwinscoreFeatureOutOfRange", "ticket"), ("TwinscoreScoreDrift", "ticket"), ("TwinscoreScoreDrift", "page")),
        'variant_feature:twinscore_feature_out_of_range:ratio_rate1h{feature="amount"}',
        values_out_of_range,
    ),
    "missing": Fault(
        (("TwinscoreFeatureMissing", "ticket"),),
        'variant_feature:twinscore_feature_missing:ratio_rate1h{feature="amount"}',
        rows_without_amount,
    ),
    "overload": Fault(
        (("TwinscoreOverloaded", "page"),),
        'rate(twinscore_http_rejections_total{reason="too-many-requests"}[16s])',
        more_than_fit,
    ),
    "contract": Fault(
        (("TwinscoreRequestsRefused", "ticket"),),
        'rate(twinscore_http_rejections_total{reason="invalid-request"}[16s])',
        what_breaks_the_contract,
    ),
    "dead worker": Fault((("TwinscoreWorkerDied", "ticket"),), "instance:twinscore_worker_deaths:count", a_dead_worker),
    # The last: nothing serves after it.
    "stop": Fault(
        (("TwinscoreNotReady", "page"), ("TwinscoreTargetDown", "page")),
        'up{job="twinscore"} == bool 0',
        a_stop,
        never_by_chance=False,
    ),
}
