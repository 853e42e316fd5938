"""What the phases of a soak have measured: a table for people, JSON for the next run, Markdown for a document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shared.contract.errors import UserError

FORMAT = 1
BEGIN, END = "<!-- twinscore soak: begin -->", "<!-- twinscore soak: end -->"
"""`write_document` writes all tables between these lines."""

SUMMARY_BEGIN, SUMMARY_END = "<!-- twinscore soak summary: begin -->", "<!-- twinscore soak summary: end -->"
"""And one table with a row for each phase between these."""

PHASES = ("overload", "swap", "hostile", "mixed")


@dataclass
class PhaseResult:
    """One phase.

    Attributes:
        phase: its name, of `PHASES`.
        title: what was done, in a line.
        columns: what the values of a row belong to.
        rows: a name and as many values.
        faults: what must not happen and did.
        misses: bars that a figure does not reach, which is no fault.
        summary: what came of it, in a line.
        figures: the values as numbers.
        meta: where they come from, see `machine.describe`.
    """

    phase: str
    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    summary: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, *values: object) -> None:
        """A row; fewer values than columns leave the last ones empty."""
        texts = [str(value) for value in values]
        self.rows.append((name, texts + [""] * (len(self.columns) - len(texts))))


def as_text(result: PhaseResult) -> str:
    """For a terminal."""
    table = [("", result.columns), *result.rows]
    widths = [max(len(name) for name, _ in table)]
    widths += [max(len(values[column]) for _, values in table) for column in range(len(result.columns))]
    lines = [result.title]
    for name, values in table:
        cells = [name.ljust(widths[0])]
        cells += [value.rjust(width) for value, width in zip(values, widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    lines += [f"  FAULT: {fault}" for fault in result.faults]
    lines += [f"  missed: {miss}" for miss in result.misses]
    return "\n".join(lines)


def as_markdown(results: Iterable[PhaseResult]) -> str:
    """A table for each phase, with where it was measured beneath."""
    parts = []
    for result in results:
        lines = [f"| {result.title} | " + " | ".join(result.columns) + " |"]
        lines.append("|---|" + "---:|" * len(result.columns))
        lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in result.rows]
        lines += [f"\nFault: {fault}." for fault in result.faults]
        lines += [f"\nMissed: {miss}." for miss in result.misses]
        meta = result.meta
        if meta:
            lines.append(
                f"\n{meta['date'][:10]}, commit {meta['commit'] or 'unknown'}, {meta['cores']} cores ({meta['cpu']}), "
                f"{meta['memory_gb']:.0f} GB, {meta['kernel']}, Python {meta['python']}: `{meta['command']}`"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def as_summary(results: Iterable[PhaseResult]) -> str:
    """One table, a row for each phase."""
    rows = [f"| {result.title} | {result.summary} |" for result in results if result.summary]
    return "\n".join(["| what was done | what came of it |", "|---|---|", *rows])


def read_results(path: Path) -> dict[str, PhaseResult]:
    """The phases that a file holds, by name; none where there is no file. Raises UserError for another file."""
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text())
        if document["format"] != FORMAT:
            raise UserError(f"{path} has format {document['format']}, this version reads {FORMAT}: use another file")
        phases = [PhaseResult(**{**item, "rows": _rows(item["rows"])}) for item in document["phases"]]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not hold results of `twinscore soak`: {error!r}") from None
    return {result.phase: result for result in phases}


def _rows(rows: Sequence[Sequence[Any]]) -> list[tuple[str, list[str]]]:
    return [(name, list(values)) for name, values in rows]


def in_order(results: Mapping[str, PhaseResult]) -> list[PhaseResult]:
    return [results[name] for name in PHASES if name in results]


def write_results(path: Path, results: Mapping[str, PhaseResult]) -> None:
    """Raises UserError where it cannot be written."""
    document = {"format": FORMAT, "phases": [asdict(result) for result in in_order(results)]}
    _write(path, json.dumps(document, indent=1) + "\n")


def check_document(path: Path) -> None:
    """Raises UserError unless `write_document` finds its lines in the file."""
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if not any(0 <= text.find(begin) < text.find(end) for begin, end in WRITTEN):
        raise UserError(f"{path} has no lines {BEGIN} and {END} for the tables to stand between")


def write_document(path: Path, results: Mapping[str, PhaseResult]) -> None:
    """Replaces what stands between the marked lines of a document. Raises UserError."""
    check_document(path)
    text = path.read_text()
    for (begin, end), written in WRITTEN.items():
        if 0 <= text.find(begin) < text.find(end):
            before, after = text[: text.index(begin) + len(begin)], text[text.index(end) :]
            text = f"{before}\n\n{written(in_order(results))}\n\n{after}"
    _write(path, text)


WRITTEN = {(BEGIN, END): as_markdown, (SUMMARY_BEGIN, SUMMARY_END): as_summary}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
