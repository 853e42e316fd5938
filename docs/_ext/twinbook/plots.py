"""The plots of the book by name. Each takes the figures of a run and gives HTML, or None where it was not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.report.crossover import MAPS, SUITE, ratio
from benchmarks.report.sections import MODELS
from twinbook import charts
from twinbook.results import Figures, key_of, name_of, present

MAIN = ("fastapi/ours", "bento/ours", "textbook-fastapi/proba", "textbook-bento/proba")
SAME_PREDICTOR = ("fastapi/ours", "bento/ours", "textbook-fastapi/ours", "textbook-bento/ours")
DEEP = "500 trees of depth 8"


@dataclass(frozen=True)
class Plot:
    """What to draw, and the command that measures it."""

    draw: Callable[[Figures], str | None]
    suite: str

    @property
    def command(self) -> str:
        return f"twinscore bench --suite {self.suite}"


def by_connections(title: str, unit: str, figure: str, form: str, servers: Sequence[str] = MAIN) -> Plot:
    def draw(found: Figures) -> str | None:
        series = []
        for where in servers:
            key = key_of(where)
            points = [(n, found.phase(key, "closed", n, figure)) for n in found.loads("contenders", "closed")]
            shown = [(float(n), value) for n, value in present(points) if value.middle > 0]
            if shown:
                series.append(charts.Line(name_of(key), shown, charts.style_of(key[1])))
        return charts.lines(title, unit, "connections", series, form) if series else None

    return Plot(draw, "contenders")


def at_load(title: str, unit: str, kind: str, load: int, figure: str, form: str, servers: Sequence[str] = MAIN) -> Plot:
    def draw(found: Figures) -> str | None:
        keys = [key_of(where) for where in servers]
        measured = present([(key, found.phase(key, kind, load, figure)) for key in keys])
        bars = [charts.Bar(name_of(key), value, charts.style_of(key[1]), form) for key, value in measured]
        return charts.bars(title, unit, bars) if bars else None

    return Plot(draw, key_of(servers[0])[0])


def of_server(title: str, unit: str, figure: str, form: str, servers: Sequence[str] = MAIN) -> Plot:
    def draw(found: Figures) -> str | None:
        keys = [key_of(where) for where in servers]
        measured = present([(key, found.server(key, figure)) for key in keys])
        bars = [
            charts.Bar(_worker_name(key[1]) or name_of(key), v, charts.style_of(key[1]), form) for key, v in measured
        ]
        return charts.bars(title, unit, bars) if bars else None

    return Plot(draw, key_of(servers[0])[0])


def named(title: str, unit: str, load: int, figure: str, form: str, servers: Sequence[tuple[str, str]]) -> Plot:
    """Bars of closed loops with names of their own."""

    def draw(found: Figures) -> str | None:
        values = [(name, where, found.phase(key_of(where), "closed", load, figure)) for name, where in servers]
        bars = [charts.Bar(name, v, charts.style_of(where), form) for name, where, v in values if v is not None]
        return charts.bars(title, unit, bars) if bars else None

    return Plot(draw, key_of(servers[0][1])[0])


def _worker_name(contender: str) -> str | None:
    variant, _, rest = contender.partition("-")
    if not rest.endswith(("worker", "workers")):
        return None
    number = rest.partition("-")[0]
    return f"{'FastAPI' if variant == 'fastapi' else 'BentoML'}, {number} worker{'s' * (number != '1')}"


def _ladder(framework: str, name: str) -> Plot:
    steps = (
        (f"textbook-{framework}/proba", "textbook"),
        (f"ladder-{framework}-predictor/ours", "+ our predictor"),
        (f"ladder-{framework}-eager/ours", "+ eager batches"),
        (f"ladder-{framework}-frozen/ours", "+ frozen garbage collection"),
        (f"{framework}/ours", "the service, edge and all"),
    )
    servers = [(text, f"ladder:{where}") for where, text in steps]
    return named(f"{name}, 64 connections, {DEEP}", "good answers a second", 64, "rate", ",.0f", servers)


def _burst(found: Figures) -> str | None:
    bars = []
    for where in MAIN:
        key = key_of(where)
        for kind, when in (("closed", "before"), ("after", "after")):
            value = found.phase(key, kind, 1, "p50")
            if value is not None:
                bars.append(charts.Bar(f"{name_of(key)}, {when}", value, charts.style_of(key[1]), ".2f"))
    title = "One lone client before and after 128 connections"
    return charts.bars(title, "p50 in milliseconds", bars) if bars else None


def _maps(found: Figures) -> str | None:
    loads = found.loads(SUITE, "closed")
    if found.summary is None or not loads:
        return None
    parts = []
    for title, first, second in MAPS:
        rows = []
        for model in found.summary.models(SUITE):
            rows.append((MODELS[model], [ratio(found.summary, first, second, model, load) for load in loads]))
        heads = [f"{load} conn." for load in loads]
        parts.append(charts.grid(title, "ratio of good answers a second", heads, rows))
    return "".join(parts)


def _telemetry(title: str, unit: str, load: int, figure: str, form: str) -> Plot:
    servers = [
        (f"{name}, {what}", f"telemetry:{variant}{suffix}/ours")
        for variant, name in (("fastapi", "FastAPI"), ("bento", "BentoML"))
        for suffix, what in (
            ("-silent", "all off"),
            ("", "metrics and logs"),
            ("-sampled", "and every 20th trace"),
            ("-traced", "and every trace"),
        )
    ]
    return named(title, unit, load, figure, form, servers)


WORKERS = tuple(f"workers:{v}-{n}/ours" for v in ("fastapi", "bento") for n in ("1-workers", "2-workers"))

PLOTS = {
    "throughput": by_connections(f"Good answers a second by connections, {DEEP}", "closed loops", "rate", ",.0f"),
    "tail": by_connections(f"p99 by connections, {DEEP}", "milliseconds", "p99", ",.1f"),
    "rows": by_connections(
        f"Rows in a batch by connections, {DEEP}", "mean", "batch_rows", ".1f", ("fastapi/ours", "bento/ours")
    ),
    "one": at_load(
        "One connection, the same predictor", "p50 in milliseconds", "closed", 1, "p50", ".2f", SAME_PREDICTOR
    ),
    "cpu": at_load(
        "Processor time of a request, 64 connections, the same predictor",
        *("microseconds", "closed", 64, "cpu_us", ",.0f", SAME_PREDICTOR),
    ),
    "errors": at_load("Requests refused or lost, 64 connections", "share", "closed", 64, "error_share", ".1%"),
    "open": at_load("p99 at 800 requests a second", "milliseconds, from when each was due", "open", 800, "p99", ",.1f"),
    "open-errors": at_load("Refused or lost at 800 requests a second", "share", "open", 800, "error_share", ".1%"),
    "burst": Plot(_burst, "contenders"),
    "maps": Plot(_maps, "crossover"),
    "ladder-fastapi": _ladder("fastapi", "FastAPI"),
    "ladder-bento": _ladder("bento", "BentoML"),
    "start": of_server("From the command to the first answer", "seconds", "cold_start_seconds", ".1f"),
    "memory": of_server("Memory of the server, its share of what is shared", "megabytes", "pss_mb", ",.0f"),
    "workers": named(
        "One worker and two, 64 connections",
        *("microseconds of processor time a request", 64, "cpu_us", ",.0f"),
        [(_worker_name(key_of(where)[1]) or "", where) for where in WORKERS],
    ),
    "workers-memory": of_server("One worker and two", "megabytes", "pss_mb", ",.0f", WORKERS),
    "telemetry": _telemetry("Processor time of a request, 64 connections", "microseconds", 64, "cpu_us", ",.0f"),
    "telemetry-one": _telemetry("One connection", "p50 in milliseconds", 1, "p50", ".2f"),
}
