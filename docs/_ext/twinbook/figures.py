"""Roles and directives that show what was measured.

`measured` and `ratio` put a figure into a sentence, `plot` shows a plot of `twinbook.plots`, `machine` tells when and where
the figures were taken. What is missing is said to be missing.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from twinbook.plots import PLOTS
from twinbook.results import Figures, figures, shown

FORMS = {
    "rate": ",.0f",
    "errors": ",.0f",
    "error_share": ".1%",
    "cpu_us": ",.0f",
    "batch_rows": ".1f",
    "cold_start_seconds": ".1f",
    "rss_mb": ",.0f",
    "pss_mb": ",.0f",
}
MISSING = "not measured yet"
RESULTS = "results.json"


def results_of(env: BuildEnvironment) -> Figures:
    """The figures of the run that conf.py names; pages that show them are built again when they change."""
    path = Path(env.srcdir, env.config.twinbook_results).resolve()
    env.note_dependency(path)
    return figures(path)


def figure_text(found: Figures, name: str) -> str | None:
    value = found.look_up(name)
    return None if value is None else shown(value, FORMS.get(name.split()[-1], ".2f"))


class Measured(SphinxRole):
    """{measured}`fastapi/ours closed 64 rate`"""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            text = self.look_up(results_of(self.env))
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [], [message]
        style = "measured" if text else "missing"
        return [nodes.inline("", text or MISSING, classes=[style])], []

    def look_up(self, found: Figures) -> str | None:
        return figure_text(found, self.text)


class Ratio(Measured):
    """{ratio}`fastapi/ours closed 64 rate | bento/ours closed 64 rate`: the first by the second"""

    def look_up(self, found: Figures) -> str | None:
        first, second = (found.look_up(name.strip()) for name in self.text.split("|"))
        if first is None or second is None or not second.middle:
            return None
        return f"{first.middle / second.middle:.1f}"


class ShowPlot(SphinxDirective):
    """```{plot} name [name...]```"""

    required_arguments = 1
    optional_arguments = 8

    def run(self) -> list[nodes.Node]:
        found = results_of(self.env)
        for name in self.arguments:
            if name not in PLOTS:
                raise self.error(f"no plot {name}; there are {', '.join(PLOTS)}")
        drawn = {name: PLOTS[name].draw(found) for name in self.arguments}
        plots: list[nodes.Node] = [nodes.raw("", html, format="html") for html in drawn.values() if html is not None]
        if plots:
            plots.append(_note(found.note, [name for name, html in drawn.items() if html is not None]))
        absent = [name for name, html in drawn.items() if html is None]
        return [*plots, _missing(absent)] if absent else plots


def _note(text: str, names: list[str]) -> nodes.Node:
    note = nodes.paragraph("", f"{text} Measured by ", classes=["note"])
    for index, command in enumerate(dict.fromkeys(PLOTS[name].command for name in names)):
        note += [nodes.Text(" and " if index else ""), nodes.literal("", command)]
    note += nodes.Text(".")
    return note


def _missing(names: list[str]) -> nodes.Node:
    suites = " and ".join(dict.fromkeys(PLOTS[name].suite for name in names))
    text = nodes.paragraph("", f"Not measured yet: {', '.join(names)}. ")
    text += nodes.literal("", f"twinscore bench --results docs/benchmark/{RESULTS}")
    text += nodes.Text(f" measures it (suite {suites}); the next build of the book draws it.")
    return nodes.container("", text, classes=["not-measured"])


def setup(app: Sphinx) -> None:
    app.add_config_value("twinbook_results", f"benchmark/{RESULTS}", "env")
    app.add_role("measured", Measured())
    app.add_role("ratio", Ratio())
    app.add_directive("plot", ShowPlot)
