"""Which servers meet which loads. A case is one contender with one predictor and one model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from benchmarks.contenders.catalog import BATCHERS, BY_NAME, CONTENDERS, LADDER, OURS, TELEMETRY, WORKERS, Contender
from shared.contract.errors import UserError


@dataclass(frozen=True)
class Loads:
    """What every case of a suite is put through, in this order.

    Attributes:
        connections: of the closed loops; after them one connection again, to see whether the burst left a mark.
        rates: requests a second of the open loops.
        users: of the scenario with users that arrive over time.
    """

    connections: Sequence[int] = ()
    rates: Sequence[int] = ()
    users: int = 0
    seconds: float = 10.0
    open_seconds: float = 60.0
    warm_up_seconds: float = 3.0

    @property
    def any(self) -> bool:
        return bool(self.connections or self.rates or self.users)


@dataclass(frozen=True)
class Case:
    """One contender, and what it is put through.

    Attributes:
        beside: a name that the cases share which run beside each other and take their loads in turn, because what is
            looked for is smaller than what differs from one start to the next; empty for a case that runs alone.
    """

    suite: str
    contender: Contender
    predictor: str
    model: str
    loads: Loads
    beside: str = ""

    def only(self, kinds: Collection[str]) -> Case:
        """The same under fewer loads: `closed`, `open` and `users`."""
        loads = replace(
            self.loads,
            connections=self.loads.connections if "closed" in kinds else (),
            rates=self.loads.rates if "open" in kinds else (),
            users=self.loads.users if "users" in kinds else 0,
        )
        return replace(self, loads=loads)


def cases(suites: Sequence[str], only: Sequence[str], *, quick: bool, loads: Loads) -> list[Case]:
    """The cases of a round, in their order.

    Args:
        only: names of contenders; empty for all.
        quick: the few of the contenders' suite that a first look needs.

    Raises:
        UserError: no contender has such a name.
    """
    unknown = [name for name in only if name not in BY_NAME]
    if unknown:
        raise UserError(f"--only {unknown[0]}: no such contender; there are {', '.join(BY_NAME)}")
    found = list(_quick(loads)) if quick else [case for suite in suites for case in _suite(suite, loads)]
    return [case for case in found if not only or case.contender.name in only]


def groups(cases: Sequence[Case]) -> Iterator[list[Case]]:
    """The cases as they run: alone, or those beside each other that follow one another."""
    for _, found in groupby(enumerate(cases), lambda item: (item[1].suite, item[1].beside or item[0])):
        yield [case for _, case in found]


def _quick(loads: Loads) -> Iterator[Case]:
    for name, predictor in (
        ("fastapi", "ours"),
        ("bento", "ours"),
        ("textbook-fastapi", "proba"),
        ("textbook-bento", "proba"),
        ("mosec", "proba"),
        ("mosec", "ours"),
        ("floor", "none"),
    ):
        yield Case("contenders", BY_NAME[name], predictor, "deep", loads)


def _suite(suite: str, loads: Loads) -> Iterator[Case]:
    if suite == "contenders":
        for model in ("packaged", "deep"):
            for contender in CONTENDERS:
                for predictor in contender.predictors:
                    yield Case(suite, contender, predictor, model, loads)
    elif suite == "ladder":
        closed = replace(loads, rates=())
        for framework in OURS:
            yield Case(suite, BY_NAME[f"textbook-{framework}"], "proba", "deep", closed)
            for step in LADDER:
                if step.name.startswith(f"ladder-{framework}-"):
                    yield Case(suite, step, "ours", "deep", closed)
            yield Case(suite, BY_NAME[framework], "ours", "deep", closed)
    elif suite == "crossover":
        closed = replace(loads, connections=(1, 4, 16, 64, 128), rates=())
        for model in ("packaged", "deep", "huge"):
            for contender in (*(BY_NAME[name] for name in OURS), *BATCHERS):
                yield Case(suite, contender, "ours", model, closed)
    elif suite == "telemetry":
        few = replace(loads, connections=(1, 64), rates=())
        for framework in OURS:
            for contender in (BY_NAME[framework], *(c for c in TELEMETRY if c.name.startswith(framework))):
                yield Case(suite, contender, "ours", "deep", few, beside=framework)
    elif suite == "workers":
        for contender in WORKERS:
            yield Case(suite, contender, "ours", "deep", replace(loads, connections=(64,), rates=()))
    else:
        users = replace(loads, connections=(), rates=(), users=100)
        for name, predictor in (("fastapi", "ours"), ("bento", "ours")):
            yield Case(suite, BY_NAME[name], predictor, "deep", users)
        for framework in OURS:
            yield Case(suite, BY_NAME[f"textbook-{framework}"], "proba", "deep", users)
