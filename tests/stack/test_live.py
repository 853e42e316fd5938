"""A real Prometheus scrapes both services: rules load, every query answers, and faults fire their alerts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice, pairwise

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.model.package import ModelPackage
from shared.reliability.ports import free_port
from shared.serving.keys import new_key
from tests.conftest import VARIANTS, running
from tests.stack.faults import FAULTS, Fault, Row, Service
from tests.stack.faulty_model import write_faulty_package
from tests.stack.files import BOUND, METRIC, RECORDED, Query, filled_in, grafana_queries, rules, runbook_queries
from tests.stack.prometheus import PrometheusServer, running_prometheus

WAIT_SECONDS = 60.0
WORKERS = 2
BOTH = "|".join(VARIANTS)

# Empty in a service without faults.
MAY_BE_EMPTY = ("ALERTS", "out_of_range", "twinscore_feature_missing", "rejections", '5.."')


@dataclass(frozen=True)
class Stack:
    prometheus: PrometheusServer
    services: tuple[Service, ...]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, package: ModelPackage) -> Iterator[Stack]:
    """Both variants, with API keys and a model that has faults, and Prometheus. The trace store's targets are down."""
    folder = tmp_path_factory.mktemp("stack")
    model = write_faulty_package(package.directory, folder / "models" / package.manifest.name / "1.0.0")
    rows = rows_like_training(package)
    key, line = new_key()
    (folder / "keys").write_text(line + "\n")
    (folder / "key").write_text(key)
    environment = {
        "TWINSCORE_API_KEYS_FILE": str(folder / "keys"),
        "TWINSCORE_WORKERS": str(WORKERS),
        "TWINSCORE_MAX_IN_FLIGHT": "1",
        # Longer than any alert takes to fire on a busy machine; stopping the stack does not wait for it.
        "TWINSCORE_DRAIN_SECONDS": "25",
    }
    with ExitStack() as opened, ThreadPoolExecutor() as pool:
        contexts = [running(v, folder, "--model", str(model), environment=environment) for v in VARIANTS]
        servers = list(pool.map(opened.enter_context, contexts))
        targets = {v: s.url.removeprefix("http://") for v, s in zip(VARIANTS, servers, strict=True)}
        targets |= {"collector": f"127.0.0.1:{free_port()}", "tempo": f"127.0.0.1:{free_port()}"}
        prometheus = opened.enter_context(running_prometheus(folder / "prometheus", targets, folder / "key"))
        headers = {"authorization": f"Bearer {key}"}
        services = tuple(
            Service(
                variant,
                server,
                opened.enter_context(httpx.Client(base_url=server.url, headers=headers, timeout=10)),
                rows,
            )
            for variant, server in zip(VARIANTS, servers, strict=True)
        )
        yield Stack(prometheus, services)


def rows_like_training(package: ModelPackage) -> list[Row]:
    """Golden rows, as many of each bucket of scores as its share of the training scores asks for."""
    golden, scores = package.manifest.golden, package.manifest.score_distribution
    assert scores is not None
    chosen: list[Row] = []
    for count, (low, high) in zip(scores.counts, pairwise(scores.edges), strict=True):
        within = [row for row, p in zip(golden.rows, golden.probabilities, strict=True) if low < p <= high]
        chosen += islice(cycle(within), round(500 * count / sum(scores.counts)))
    return chosen


@pytest.fixture(scope="module")
def busy(stack: Stack) -> Stack:
    """The stack, once the rules have seen traffic without faults."""
    of_both = len(VARIANTS)

    def enough() -> bool:
        send_traffic(stack)
        return len(stack.prometheus.query('variant:twinscore_probability:psi{window="1d"}')) == of_both

    wait_until(enough, lambda: "no score distribution was recorded")
    return stack


def send_traffic(stack: Stack) -> None:
    """What a healthy service gets."""
    for service in stack.services:
        assert service.score(service.rows[0]) == 200
        assert service.score_batch(service.rows) == 200


def wait_until(condition: Callable[[], bool], failure: Callable[[], str]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < until, failure()
        time.sleep(0.3)


def exported(service: Service) -> tuple[set[str], dict[str, set[str]]]:
    """The names of the samples of a service, and the bounds of its histograms, by name."""
    names: set[str] = set()
    bounds: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(service.client.get("/metrics").text):
        for sample in family.samples:
            names.add(sample.name)
            if "le" in sample.labels:
                bounds.setdefault(sample.name, set()).add(sample.labels["le"])
    return names, bounds


def test_every_metric_in_a_query_is_exported(stack: Stack) -> None:
    recorded = {rule["record"] for rule in rules("record")}
    expressions = [Query(str(rule.get("record") or rule["alert"]), rule["expr"]) for rule in rules()]
    for service in stack.services:
        names, _ = exported(service)
        for where, text in (*expressions, *grafana_queries(), *runbook_queries()):
            # In documents a name may stand without its sample's suffix.
            assert set(METRIC.findall(text)) <= names | {name.rpartition("_")[0] for name in names}, where
            assert set(RECORDED.findall(text)) <= recorded, where


def test_the_bounds_in_the_rules_are_those_of_the_services(stack: Stack) -> None:
    in_rules = {
        name: "\n".join(r["expr"] for r in rules() if name in r["expr"]) for name in ("probability", "duration")
    }
    for service in stack.services:
        _, bounds = exported(service)
        scores = bounds["twinscore_probability_bucket"]
        assert bounds["twinscore_probability_reference"] == scores
        assert set(BOUND.findall(in_rules["probability"])) == scores - {"+Inf", "1.0"}
        share = next(r["expr"] for r in rules("record") if r["record"] == "variant_le:twinscore_probability:share")
        chain = sorted(scores - {"+Inf"}, key=float)
        for below, bound in pairwise(chain):
            assert f'{{le="{below}"}}, "le", "{bound}"' in share
        assert set(BOUND.findall(in_rules["duration"])) <= bounds["twinscore_http_request_duration_seconds_bucket"]


def test_every_rule_is_evaluated(busy: Stack) -> None:
    groups = busy.prometheus.get("rules")["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert len(evaluated) == len(rules())
    assert [(rule["name"], rule.get("lastError")) for rule in evaluated if rule["health"] != "ok"] == []
    missing = {(rule["record"], variant) for rule in rules("record") for variant in VARIANTS}

    def all_recorded() -> bool:
        send_traffic(busy)
        for name in {name for name, _ in missing}:
            missing.difference_update((name, s["metric"]["variant"]) for s in busy.prometheus.query(name))
        return not missing

    wait_until(all_recorded, lambda: f"never recorded: {missing}")


@pytest.mark.parametrize("variant", [*VARIANTS, BOTH])
def test_every_query_of_grafana_answers(variant: str, busy: Stack) -> None:
    empty = set(grafana_queries())

    def all_answered() -> bool:
        send_traffic(busy)
        empty.difference_update({query for query in empty if busy.prometheus.query(filled_in(query.text, variant))})
        return all(any(name in query.text for name in MAY_BE_EMPTY) for query in empty)

    wait_until(all_answered, lambda: f"no series: {[query.where for query in empty]}")


def test_expressions_answer_as_they_are_written(busy: Stack) -> None:
    """With the windows of service, and those in the runbook."""
    for rule in rules():
        busy.prometheus.query(rule["expr"])
    for _, text in runbook_queries():
        busy.prometheus.query(text)


def test_shares_of_the_scores_sum_to_one(busy: Stack) -> None:
    sums = busy.prometheus.query("sum by (variant, window) (variant_le:twinscore_probability:share)")
    assert {(s["metric"]["variant"], s["metric"]["window"]) for s in sums} == {
        (variant, window) for variant in VARIANTS for window in ("1h", "1d", "training")
    }
    assert [float(s["value"][1]) for s in sums] == pytest.approx([1] * len(sums))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_shows_and_fires_its_alerts(name: str, busy: Stack) -> None:
    fault: Fault = FAULTS[name]
    expected = {(alert, severity, variant) for alert, severity in fault.alerts for variant in VARIANTS}
    fired: set[tuple[str, str, str]] = set()
    shown: set[str] = set()

    def done() -> bool:
        for service in busy.services:
            fault.induce(service)
        series = busy.prometheus.query(fault.shows_on)
        shown.update(s["metric"]["variant"] for s in series if "variant" in s["metric"] and float(s["value"][1]) > 0)
        fired.update(busy.prometheus.firing())
        return expected <= fired and shown == set(VARIANTS)

    if fault.never_by_chance:
        assert not expected & busy.prometheus.firing()
    wait_until(done, lambda: f"did not fire: {expected - fired}; shown by {shown}")


def test_a_trace_store_that_is_away_is_noticed(stack: Stack) -> None:
    wait_until(
        lambda: ("TwinscoreMonitoringDown", "ticket", "") in stack.prometheus.firing(),
        lambda: "nothing was said of the collector and Tempo",
    )
