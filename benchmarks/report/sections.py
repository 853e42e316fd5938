"""The parts of the page, each a heading and what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from benchmarks.contenders.catalog import BY_NAME
from benchmarks.report import svg
from benchmarks.report.bars import SUITE, bars, losses
from benchmarks.report.summary import Key, Spread, Summary

PREDICTORS = {"proba": "predict_proba", "ours": "our predictor", "none": "no model"}
MODELS = {
    "packaged": "the packaged model",
    "deep": "500 trees of depth 8",
    "huge": "2,000 trees of depth 8",
}


def label(key: Key) -> str:
    return f"{BY_NAME[key[1]].label}, {PREDICTORS[key[2]]}"


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Cells are escaped; the first column is a heading."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = []
    for first, *others in body:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        lines.append(f"<tr><th>{escape(first)}</th>{cells}</tr>")
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def shown(value: Spread | None, form: str = ",.0f") -> str:
    """The median, and the range where the rounds differ."""
    if value is None:
        return "-"
    middle, low, high = (format(number, form) for number in (value.middle, value.low, value.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def bars_section(summary: Summary) -> str:
    def verdict(met: bool | None) -> str:
        return {None: "not measured", True: "met", False: "missed"}[met]

    body = [
        (
            BY_NAME[bar.variant].label,
            bar.text,
            "-" if bar.value is None else f"{bar.value:,.2f} {bar.unit}",
            f"{'at most' if bar.at_most else 'at least'} {bar.bound:g} {bar.unit}",
            verdict(bar.met),
        )
        for bar in bars(summary)
    ]
    return "<h2>The bar</h2>" + table(("variant", "figure, 500 trees of depth 8", "measured", "bar", ""), body)


def losses_section(summary: Summary) -> str:
    found = losses(summary)
    items = "".join(f"<li>{escape(line)}</li>" for line in found) or "<li>Nowhere in what was measured.</li>"
    return f"<h2>Where we lose</h2><ul>{items}</ul>"


def contenders_section(summary: Summary) -> str:
    parts = ["<h2>Contenders</h2><p>Conclusions about frameworks take the rows with our predictor only.</p>"]
    for model in summary.models(SUITE):
        keys = summary.cases(SUITE, model)
        connections = summary.loads(SUITE, "closed")
        series = {label(key): _points(summary, key, connections, "rate") for key in keys}
        parts.append(f"<h3>{MODELS[model].capitalize()}: closed loops</h3>")
        parts.append(svg.lines(series, "connections", "good answers/s"))
        head = ["", *(f"{count} conn." for count in connections)]
        for figure, title, form in (
            ("rate", "Good answers a second", ",.0f"),
            ("p50", "p50, ms", ",.2f"),
            ("p99", "p99, ms", ",.2f"),
            ("p999", "p99.9, ms", ",.2f"),
            ("error_share", "Requests without a good answer", ".1%"),
            ("cpu_us", "Processor time a request, microseconds", ",.0f"),
        ):
            body = [
                [label(k), *(shown(summary.phase(k, "closed", c, figure), form) for c in connections)] for k in keys
            ]
            parts.append(f"<h4>{title}</h4>" + table(head, body))
        ours = [key for key in keys if BY_NAME[key[1]].metrics]
        body = [[label(k), *(shown(summary.batch_rows(k, "closed", c), ".1f") for c in connections)] for k in ours]
        parts.append("<h4>Rows of a batch, on average</h4>" + table(head, body))
        parts.append(_servers(summary, keys))
        parts.append(_open(summary, keys))
    return "".join(parts)


def _points(summary: Summary, key: Key, loads: Sequence[int], figure: str) -> list[tuple[float, Spread]]:
    found = ((float(load), summary.phase(key, "closed", load, figure)) for load in loads)
    return [(load, value) for load, value in found if value is not None]


def _servers(summary: Summary, keys: Sequence[Key]) -> str:
    body = [
        (
            label(key),
            shown(summary.of_server(key, "cold_start_seconds"), ".2f"),
            shown(summary.of_server(key, "rss_mb")),
            shown(summary.of_server(key, "pss_mb")),
            shown(summary.phase(key, "closed", 1, "p50"), ".2f"),
            shown(summary.phase(key, "after", 1, "p50"), ".2f"),
        )
        for key in keys
    ]
    head = ("", "cold start, s", "RSS, MB", "PSS, MB", "p50 before the burst, ms", "p50 after it, ms")
    return "<h4>Start, memory, recovery</h4>" + table(head, body)


def _open(summary: Summary, keys: Sequence[Key]) -> str:
    parts = []
    for rate in summary.loads(SUITE, "open"):
        body = [
            [label(key), *(shown(summary.phase(key, "open", rate, figure), form) for figure, form in OPEN_FIGURES)]
            for key in keys
        ]
        head = ("", "good answers/s", "p50, ms", "p90, ms", "p99, ms", "p99.9, ms", "errors")
        parts.append(f"<h4>Open loop, {rate} requests a second, from the moment each was due</h4>" + table(head, body))
    return "".join(parts)


OPEN_FIGURES = (
    *(("rate", ",.0f"), ("p50", ",.2f"), ("p90", ",.2f"), ("p99", ",.2f"), ("p999", ",.2f")),
    ("errors", ",.0f"),
)


def ladder_section(summary: Summary) -> str:
    parts = ["<h2>The ladder: where the factor comes from</h2>"]
    for framework, name in (("fastapi", "FastAPI"), ("bento", "BentoML")):
        keys = [key for key in summary.cases("ladder") if framework in key[1]]
        for load in summary.loads("ladder", "closed"):
            found = [(_step(key), summary.phase(key, "closed", load, "rate")) for key in keys]
            parts.append(f"<h4>{name}, {load} connections</h4>")
            parts.append(svg.rows([(step, value) for step, value in found if value is not None], "good answers/s"))
    return "".join(parts)


def _step(key: Key) -> str:
    if key[1].startswith("textbook"):
        return "textbook"
    return f"+ {BY_NAME[key[1]].label}" if key[1].startswith("ladder") else "+ lean route (the service, edge and all)"


def telemetry_section(summary: Summary) -> str:
    body = [
        [
            label(key),
            *(shown(summary.phase(key, "closed", load, "rate")) for load in (1, 64)),
            shown(summary.ratio(key, _silent(key), "closed", 64, "rate"), ".2f"),
            shown(summary.phase(key, "closed", 1, "p50"), ",.2f"),
            shown(summary.phase(key, "closed", 64, "cpu_us")),
        ]
        for key in summary.cases("telemetry")
    ]
    head = (
        *("", "good answers/s, 1 conn.", "64 conn.", "of those with all off, 64 conn."),
        *("p50, ms, 1 conn.", "processor time, us, 64 conn."),
    )
    text = "<p>The four of a framework run beside each other and are loaded in turn; the shares are of neighbours.</p>"
    return "<h2>What telemetry costs</h2>" + text + table(head, body)


def _silent(key: Key) -> Key:
    """The case of the same framework without telemetry."""
    return (key[0], f"{key[1].partition('-')[0]}-silent", *key[2:])


def workers_section(summary: Summary) -> str:
    body = [
        [
            label(key),
            shown(summary.phase(key, "closed", 64, "rate")),
            shown(summary.phase(key, "closed", 64, "p99"), ",.1f"),
            shown(summary.phase(key, "closed", 64, "cpu_us")),
            shown(summary.of_server(key, "rss_mb")),
            shown(summary.of_server(key, "pss_mb")),
        ]
        for key in summary.cases("workers")
    ]
    head = ("", "good answers/s", "p99, ms", "processor time, us", "RSS, MB", "PSS, MB")
    text = (
        "<p>64 connections; the load generator shares the two cores, so the processor time of a request tells more.</p>"
    )
    return "<h2>One worker and two</h2>" + text + table(head, body)


def kind_section(summary: Summary) -> str:
    body = [
        [label(key), MODELS[key[3]], *(shown(summary.phase(key, "users", load, f), form) for f, form in OPEN_FIGURES)]
        for load in summary.loads("kind", "users")
        for key in summary.cases("kind")
    ]
    head = ("", "model", "good answers/s", "p50, ms", "p90, ms", "p99, ms", "p99.9, ms", "errors")
    title = "<h2>The Kind scenario: 100 users, 3 new a second, 50 s</h2>"
    return title + "<p>The ramp-up is 33 of the 50 s, and is in the figures.</p>" + table(head, body)
