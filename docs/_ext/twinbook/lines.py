"""`lines`: how much code each variant and the shared package have for one concern, counted when the book is built."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from twinbook.count import count
from twinbook.excerpts import SIDES, BookDirective
from twinbook.selection import ROOT, SelectionError
from twinbook.sources import link

COLUMNS = {**SIDES, "shared": "both"}
COMMAND = "python docs/_ext/twinbook lines"


class Lines(BookDirective):
    """Lines `fastapi: part`, `bento: part` or `shared: part`, each counted by itself."""

    def run(self) -> list[nodes.Node]:
        found: dict[str, list[tuple[str, int]]] = {column: [] for column in COLUMNS}
        for column, spec in self.parts():
            if column not in found:
                raise self.error(f"{column}: use {', '.join(COLUMNS)}")
            found[column].append((spec, self.counted(spec)))
        used = [column for column in COLUMNS if found[column]]
        sums: list[nodes.Node | str] = ["lines of code we wrote"]
        places: list[nodes.Node | str] = ["where"]
        for column in used:
            sums.append(nodes.strong("", f"{sum(number for _, number in found[column]):,}"))
            places.append(self.places(found[column]))
        titles = COLUMNS | self.titles
        table = self.table(["", *(titles[column] for column in used)], [sums, places], "line-counts")
        specs = [spec for column in used for spec, _ in found[column]]
        words = [shlex.quote(spec) for spec in specs]
        command = nodes.literal_block("", f"{COMMAND} {' '.join(words)}", language="text", classes=["command"])
        note = nodes.paragraph(
            "", "Lines that hold code: no blank lines, comments or docstrings. Counted by", classes=["note"]
        )
        return [table, note, command]

    def places(self, counted: list[tuple[str, int]]) -> nodes.Node:
        lines = nodes.line_block()
        for spec, number in counted:
            if "#" in spec or ":" in spec or "@" in spec:
                part = self.selected(spec)
                label = _label(spec)
                where = link(self.env, part.path, part.first, label)
            else:
                where = link(self.env, spec, None, _short(spec))
            lines += nodes.line("", "", where, nodes.Text(f" {number:,}"))
        return lines


def _label(spec: str) -> str:
    """A part's file and name; of one found by its text, the file and what it begins with."""
    path, kind, name = re.split("([:#@])", spec.partition("..")[0], maxsplit=1)
    name = name.strip("@ ").removesuffix("(") if kind == "@" else name
    return f"{_short(path)}, {name}"


def _short(path: str) -> str:
    name = PurePosixPath(path).name
    # A name that says too little alone.
    return path if name in ("__init__.py", "__main__.py") or "." not in name else name


class LineCount(SphinxRole):
    """{loc}`part [part...]`: lines of code, in a sentence"""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            number = sum(count(spec) for spec in self.text.split())
        except SelectionError as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]
        for spec in self.text.split():
            path = ROOT / re.split("[:#@]", spec)[0]
            for file in path.rglob("*.py") if path.is_dir() else [path]:
                self.env.note_dependency(file)
        return [nodes.inline("", f"{number:,}", classes=["counted"])], []


def setup(app: Sphinx) -> None:
    app.add_role("loc", LineCount())
    app.add_directive("lines", Lines)
