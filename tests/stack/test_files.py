"""The files of the stack agree with one another and with the documents."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.stack.files import DASHBOARDS, DATA_SOURCES, DEPLOY, PROMETHEUS, RUNBOOK, load, panels, rules

ALERTS = rules("alert")
COLLECTOR = DEPLOY / "collector" / "config.yaml"
TEMPO = DEPLOY / "tempo" / "tempo.yaml"

# Settings of Prometheus' annotations and variables that Grafana's schema leaves to the data source.
OF_THE_DATA_SOURCE = {"step", "titleFormat", "textFormat", "tagKeys", "definition"}


def test_every_alert_has_a_section_in_the_runbook() -> None:
    headings = re.findall(r"^## (Twinscore\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert Counter(headings) == Counter({rule["alert"] for rule in ALERTS})
    for section in re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE):
        if section.startswith("Twinscore"):
            assert re.findall(r"^\*\*(Means|Look|Do|Look and do):\*\*", section, re.MULTILINE) in (
                ["Means", "Look", "Do"],
                ["Means", "Look and do"],
            )


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_an_alert_says_what_a_person_needs(rule: dict[str, Any]) -> None:
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert ROOT / path == RUNBOOK
    assert anchor == rule["alert"].lower()


def test_links_in_the_runbook_lead_somewhere() -> None:
    text = RUNBOOK.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        assert (RUNBOOK.parent / path).exists(), target
        assert not anchor or f"\n## {anchor}\n" in text.lower(), target


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    for path in DASHBOARDS:
        found = list(panels(load(path)))
        assert max(Counter(panel["id"] for panel in found).values()) == 1
        taken = Counter(
            (x, y)
            for place in (panel["gridPos"] for panel in found)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
        assert max(taken.values()) == 1
        assert max(x for x, _ in taken) < 24
        for panel in found:
            assert panel["type"] == "row" or panel["description"], panel["title"]


def test_every_query_follows_the_variant() -> None:
    for path in DASHBOARDS:
        dashboard = load(path)
        (variable,) = dashboard["templating"]["list"]
        assert (variable["name"], variable["includeAll"]) == ("variant", True)
        for panel in panels(dashboard):
            for target in panel.get("targets", ()):
                assert "variant" in re.findall(r"\$\{?(\w+)", target.get("expr") or target["query"]), panel["title"]


def test_every_data_source_is_provisioned() -> None:
    sources = {source["uid"]: source for source in load(DATA_SOURCES)["datasources"]}
    for path in DASHBOARDS:
        for used in _data_sources(load(path)):
            assert used["uid"] == "-- Grafana --" or sources[used["uid"]]["type"] == used["type"]
    linked = sources["tempo"]["jsonData"]["tracesToMetrics"]
    assert linked["datasourceUid"] in sources
    # Prometheus' label, and the resource attribute that the collector extracts.
    assert linked["tags"] == [{"key": "variant", "value": "variant"}]
    (extract,) = load(COLLECTOR)["processors"]["resource"]["attributes"]
    for variant in ("fastapi", "bento"):
        match = re.search(extract["pattern"], f"twinscore-{variant}")
        assert match is not None
        assert match.groupdict() == {"variant": variant}


def _data_sources(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("datasource"), dict):
            yield value["datasource"]
        for inner in value.values():
            yield from _data_sources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _data_sources(inner)


def test_grafana_asks_as_often_as_prometheus_scrapes() -> None:
    (interval,) = [s["jsonData"]["timeInterval"] for s in load(DATA_SOURCES)["datasources"] if s["uid"] == "prometheus"]
    assert interval == load(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]


def test_the_collector_names_only_what_it_has() -> None:
    config = load(COLLECTOR)
    service = config["service"]
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in service["pipelines"].values() for name in pipeline[kind]}
        assert used == config[kind].keys()
    assert set(service["extensions"]) == config["extensions"].keys()
    for pipeline in service["pipelines"].values():
        assert (pipeline["processors"][0], pipeline["processors"][-1]) == ("memory_limiter", "batch")


def test_addresses_fit_together() -> None:
    """Who sends to whom, and who scrapes whom, between the files of the stack."""
    jobs = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    scraped = {target for job in jobs for group in job["static_configs"] for target in group["targets"]}
    (reader,) = load(COLLECTOR)["service"]["telemetry"]["metrics"]["readers"]
    tempo = load(TEMPO)
    tempo_http = f"tempo:{tempo['server']['http_listen_port']}"
    assert f"collector:{reader['pull']['exporter']['prometheus']['port']}" in scraped
    assert tempo_http in scraped
    tempo_otlp = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert load(COLLECTOR)["exporters"]["otlp"]["endpoint"] == tempo_otlp.replace("0.0.0.0", "tempo")
    urls = {source["uid"]: source["url"] for source in load(DATA_SOURCES)["datasources"]}
    assert urls == {"prometheus": "http://prometheus:9090", "tempo": f"http://{tempo_http}"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafanas_own_schema_knows_every_setting(path: Any) -> None:
    """What its types do not know is lost when a dashboard goes through them."""
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk is not installed (pip)")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    dashboard = load(path)
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    lost = {place for place in _lost(dashboard, kept, "") if place.rpartition(".")[2] not in OF_THE_DATA_SOURCE}
    assert lost == set()


def _lost(before: Any, after: Any, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from _lost(value, after[key], f"{place}.{key}")
            elif value not in (None, [], {}):
                yield f"{place}.{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (first, second) in enumerate(zip(before, after, strict=True)):
            yield from _lost(first, second, f"{place}[{index}]")
    elif before != after:
        yield place
