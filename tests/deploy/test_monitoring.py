"""What Prometheus is told in a cluster: the same rules as everywhere, and a metric to scale on that exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from deploy.kubernetes import prometheus_rule
from tests.conftest import StartServer
from tests.deploy.conftest import rendered
from tests.deploy.manifests import KUBERNETES, Manifest, of_kind, one, pods, selects

ADAPTER = KUBERNETES / "prometheus-adapter" / "values.yaml"


def promtool(*arguments: str, folder: Path) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_those_of_prometheus() -> None:
    """Otherwise: `.venv/bin/python deploy/kubernetes/prometheus_rule.py`."""
    manifest = one(rendered("overlays/fastapi"), "PrometheusRule")
    assert manifest["spec"]["groups"] == prometheus_rule.groups()
    assert prometheus_rule.OUT.read_text() == prometheus_rule.render()


def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    manifest = one(rendered("overlays/fastapi"), "PrometheusRule")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(manifest["spec"]))
    assert "SUCCESS" in promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_every_service_is_scraped_under_the_labels_that_the_rules_use(applied: list[Manifest]) -> None:
    monitors = of_kind(applied, "ServiceMonitor")
    if not monitors:
        return  # variants/ are for clusters without Prometheus
    spec = monitors[0]["spec"]
    (endpoint,) = spec["endpoints"]
    for service in of_kind(applied, "Service"):
        labels = service["metadata"]["labels"]
        assert selects(spec["selector"]["matchLabels"], labels)
        assert labels[spec["jobLabel"]] == "twinscore", 'the rules ask for job="twinscore"'
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    # A pod's label k is __meta_kubernetes_pod_label_<k> in a relabelling, whatever is no letter or digit turned into _.
    sources = {relabel["targetLabel"]: relabel["sourceLabels"][0] for relabel in endpoint["relabelings"]}
    for pod in pods(applied):
        known = {
            "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", key): value
            for key, value in pod["metadata"]["labels"].items()
        }
        assert known[sources["variant"]] in ("fastapi", "bento")
    for job in yaml.safe_load((prometheus_rule.RULES.parent / "prometheus.yml").read_text())["scrape_configs"]:
        if job["job_name"] == "twinscore":
            assert {label for target in job["static_configs"] for label in target["labels"]} <= sources.keys()


def test_the_autoscaler_asks_for_what_the_adapter_gives(applied: list[Manifest]) -> None:
    (rule,) = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    for scaler in of_kind(applied, "HorizontalPodAutoscaler"):
        asked = [m["pods"]["metric"]["name"] for m in scaler["spec"]["metrics"] if m["type"] == "Pods"]
        assert asked in ([], [rule["name"]["as"]])
        assert (asked == []) == (not of_kind(applied, "ServiceMonitor")), "it comes with the scrapes, or not at all"
        assert [m["resource"]["name"] for m in scaler["spec"]["metrics"] if m["type"] == "Resource"] == ["cpu"]


def test_the_adapters_query_gives_requests_in_flight_by_pod(tmp_path: Path) -> None:
    """The query, filled in as the adapter does for the pods of one Deployment."""
    (rule,) = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    series, _, matchers = rule["seriesQuery"].partition("{")
    assert matchers == 'namespace!="",pod!=""}'
    expression = (
        rule["metricsQuery"]
        .replace("<<.Series>>", series)
        .replace("<<.LabelMatchers>>", 'namespace="twinscore",pod=~"a|b"')
        .replace("<<.GroupBy>>", "pod")
    )
    test = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": series + '{namespace="twinscore",pod="a",variant="fastapi"}', "values": "0 8 16 24 32"},
                    {"series": series + '{namespace="twinscore",pod="b",variant="fastapi"}', "values": "4x4"},
                    {"series": series + '{namespace="twinscore",pod="c",variant="bento"}', "values": "99x4"},
                ],
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": "1m",
                        "exp_samples": [{"labels": '{pod="a"}', "value": 16}, {"labels": '{pod="b"}', "value": 4}],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    assert "SUCCESS" in promtool("test", "rules", "test.yml", folder=tmp_path)


def test_a_service_exports_the_metric(start_server: StartServer) -> None:
    (rule,) = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    text = httpx.get(f"{start_server('fastapi').url}/metrics").text
    assert re.search(rf"^{rule['name']['as']} \d", text, re.MULTILINE), "one series a pod, without further labels"
