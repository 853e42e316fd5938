"""`sides`: excerpts of both variants beside each other. `step-lines`: where each step stands in both files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import PurePosixPath

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from twinbook.count import count
from twinbook.selection import ROOT, STEPS, Selection, SelectionError, select
from twinbook.sources import link

SIDES = {"fastapi": "FastAPI", "bento": "BentoML"}
APP, SERVICE = "fastapi_service/app.py", "bento_service/service.py"
LEXERS = {
    ".py": "python",
    ".yaml": "yaml",
    ".toml": "toml",
    ".j2": "text",
    ".fastapi": "docker",
    ".sh": "bash",
    ".txt": "text",
}


class BookDirective(SphinxDirective):
    """What the directives of the book share: parts of the source, named line by line as `side: part`."""

    has_content = True
    option_spec = {"titles": directives.unchanged}  # noqa: RUF012

    @property
    def titles(self) -> dict[str, str]:
        """What stands above the two sides: the frameworks, or what the option `titles: one | other` says."""
        given = [title.strip() for title in self.options.get("titles", "").split("|")]
        return dict(zip(SIDES, given, strict=True)) if len(given) == len(SIDES) else SIDES

    def parts(self) -> Iterator[tuple[str, str]]:
        for line in self.content:
            if line.strip():
                side, colon, spec = line.partition(": ")
                if not colon:
                    raise self.error(f"{line!r} is not `side: part of a file`")
                yield side.strip(), spec.strip()

    def selected(self, spec: str) -> Selection:
        try:
            part = select(spec)
        except SelectionError as error:
            raise self.error(str(error)) from None
        self.env.note_dependency(ROOT / part.path)
        return part

    def counted(self, spec: str) -> int:
        try:
            number = count(spec)
        except SelectionError as error:
            raise self.error(str(error)) from None
        folder = ROOT / spec
        for path in (
            folder.rglob("*.py") if folder.is_dir() else [ROOT / spec.split("#")[0].split("@")[0].split(":")[0]]
        ):
            self.env.note_dependency(path)
        return number

    def table(self, head: list[str], rows: list[list[nodes.Node | str]], *classes: str) -> nodes.table:
        """The first column of `rows` is a heading."""
        group = nodes.tgroup(cols=len(head))
        group += [nodes.colspec(colwidth=1, stub=1 if index == 0 else 0) for index in range(len(head))]
        group += nodes.thead("", _row(list(head)))
        group += nodes.tbody("", *(_row(cells) for cells in rows))
        table = nodes.table("", group, classes=["book-table", *classes])
        self.set_source_info(table)
        return table


def _row(cells: list[nodes.Node | str]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        inner = nodes.Text(cell) if isinstance(cell, str) else cell
        inline = isinstance(inner, nodes.Text | nodes.Inline)
        row += nodes.entry("", nodes.paragraph("", "", inner) if inline else inner)
    return row


class Sides(BookDirective):
    """Lines `fastapi: part` and `bento: part`; each side has at least one, shown in the order given.

    Lines `both: part` stand across, below.
    """

    def run(self) -> list[nodes.Node]:
        grid = nodes.container(classes=["sides"])
        found = list(self.parts())
        if {side for side, _ in found} - {"both"} != set(SIDES):
            raise self.error("`sides` wants at least one excerpt for each of fastapi and bento")
        for side, name in self.titles.items():
            column = nodes.container(classes=["side", side])
            column += nodes.paragraph("", name, classes=["side-name"])
            for other, spec in found:
                if other == side:
                    column += self.excerpt(spec)
            grid += column
        for other, spec in found:
            if other == "both":
                column = nodes.container(classes=["side", "both"])
                column += nodes.paragraph("", "Both", classes=["side-name"])
                column += self.excerpt(spec)
                grid += column
        return [grid]

    def excerpt(self, spec: str) -> list[nodes.Node]:
        part = self.selected(spec)
        suffix = PurePosixPath(part.path).suffix
        text = textwrap.dedent("\n".join(part.lines))
        block = nodes.literal_block(text, text, language=LEXERS.get(suffix, "text"))
        self.set_source_info(block)
        where = "" if part.whole else f", lines {part.first} to {part.last}"
        caption = nodes.paragraph(classes=["excerpt-source"])
        caption += link(self.env, part.path, part.first)
        caption += nodes.Text(where)
        return [caption, block]


class Steps(BookDirective):
    """The steps of `app.py` and `service.py`: the lines where each begins."""

    def run(self) -> list[nodes.Node]:
        rows: list[list[nodes.Node | str]] = []
        for step in STEPS:
            cells: list[nodes.Node | str] = [step]
            for path in (APP, SERVICE):
                part = self.selected(f"{path}#{step}")
                cells.append(link(self.env, path, part.first, f"line {part.first}"))
            rows.append(cells)
        head = ["step", *(PurePosixPath(path).name for path in (APP, SERVICE))]
        return [self.table(head, rows, "steps")]


def widen(app: Sphinx, doctree: nodes.document) -> None:
    """Gives the room of a page's own contents to the two columns, and to the wide tables."""
    if app.env.docname.startswith("book/"):
        app.env.metadata[app.env.docname]["hide-toc"] = True


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", widen)
    app.add_directive("sides", Sides)
    app.add_directive("step-lines", Steps)
