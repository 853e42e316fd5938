"""Writes the tables of docs/capacity.md from the figures below: `python deploy/kubernetes/capacity.py`.

Every input stands here, once. Put your own machine's figures in (`twinscore bench`) and run it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "capacity.md"
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
    resident_mb: int


VARIANTS: Final = (Variant("FastAPI", 2_450, 125), Variant("BentoML", 1_200, 145))
TARGETS: Final = (10_000, 1_000_000)
"""Requests a second."""

# What the manifests say.
UTILISATION: Final = 0.65
MEMORY_LIMIT_MB: Final = 640
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
SERIES_BYTES: Final = 2 * 1024**3 / 1_000_000
"""Memory of one active series in Prometheus."""


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


def fleet(target: float) -> str:
    """What the pods need."""
    count = {variant.name: replicas(target, variant.rate) for variant in VARIANTS}
    doublings = {name: ceil(log2(max(1, pods / MIN_REPLICAS))) for name, pods in count.items()}
    nodes = {name: max(ZONES, ceil(pods / (CORES_A_NODE - RESERVED_CORES))) for name, pods in count.items()}
    rows = [
        ["replicas, one worker and one core each", *(f"{pods:,}" for pods in count.values())],
        [f"nodes of {CORES_A_NODE} cores", *(f"{n:,}" for n in nodes.values())],
        ["memory reserved, GiB", *(number(pods * MEMORY_LIMIT_MB / 1024) for pods in count.values())],
        ["memory resident, GiB", *(number(count[v.name] * v.resident_mb / 1024) for v in VARIANTS)],
        [f"seconds of doubling from {MIN_REPLICAS} replicas", *(str(n * DOUBLING_SECONDS) for n in doublings.values())],
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


def inputs() -> str:
    rows = [
        ["good answers a second of one core", *(f"{variant.rate:,.0f}" for variant in VARIANTS)],
        ["memory of a worker after load, MB", *(str(variant.resident_mb) for variant in VARIANTS)],
    ]
    return table(["measured", *(variant.name for variant in VARIANTS)], rows)


def block() -> str:
    return BEGIN + "\n" + "\n".join([inputs(), *(fleet(target) for target in TARGETS), around()]) + "\n" + END


def page(text: str) -> str:
    """The page with its tables written anew."""
    before, rest = text.split(BEGIN)
    return before + block() + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
