"""The figures of `twinscore bench`, looked up by short names; without a results file every figure is missing."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sphinx.errors import ExtensionError

from benchmarks.report.summary import PHASE_FIGURES, Key, Spread, Summary
from benchmarks.results import read
from shared.contract.errors import UserError

NAMES = {
    ("fastapi", "ours"): "FastAPI, ours",
    ("bento", "ours"): "BentoML, ours",
    ("textbook-fastapi", "proba"): "FastAPI, textbook",
    ("textbook-bento", "proba"): "BentoML, textbook",
    ("textbook-fastapi", "ours"): "FastAPI, textbook, our predictor",
    ("textbook-bento", "ours"): "BentoML, textbook, our predictor",
    ("floor", "none"): "bare ASGI application",
}
SERVER_FIGURES = ("cold_start_seconds", "rss_mb", "pss_mb")
WHERE = re.compile(r"(?:(?P<suite>\w+):)?(?P<contender>[\w-]+)/(?P<predictor>\w+)(?:/(?P<model>\w+))?")


class Figures:
    """The figures of one results file, or none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta: dict[str, Any] = {}
        self.summary: Summary | None = None
        if path.exists():
            try:
                results = read(path)
            except UserError as error:
                raise ExtensionError(str(error)) from None
            self.meta, self.summary = results.meta, Summary(results)

    @property
    def note(self) -> str:
        """When and where the figures were taken."""
        meta = self.meta
        rounds = f"{meta['rounds']} round{'s' * (meta['rounds'] != 1)}"
        return (
            f"Measured on {meta['date'][:10]}, {meta['cpu']}, {meta['cores']} cores, commit {meta['commit']}, {rounds}: "
            "medians, with the least and the greatest in brackets."
        )

    def phase(self, key: Key, kind: str, load: int, figure: str) -> Spread | None:
        if self.summary is None:
            return None
        if figure == "batch_rows":
            return self.summary.batch_rows(key, kind, load)
        return self.summary.phase(key, kind, load, figure)

    def server(self, key: Key, figure: str) -> Spread | None:
        return None if self.summary is None else self.summary.of_server(key, figure)

    def loads(self, suite: str, kind: str) -> list[int]:
        return [] if self.summary is None else self.summary.loads(suite, kind)

    def look_up(self, text: str) -> Spread | None:
        """The figure of `[suite:]contender/predictor[/model] kind load figure`, or `... figure` of a server.

        Raises:
            ValueError: no figure can have such a name.
        """
        where, *rest = text.split()
        key = key_of(where)
        if len(rest) == 1 and rest[0] in SERVER_FIGURES:
            return self.server(key, rest[0])
        if len(rest) != 3 or rest[2] not in (*PHASE_FIGURES, "batch_rows") or not rest[1].isdigit():
            raise ValueError(f"{text!r} is not `[suite:]contender/predictor[/model] [kind load] figure`")
        return self.phase(key, rest[0], int(rest[1]), rest[2])


def key_of(where: str) -> Key:
    """Raises ValueError if `where` is not `[suite:]contender/predictor[/model]`."""
    match = WHERE.fullmatch(where)
    if match is None:
        raise ValueError(f"{where!r} is not `[suite:]contender/predictor[/model]`")
    return (match["suite"] or "contenders", match["contender"], match["predictor"], match["model"] or "deep")


@functools.cache
def figures(path: Path) -> Figures:
    return Figures(path)


def shown(value: Spread, form: str) -> str:
    """The median alone."""
    return format(value.middle, form)


def with_range(value: Spread, form: str) -> str:
    low, middle, high = (format(number, form) for number in (value.low, value.middle, value.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def name_of(key: Key) -> str:
    return NAMES.get((key[1], key[2]), f"{key[1]}, {key[2]}")


def present(points: Sequence[tuple[Any, Spread | None]]) -> list[tuple[Any, Spread]]:
    return [(at, value) for at, value in points if value is not None]
