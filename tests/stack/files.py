"""What the files under `deploy/` hold: rules, dashboards, data sources, and the names in their queries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
DATA_SOURCES = DEPLOY / "grafana" / "provisioning" / "datasources" / "datasources.yaml"
RUNBOOK = ROOT / "docs" / "runbook.md"

Document = dict[str, Any]

# Names of Prometheus' own, and of what rules record, hold no `twinscore_` at their beginning.
METRIC = re.compile(r"(?<![\w:])twinscore_[a-z_]+")
RECORDED = re.compile(r"[a-z_]+:twinscore_[a-z_]+:[a-z0-9_]+")
BOUND = re.compile(r'\ble="([^"]+)"')


class Query(NamedTuple):
    """A query and where it stands."""

    where: str
    text: str


def load(path: Path) -> Document:
    text = path.read_text()
    document: Document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    return document


def rules(kind: str | None = None) -> list[Document]:
    """The rules of all files; of one kind, `alert` or `record`."""
    found = [rule for path in RULES for group in load(path)["groups"] for rule in group["rules"]]
    return [rule for rule in found if kind is None or kind in rule]


def panels(dashboard: Document) -> Iterator[Document]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def grafana_queries() -> list[Query]:
    """PromQL of panels, annotations, and of the links from traces to metrics; variables of Grafana's still in it."""
    found = []
    for path in DASHBOARDS:
        dashboard = load(path)
        for panel in panels(dashboard):
            for target in panel.get("targets", ()):
                if target["datasource"]["type"] == "prometheus":
                    found.append(Query(f"{path.name}: {panel['title']}: {target['refId']}", target["expr"]))
        for annotation in dashboard["annotations"]["list"]:
            if "expr" in annotation:
                found.append(Query(f"{path.name}: annotation {annotation['name']}", annotation["expr"]))
    for source in load(DATA_SOURCES)["datasources"]:
        for link in source["jsonData"].get("tracesToMetrics", {}).get("queries", ()):
            found.append(Query(f"{DATA_SOURCES.name}: {link['name']}", link["query"]))
    return found


def runbook_queries() -> list[Query]:
    """What the runbook shows as code and is about metrics of ours."""
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", RUNBOOK.read_text(), flags=re.DOTALL))
    queries = [" ".join(span.split()) for span in spans]
    return [Query(f"{RUNBOOK.name}: {text}", text) for text in queries if METRIC.search(text) or RECORDED.search(text)]


def filled_in(query: str, variant: str) -> str:
    """A query as Grafana sends it: for one variant, or both as `fastapi|bento`."""
    values = {"$$__tags": f'variant=~"{variant}"', "$__rate_interval": "1m", "$variant": variant}
    for name, value in values.items():
        query = query.replace(name, value)
    return query
