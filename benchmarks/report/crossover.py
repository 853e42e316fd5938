"""The crossover map: load by cost of the model, where batching pays and which variant is ahead."""

from __future__ import annotations

from html import escape

from benchmarks.report.sections import MODELS
from benchmarks.report.summary import Summary

SUITE = "crossover"
MAPS = (
    ("FastAPI: eager batches against none", "fastapi", "fastapi-off"),
    ("BentoML: eager batches against none", "bento", "bento-off"),
    ("BentoML: eager batches against its own dispatcher", "bento", "bento-native"),
    ("FastAPI against BentoML, both eager", "fastapi", "bento"),
)


def ratio(summary: Summary, first: str, second: str, model: str, connections: int) -> float | None:
    """Good answers a second of the first by those of the second."""
    values = [summary.phase((SUITE, name, "ours", model), "closed", connections, "rate") for name in (first, second)]
    mine, other = values
    return mine.middle / other.middle if mine and other and other.middle else None


def crossover_section(summary: Summary) -> str:
    loads = summary.loads(SUITE, "closed")
    parts = [
        "<h2>The crossover map</h2><p>Ratios of good answers a second, from closed loops. "
        "Green: the first is ahead; red: the second; pale: within 5 %.</p>"
    ]
    for title, first, second in MAPS:
        head = "".join(f"<th>{count} conn.</th>" for count in loads)
        lines = []
        for model in summary.models(SUITE):
            cells = "".join(_cell(ratio(summary, first, second, model, count)) for count in loads)
            lines.append(f"<tr><th>{MODELS[model]}</th>{cells}</tr>")
        parts.append(
            f"<h4>{escape(title)}</h4><table><thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{''.join(lines)}</tbody></table>"
        )
    return "".join(parts)


def _cell(value: float | None) -> str:
    if value is None:
        return "<td>-</td>"
    colour = "#f4f4f4" if 0.95 <= value <= 1.05 else "#bfe3cf" if value > 1 else "#f2c4bc"
    return f'<td style="background:{colour}">{value:.2f}x</td>'
