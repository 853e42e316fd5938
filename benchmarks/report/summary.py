"""Medians and spreads over the rounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.results import Measurement, Phase, Results


@dataclass(frozen=True)
class Spread:
    """The median of the rounds, the least and the greatest."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = list(values)
        return cls(median(found), min(found), max(found))


Key = tuple[str, str, str, str]
"""Suite, contender, predictor, model."""

PHASE_FIGURES: dict[str, Callable[[Phase], float]] = {
    "rate": lambda phase: phase.outcome.good / phase.outcome.seconds,
    "errors": lambda phase: float(phase.outcome.refused + phase.outcome.failed),
    "error_share": lambda phase: (
        (phase.outcome.refused + phase.outcome.failed)
        / max(1, phase.outcome.good + phase.outcome.refused + phase.outcome.failed)
    ),
    "p50": lambda phase: phase.outcome.p50,
    "p90": lambda phase: phase.outcome.p90,
    "p99": lambda phase: phase.outcome.p99,
    "p999": lambda phase: phase.outcome.p999,
    "cpu_us": lambda phase: phase.cpu_us,
}


class Summary:
    """Looks figures up; None stands for what was not measured or failed."""

    def __init__(self, results: Results) -> None:
        self._cases: dict[Key, list[Measurement]] = defaultdict(list)
        for m in results.measurements:
            self._cases[m.suite, m.contender, m.predictor, m.model].append(m)

    def cases(self, suite: str, model: str | None = None) -> list[Key]:
        return [key for key in self._cases if key[0] == suite and model in (None, key[3])]

    def models(self, suite: str) -> list[str]:
        return list(dict.fromkeys(key[3] for key in self._cases if key[0] == suite))

    def loads(self, suite: str, kind: str) -> list[int]:
        return sorted(
            {p.load for key in self.cases(suite) for m in self._cases[key] for p in m.phases if p.kind == kind}
        )

    def phase(self, key: Key, kind: str, load: int, figure: str) -> Spread | None:
        phases = self._phases(key, kind, load)
        return Spread.of(map(PHASE_FIGURES[figure], phases)) if phases else None

    def ratio(self, key: Key, other: Key, kind: str, load: int, figure: str) -> Spread | None:
        """Of what was measured in the same round: neighbours in time."""
        mine, theirs = self._by_round(key, kind, load, figure), self._by_round(other, kind, load, figure)
        found = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return Spread.of(found) if found else None

    def batch_rows(self, key: Key, kind: str, load: int) -> Spread | None:
        rows = [phase.batch_rows for phase in self._phases(key, kind, load) if phase.batch_rows is not None]
        return Spread.of(rows) if rows else None

    def of_server(self, key: Key, figure: str) -> Spread | None:
        """`cold_start_seconds`, `rss_mb` or `pss_mb`."""
        values = [getattr(m, figure) for m in self._cases.get(key, []) if m.failure is None]
        return Spread.of(values) if values else None

    def failures(self) -> list[tuple[Key, str]]:
        return [(key, m.failure) for key, found in self._cases.items() for m in found if m.failure is not None]

    def _by_round(self, key: Key, kind: str, load: int, figure: str) -> dict[int, float]:
        found = ((m.round, p) for m in self._cases.get(key, []) for p in m.phases if (p.kind, p.load) == (kind, load))
        return {number: PHASE_FIGURES[figure](phase) for number, phase in found}

    def _phases(self, key: Key, kind: str, load: int) -> list[Phase]:
        found = (p for m in self._cases.get(key, []) for p in m.phases)
        return [p for p in found if p.kind == kind and p.load == load]
