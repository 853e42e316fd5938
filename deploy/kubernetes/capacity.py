"""Writes the tables of docs/capacity.md: `.venv/bin/python deploy/kubernetes/capacity.py [--results FILE]`.

What a core answers and a worker takes comes from the results of `twinscore bench`; every other input stands below, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.report.sections import MODELS
from benchmarks.report.summary import Key, Summary
from benchmarks.results import read
from shared.contract.errors import UserError

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = DOCS / "capacity.md"
RESULTS: Final = DOCS / "benchmark" / "results.json"
BEGIN: Final = "<!-- Written by deploy/kubernetes/capacity.py -->\n"
END: Final = "<!-- End -->\n"


@dataclass(frozen=True)
class Variant:
    """What was measured of one variant, on the machine that the page names.

    Attributes:
        rate: good answers a second of one worker on one core at saturation.
        resident_mb: memory of one worker after load.
    """

    name: str
    rate: float
    resident_mb: float


@dataclass(frozen=True)
class Measured:
    """Both variants, and the sentence that tells where their figures come from."""

    variants: tuple[Variant, ...]
    source: str


MODEL: Final = "deep"
CONTENDERS: Final = {"FastAPI": "fastapi", "BentoML": "bento"}

TARGETS: Final = (10_000, 1_000_000)
"""Requests a second."""

# What the manifests say.
UTILISATION: Final = 0.65
MEMORY_LIMIT_MB: Final = 704
MAX_IN_FLIGHT: Final = 128
SCRAPE_SECONDS: Final = 15
MIN_REPLICAS: Final = 3
DOUBLING_SECONDS: Final = 15
SAMPLING: Final = 0.01

# What was measured of a request and of a scrape.
BATCH_MB: Final = 2.4
REQUEST_BYTES: Final = 424
ANSWER_BYTES: Final = 214
LOG_BYTES: Final = 400
SERIES: Final = 592
SCRAPE_BYTES: Final = 50_000

# Assumed.
ZONES: Final = 3
FULL: Final = 0.95
"""Of a core, while a zone is lost."""
CORES_A_NODE: Final = 16
RESERVED_CORES: Final = 1
LATENCY_SECONDS: Final = 0.005
SPANS: Final = 2.1
SPAN_BYTES: Final = 500
PROXY_RATE: Final = 30_000
PROXIES: Final = 10
CONNECTIONS_A_POD: Final = 2
"""Of each proxy."""
SERIES_BYTES: Final = 2 * 1024**3 / 1_000_000
"""Memory of one active series in Prometheus."""


def measured(path: Path) -> Measured:
    """The figures of a run: the best closed loop of each variant, the median of its rounds.

    Raises:
        UserError: the file cannot be read, or lacks one of the variants.
    """
    results = read(path)
    summary = Summary(results)
    return Measured(
        tuple(
            _variant(summary, name, ("contenders", contender, "ours", MODEL)) for name, contender in CONTENDERS.items()
        ),
        _source(results.meta, summary.loads("contenders", "closed")),
    )


def _variant(summary: Summary, name: str, key: Key) -> Variant:
    found = (summary.phase(key, "closed", load, "rate") for load in summary.loads("contenders", "closed"))
    rates = [spread.middle for spread in found if spread is not None]
    memory = summary.of_server(key, "rss_mb")
    if not rates or memory is None:
        raise UserError(f"the results lack {key[1]} under closed loops: twinscore bench --suite contenders")
    return Variant(name, max(rates), memory.middle)


def _source(meta: dict[str, Any], loads: list[int]) -> str:
    rounds = f"{meta['rounds']} round{'s' * (meta['rounds'] != 1)}"
    return (
        f"`{meta['command']}` on {meta['date'][:10]}, commit {meta['commit']}: {meta['cpu']}, {meta['cores']} cores, "
        f"{MODELS[MODEL]}, one row a request, {loads[0]} to {loads[-1]} keep-alive connections, median of {rounds}."
    )


def replicas(target: float, rate: float) -> int:
    """Workers of one core: enough at the autoscaler's target, and enough for all of it when one zone is lost."""
    return max(MIN_REPLICAS, ceil(target / (rate * UTILISATION)), ceil(target / (rate * FULL) * ZONES / (ZONES - 1)))


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        digits = 10 ** max(0, len(str(int(value))) - 3)
        return f"{round(value / digits) * digits:,}"
    return f"{value:.3g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def fleet(target: float, variants: tuple[Variant, ...]) -> str:
    """What the pods need."""
    count = {variant.name: replicas(target, variant.rate) for variant in variants}
    doublings = {name: ceil(log2(max(1, pods / MIN_REPLICAS))) for name, pods in count.items()}
    nodes = {name: max(ZONES, ceil(pods / (CORES_A_NODE - RESERVED_CORES))) for name, pods in count.items()}
    rows = [
        ["replicas, one worker and one core each", *(f"{pods:,}" for pods in count.values())],
        [f"nodes of {CORES_A_NODE} cores", *(f"{n:,}" for n in nodes.values())],
        ["memory reserved, GiB", *(number(pods * MEMORY_LIMIT_MB / 1024) for pods in count.values())],
        ["memory resident, GiB", *(number(count[v.name] * v.resident_mb / 1024) for v in variants)],
        [f"seconds of doubling from {MIN_REPLICAS} replicas", *(str(n * DOUBLING_SECONDS) for n in doublings.values())],
        [
            f"connections from {PROXIES} proxies, {CONNECTIONS_A_POD} of each to a pod",
            *(f"{pods * PROXIES * CONNECTIONS_A_POD:,}" for pods in count.values()),
        ],
        ["Prometheus: active series", *(number(pods * SERIES) for pods in count.values())],
        ["Prometheus: samples a second", *(number(pods * SERIES / SCRAPE_SECONDS) for pods in count.values())],
        [
            "Prometheus: memory of the series, GiB",
            *(number(p * SERIES * SERIES_BYTES / 1024**3) for p in count.values()),
        ],
        ["Prometheus: scraped, MB/s", *(number(p * SCRAPE_BYTES / SCRAPE_SECONDS / 1e6) for p in count.values())],
    ]
    return table([f"{target:,} requests/s", *count], rows)


def around() -> str:
    """What everything around the pods carries, whichever variant runs."""
    rows = [
        ["requests in flight", *(number(t * LATENCY_SECONDS) for t in TARGETS)],
        ["requests in, Mbit/s", *(number(t * REQUEST_BYTES * 8 / 1e6) for t in TARGETS)],
        ["answers out, Mbit/s", *(number(t * ANSWER_BYTES * 8 / 1e6) for t in TARGETS)],
        ["proxy cores", *(f"{ceil(t / PROXY_RATE / UTILISATION):,}" for t in TARGETS)],
        ["log, a line each, GB a day", *(number(t * LOG_BYTES * 86_400 / 1e9) for t in TARGETS)],
        [f"spans a second at {SAMPLING:.0%}", *(number(t * SAMPLING * SPANS) for t in TARGETS)],
        [f"spans at {SAMPLING:.0%}, MB/s", *(number(t * SAMPLING * SPANS * SPAN_BYTES / 1e6) for t in TARGETS)],
    ]
    return table(["", *(f"{target:,}/s" for target in TARGETS)], rows)


def inputs(variants: tuple[Variant, ...]) -> str:
    rows = [
        ["good answers a second of one core", *(number(variant.rate) for variant in variants)],
        ["memory of a worker after load, MB", *(number(variant.resident_mb) for variant in variants)],
    ]
    return table(["measured", *(variant.name for variant in variants)], rows)


def block(found: Measured) -> str:
    tables = [inputs(found.variants), *(fleet(target, found.variants) for target in TARGETS), around()]
    return BEGIN + "\n" + "\n".join([found.source + "\n", *tables]) + "\n" + END


def page(text: str, found: Measured) -> str:
    """The page with its tables written anew."""
    before, rest = text.split(BEGIN)
    return before + block(found) + rest.split(END)[1]


def recorded() -> Measured:
    """What the page shows: the run that is kept beside the benchmark's page."""
    return measured(RESULTS)


@click.command()
@click.option(
    "--results",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What `twinscore bench --results FILE` wrote; unset: docs/benchmark/results.json.",
)
def main(results: Path | None) -> None:
    """Write the tables of docs/capacity.md."""
    try:
        found = measured(results) if results else recorded()
    except UserError as error:
        raise click.ClickException(str(error)) from None
    PAGE.write_text(page(PAGE.read_text(), found))
    click.echo(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
