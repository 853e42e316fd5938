"""`profiles`: the table of packages and megabytes, and a plot of what makes the difference."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from benchmarks.report.summary import Spread
from twinbook import charts
from twinbook.excerpts import BookDirective
from twinbook.profiles import COMMAND, FILE, read
from twinbook.selection import ROOT

SHOWN = 8
MEGA = 1e6


class Profiles(BookDirective):
    """Takes no content."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(ROOT / FILE)
        document = read()
        sizes = {
            profile: {name: package["bytes"] for name, package in packages.items()}
            for profile, packages in document["profiles"].items()
        }
        fastapi, bento = sizes["fastapi"], sizes["bento"]
        both = {name: size for name, size in fastapi.items() if name in bento}
        rows = [
            _row("packages installed, in all", fastapi, bento),
            _row("of those in both profiles", both, both),
            _row("only in this one", _without(fastapi, both), _without(bento, both)),
        ]
        table = self.table(["", "FastAPI", "BentoML"], rows, "profiles")
        note = nodes.paragraph(
            "", f"{document['where']}; files as installed, without bytecode. Counted by", classes=["note"]
        )
        command = nodes.literal_block("", COMMAND, language="text", classes=["command"])
        own = [
            (size, name, "fastapi" if name in fastapi else "bento")
            for name, size in (_without(fastapi, both) | _without(bento, both)).items()
        ]
        bars = [charts.Bar(name, _exact(size / MEGA), style, ".1f") for size, name, style in sorted(own, reverse=True)]
        common = [charts.Bar("all that both share", _exact(sum(both.values()) / MEGA), "", ".1f")]
        plot = charts.bars("Packages that only one profile has", "megabytes", [*common, *bars[:SHOWN]])
        return [table, note, command, nodes.raw("", plot, format="html")]


def _without(packages: dict[str, int], others: dict[str, int]) -> dict[str, int]:
    return {name: size for name, size in packages.items() if name not in others}


def _exact(value: float) -> Spread:
    return Spread(value, value, value)


def _row(name: str, *packages: dict[str, int]) -> list[nodes.Node | str]:
    return [name, *(f"{len(found)} ({sum(found.values()) / MEGA:,.0f} MB)" for found in packages)]


class Packages(SphinxRole):
    """{packages}`fastapi`: packages and megabytes of a profile, in a sentence"""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        self.env.note_dependency(ROOT / FILE)
        packages = read()["profiles"].get(self.text)
        if packages is None:
            return [], [self.inliner.reporter.error(f"no profile {self.text}", line=self.lineno)]
        size = sum(package["bytes"] for package in packages.values()) / MEGA
        return [nodes.inline("", f"{len(packages)} packages, {size:,.0f} MB", classes=["counted"])], []


def setup(app: Sphinx) -> None:
    app.add_role("packages", Packages())
    app.add_directive("profiles", Profiles)
