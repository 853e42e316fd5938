"""Writes `components/monitoring/prometheusrule.yaml`, the PrometheusRule of all groups in `deploy/prometheus/rules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).resolve().parents[1]
RULES: Final = DEPLOY / "prometheus" / "rules"
OUT: Final = DEPLOY / "kubernetes" / "components" / "monitoring" / "prometheusrule.yaml"

HEADER: Final = """\
# Written by deploy/kubernetes/prometheus_rule.py from deploy/prometheus/rules, where the rules are explained: edit those.
# A label that your Prometheus selects rules by (ruleSelector) has to be added in an overlay.
"""


class Dumper(yaml.SafeDumper):
    """Expressions of several lines stay so."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


Dumper.add_representer(str, _text)


def groups() -> list[dict[str, Any]]:
    """The groups of every rule file, in the order of the files' names."""
    return [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]


def render() -> str:
    """The manifest."""
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "twinscore",
            "labels": {"app.kubernetes.io/name": "twinscore", "app.kubernetes.io/part-of": "twinscore"},
        },
        "spec": {"groups": groups()},
    }
    return HEADER + yaml.dump(manifest, Dumper=Dumper, sort_keys=False, width=10_000)


if __name__ == "__main__":
    OUT.write_text(render())
