"""What we set out to reach, as ratios within one run, and where somebody else is ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.contenders.catalog import BY_NAME, OURS
from benchmarks.report.summary import Key, Summary

SUITE = "contenders"
AFTER = ("after", 1)


@dataclass(frozen=True)
class Bar:
    """A ratio or a figure and its bound; `value` is None where it was not measured."""

    variant: str
    text: str
    value: float | None
    bound: float
    at_most: bool
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def _case(name: str, predictor: str, model: str = "deep") -> Key:
    return (SUITE, name, predictor, model)


def _ratio(summary: Summary, ours: Key, theirs: Key, kind: str, load: int, figure: str) -> float | None:
    mine, other = summary.phase(ours, kind, load, figure), summary.phase(theirs, kind, load, figure)
    return mine.middle / other.middle if mine and other and other.middle else None


def bars(summary: Summary) -> list[Bar]:
    """The bars for the model of 500 trees of depth 8."""
    return [bar for name in OURS for bar in _variant(summary, name)]


def _variant(summary: Summary, name: str) -> Iterator[Bar]:
    is_fastapi = name == "fastapi"
    mine, textbook = _case(name, "ours"), _case(f"textbook-{name}", "proba")
    mosec, floor = _case("mosec", "proba"), _case("floor", "none")

    def rate(other: Key, connections: int) -> float | None:
        return _ratio(summary, mine, other, "closed", connections, "rate")

    def bar(text: str, value: float | None, bound: float, at_most: bool = False, unit: str = "x") -> Bar:
        return Bar(name, text, value, bound, at_most, unit)

    yield bar(
        "good answers/s against the textbook service, 64 connections", rate(textbook, 64), 6 if is_fastapi else 15
    )
    if not is_fastapi:
        yield bar("good answers/s against the textbook service, 16 connections", rate(textbook, 16), 3.5)
    p50 = _ratio(summary, mine, textbook, "closed", 1, "p50")
    yield bar("p50 at one connection against the textbook service", p50, 0.3, at_most=True)
    for connections in (1, 16) if is_fastapi else (1,):
        yield bar(
            f"good answers/s against Mosec (predict_proba), connections: {connections}", rate(mosec, connections), 1
        )
    yield bar(
        "good answers/s against the closest of the rest as it comes, any load", _closest(summary, mine, "proba"), 1
    )
    yield bar("the same, with our predictor in each", _closest(summary, mine, "ours"), 1)
    yield bar("good answers/s against the bare ASGI app, 64 connections", rate(floor, 64), 0.25 if is_fastapi else 0.08)
    for load in summary.loads(SUITE, "open"):
        errors = summary.phase(mine, "open", load, "errors")
        yield bar(f"errors at {load} requests/s, open loop", errors.high if errors else None, 0, True, "errors")
        if is_fastapi:
            ratio = _ratio(summary, mine, mosec, "open", load, "p99")
            yield bar(f"p99 at {load} requests/s against Mosec (predict_proba)", ratio, 1, at_most=True)
        else:
            p99 = summary.phase(mine, "open", load, "p99")
            yield bar(f"p99 at {load} requests/s", p99.middle if p99 else None, 20, True, "ms")
    before, after = summary.phase(mine, "closed", 1, "p50"), summary.phase(mine, *AFTER, "p50")
    ratio = after.middle / before.middle if before and after else None
    yield bar("p50 at one connection after the burst, against before", ratio, 1.2, at_most=True)
    yield bar("all telemetry on against off, 64 connections: every trace", _telemetry(summary, name, "traced"), 0.85)
    yield bar("the same, every twentieth trace", _telemetry(summary, name, "sampled"), 0.85)
    yield bar("answers per second of processor time, 2 workers against 1", _scaling(summary, name), 0.85)
    own, other = summary.of_server(mine, "cold_start_seconds"), summary.of_server(textbook, "cold_start_seconds")
    ratio = own.middle / other.middle if own and other else None
    yield bar("cold start against the textbook service", ratio, 0.4 if is_fastapi else 0.6, at_most=True)


def _telemetry(summary: Summary, name: str, what: str) -> float | None:
    on, off = (("telemetry", f"{name}-{state}", "ours", "deep") for state in (what, "silent"))
    ratio = summary.ratio(on, off, "closed", 64, "rate")
    return ratio.middle if ratio else None


def _scaling(summary: Summary, name: str) -> float | None:
    """How much dearer a request gets with a second worker; 0.85 is 1.7 times the throughput of two free cores."""
    one, two = (("workers", f"{name}-{count}-workers", "ours", "deep") for count in (1, 2))
    return _ratio(summary, one, two, "closed", 64, "cpu_us")


REST = ("litserve", "ray", "mlserver", "textbook-fastapi")
"""Both variants are to be ahead of these everywhere, as they come: with `predict_proba`."""


def _closest(summary: Summary, mine: Key, predictor: str) -> float | None:
    """The least ratio to any of the rest, with that predictor, at any number of connections."""
    others = [key for key in summary.cases(SUITE, mine[3]) if key[1] in REST and key[2] == predictor]
    loads = summary.loads(SUITE, "closed")
    ratios = [_ratio(summary, mine, other, "closed", load, "rate") for other in others for load in loads]
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def losses(summary: Summary) -> list[str]:
    """A sentence for every figure in which another server is ahead of one of our variants."""
    found = []
    for model in summary.models(SUITE):
        for name in OURS:
            mine = _case(name, "ours", model)
            for kind, figure, better_low in (
                ("closed", "rate", False),
                ("closed", "p99", True),
                ("open", "p99", True),
                ("open", "error_share", True),
            ):
                for load in summary.loads(SUITE, kind):
                    sentence = _loss(summary, mine, kind, load, figure, better_low)
                    if sentence:
                        found.append(sentence)
    return found


WORDS = {"rate": "good answers/s", "p99": "ms at p99", "error_share": "of requests not answered"}


def _loss(summary: Summary, mine: Key, kind: str, load: int, figure: str, better_low: bool) -> str | None:
    own = summary.phase(mine, kind, load, figure)
    if own is None:
        return None
    ahead = []
    for other in summary.cases(SUITE, mine[3]):
        theirs = summary.phase(other, kind, load, figure)
        if other[1] in (*OURS, "floor") or theirs is None:
            continue
        if figure == "p99" and (summary.phase(other, kind, load, "error_share") or own).middle > 0.01:
            continue  # a refusal is quick: its latency is not that of an answer
        if theirs.middle < own.middle if better_low else theirs.middle > own.middle:
            ahead.append((theirs.middle, other))
    if not ahead:
        return None
    value, other = min(ahead) if better_low else max(ahead)
    where = (f"{load} connections" if load > 1 else "one connection") if kind == "closed" else f"{load} requests/s"
    shown = "{:.1%}" if figure == "error_share" else "{:,.1f}" if better_low else "{:,.0f}"
    return (
        f"{BY_NAME[mine[1]].label}, {mine[3]} model, {where}: {shown.format(own.middle)} {WORDS[figure]}, behind "
        f"{BY_NAME[other[1]].label} ({other[2]}) with {shown.format(value)}"
        + (f", and {len(ahead) - 1} more" if len(ahead) > 1 else "")
    )
