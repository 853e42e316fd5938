"""The page of capacity planning shows what its script computes, from what the manifests say."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from benchmarks.results import Results, read
from deploy.kubernetes import capacity
from shared.contract.errors import UserError
from tests.deploy.conftest import rendered
from tests.deploy.manifests import environment, of_kind, one, pods, server
from tests.docs.figures import write_results


def test_the_page_shows_the_tables() -> None:
    """Otherwise: `.venv/bin/python deploy/kubernetes/capacity.py`."""
    text = capacity.PAGE.read_text()
    assert capacity.page(text, capacity.recorded()) == text
    assert f"rate x {capacity.UTILISATION}" in text
    assert f"{capacity.MAX_IN_FLIGHT} requests in flight and {capacity.MEMORY_LIMIT_MB} MiB" in text


def test_the_figures_are_those_of_the_benchmark(tmp_path: Path) -> None:
    """What it answers at its best load, and what it takes; the replicas follow."""
    results = write_results(tmp_path / "results.json")
    found = capacity.measured(tmp_path / "results.json")
    for variant, contender in zip(found.variants, ("fastapi", "bento"), strict=True):
        runs = [m for m in results.measurements if (m.suite, m.contender, m.model) == ("contenders", contender, "deep")]
        loads = {phase.load for phase in runs[0].phases if phase.kind == "closed"}
        rates = {
            load: [
                phase.outcome.good / phase.outcome.seconds
                for run in runs
                for phase in run.phases
                if (phase.kind, phase.load) == ("closed", load)
            ]
            for load in loads
        }
        assert variant.rate == max(median(values) for values in rates.values())
        assert variant.resident_mb == median(run.rss_mb for run in runs)
    shown = capacity.page(capacity.PAGE.read_text(), found)
    for target in capacity.TARGETS:
        counts = [f"{capacity.replicas(target, variant.rate):,}" for variant in found.variants]
        assert f"| replicas, one worker and one core each | {' | '.join(counts)} |" in shown
    assert results.meta["cpu"] in shown


def test_a_run_without_one_of_the_variants_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path)
    whole = read(path)
    Results(whole.meta, [m for m in whole.measurements if m.contender != "bento"]).write(path)
    with pytest.raises(UserError, match="lack bento"):
        capacity.measured(path)


def test_replicas_are_enough_and_hardly_more() -> None:
    for target in capacity.TARGETS:
        for variant in capacity.recorded().variants:
            count = capacity.replicas(target, variant.rate)
            left = count * (capacity.ZONES - 1) / capacity.ZONES
            assert count * variant.rate * capacity.UTILISATION >= target
            assert left * variant.rate * capacity.FULL >= target * 0.999
            fewer = count - 1
            assert (
                fewer < capacity.MIN_REPLICAS
                or fewer * variant.rate * capacity.UTILISATION < target
                or fewer * (capacity.ZONES - 1) / capacity.ZONES * variant.rate * capacity.FULL < target
            )


def test_its_inputs_are_those_of_the_manifests() -> None:
    manifests = rendered("overlays/both")
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["minReplicas"] == capacity.MIN_REPLICAS
        (cpu,) = [m["resource"] for m in scaler["spec"]["metrics"] if m["type"] == "Resource"]
        assert cpu["target"]["averageUtilization"] == round(capacity.UTILISATION * 100)
        doubling = {"type": "Percent", "value": 100, "periodSeconds": capacity.DOUBLING_SECONDS}
        assert doubling in scaler["spec"]["behavior"]["scaleUp"]["policies"]
    (endpoint,) = one(manifests, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["interval"] == f"{capacity.SCRAPE_SECONDS}s"
    for pod in pods(manifests):
        variables = environment(manifests, pod)
        assert variables["TWINSCORE_MAX_IN_FLIGHT"] == str(capacity.MAX_IN_FLIGHT)
        assert variables["TWINSCORE_WORKERS"] == "1"
        assert server(pod)["resources"]["limits"]["memory"] == f"{capacity.MEMORY_LIMIT_MB}Mi"


def test_the_memory_limit_holds_what_may_be_in_flight() -> None:
    manifests = rendered("overlays/both")
    for pod in pods(manifests):
        (tmp,) = [volume["emptyDir"] for volume in pod["spec"]["volumes"] if volume["name"] == "tmp"]
        files = int(tmp["sizeLimit"].removesuffix("Mi"))
        for variant in capacity.recorded().variants:
            needed = variant.resident_mb + capacity.MAX_IN_FLIGHT * capacity.BATCH_MB + files
            assert needed <= capacity.MEMORY_LIMIT_MB
