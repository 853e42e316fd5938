"""Plots of what other commands than `twinscore bench` measure: the layers of a request, and the two frameworks together."""

from __future__ import annotations

import json

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from benchmarks.report.summary import Spread
from twinbook import charts
from twinbook.figures import MISSING
from twinbook.selection import ROOT

LAYERS = "docs/benchmark/budget.md"
TOGETHER = "docs/book/together.json"
COLUMN = "64 conn."


def _spread(value: float) -> Spread:
    return Spread(value, value, value)


def layers(text: str) -> list[tuple[str, dict[str, float]]]:
    """The table that `python -m benchmarks.budget` prints: each layer with its microseconds by variant, 64 connections."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    if len(rows) < 3:
        return []
    head = rows[0]
    columns = {
        "FastAPI" if "FastAPI" in name else "BentoML": index for index, name in enumerate(head) if name.endswith(COLUMN)
    }
    found = []
    for cells in rows[2:]:
        if len(cells) == len(head) and cells[0] != "all":
            found.append((cells[0], {name: float(cells[index].replace(",", "")) for name, index in columns.items()}))
    return found


class Layers(SphinxDirective):
    """Where the processor time of a request goes."""

    def run(self) -> list[nodes.Node]:
        path = ROOT / LAYERS
        self.env.note_dependency(path)
        found = layers(path.read_text()) if path.exists() else []
        if not found:
            return [missing("python -m benchmarks.budget > docs/benchmark/budget.md")]
        bars = [
            charts.Bar(f"{layer}: {name}", _spread(value), charts.style_of(name.lower()))
            for layer, by_name in found
            for name, value in by_name.items()
        ]
        plot = charts.bars("Where the processor time of a request goes, 64 connections", "microseconds", bars)
        return [nodes.raw("", plot, format="html"), note("Measured by ", "python -m benchmarks.budget")]


class Together(SphinxDirective):
    """What a front before a service, and a mounted app, cost."""

    def run(self) -> list[nodes.Node]:
        path = ROOT / TOGETHER
        self.env.note_dependency(path)
        if not path.exists():
            return [missing("python -m examples.together.measure")]
        run = json.loads(path.read_text())
        bars = [
            charts.Bar(f"{name}: {quantile}", _spread(values[quantile]), _style(name), ".2f")
            for name, values in run["milliseconds"].items()
            for quantile in ("p50", "p99")
        ]
        plot = charts.bars("One request at a time, on a connection that stays open", "milliseconds", bars)
        text = (
            f"Measured on {run['date']}, {run['cores']} cores with a load average of {run['load_average']}, "
            f"{run['requests']:,} requests each way, by "
        )
        return [nodes.raw("", plot, format="html"), note(text, "python -m examples.together.measure")]


class Hop(SphinxRole):
    """{hop}`FastAPI before BentoML p50`: milliseconds, in a sentence"""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        path = ROOT / TOGETHER
        self.env.note_dependency(path)
        name, _, quantile = self.text.rpartition(" ")
        ways = json.loads(path.read_text())["milliseconds"] if path.exists() else {}
        found = [values[quantile] for way, values in ways.items() if way.startswith(name)]
        if len(found) != 1 and ways:
            return [], [self.inliner.reporter.error(f"{TOGETHER} has no {self.text}", line=self.lineno)]
        text = f"{found[0]:.1f}" if found else MISSING
        return [nodes.inline("", text, classes=["measured" if found else "missing"])], []


def _style(name: str) -> str:
    return "fastapi" if name.startswith("FastAPI") else "bento"


def note(text: str, command: str) -> nodes.Node:
    return nodes.paragraph("", "", nodes.Text(text), nodes.literal("", command), nodes.Text("."), classes=["note"])


def missing(command: str) -> nodes.Node:
    text = nodes.paragraph("", "Not measured yet. ")
    text += nodes.literal("", command)
    text += nodes.Text(" measures it; the next build draws it.")
    return nodes.container("", text, classes=["not-measured"])


def setup(app: Sphinx) -> None:
    app.add_directive("layers", Layers)
    app.add_directive("together", Together)
    app.add_role("hop", Hop())
