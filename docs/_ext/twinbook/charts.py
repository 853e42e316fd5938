"""Plots as HTML and SVG text that takes its colours from book.css, so that it reads in light and dark and on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.report.summary import Spread
from twinbook.results import with_range

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 14, 40


@dataclass(frozen=True)
class Bar:
    """One horizontal bar.

    Attributes:
        style: class of its colour: fastapi, bento, or either with "-textbook"; "" for another.
        form: how the figure is written.
    """

    name: str
    value: Spread
    style: str
    form: str = ",.0f"


@dataclass(frozen=True)
class Line:
    """Points of one server: (load, figure)."""

    name: str
    points: Sequence[tuple[float, Spread]]
    style: str


def style_of(contender: str) -> str:
    """The colour tells the framework; ours is solid, others pale or dashed."""
    framework = "fastapi" if "fastapi" in contender else "bento" if "bento" in contender else ""
    other = "-textbook" if framework and "textbook" in contender else ""
    return framework + other


def bars(title: str, unit: str, found: Sequence[Bar]) -> str:
    """Bars from zero, with the figure and its range at the end of each."""
    most = max(bar.value.high for bar in found) or 1.0
    rows = []
    for bar in found:
        width, low, high = (100 * value / most for value in (bar.value.middle, bar.value.low, bar.value.high))
        rows.append(
            f'<div class="bar-name">{escape(bar.name)}</div>'
            f'<div class="bar-track"><div class="bar-fill {bar.style}" style="width:{width:.2f}%"></div>'
            f'<div class="bar-range" style="left:{low:.2f}%;width:{max(0.0, high - low):.2f}%"></div></div>'
            f'<div class="bar-value">{escape(with_range(bar.value, bar.form))}</div>'
        )
    head = f"<figcaption><strong>{escape(title)}</strong>, {escape(unit)}</figcaption>"
    return f'<figure class="plot">{head}<div class="bars">{"".join(rows)}</div></figure>'


def lines(title: str, unit: str, x_label: str, found: Sequence[Line], form: str) -> str:
    """Lines over a logarithmic load, both axes logarithmic; a table below holds the same figures."""
    points = [(x, y) for line in found for x, y in line.points]
    xs = sorted({x for x, _ in points})
    low = 10 ** math.floor(math.log10(max(1e-6, min(max(y.low, y.middle / 10) for _, y in points))))
    high = 10 ** math.ceil(math.log10(max(y.high for _, y in points) * 1.01))

    def at_x(x: float) -> float:
        share = math.log(x / xs[0]) / math.log(xs[-1] / xs[0]) if xs[-1] > xs[0] else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        share = math.log(max(y, low) / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}, {escape(unit)}">']
    tick = low
    while tick <= high * 1.001:
        parts.append(
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(tick):.1f}" y2="{at_y(tick):.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{at_y(tick) + 4:.1f}" text-anchor="end">{tick:,g}</text>')
        tick *= 10
    for x in xs:
        parts.append(f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    for line in found:
        path = " ".join(f"{at_x(x):.1f},{at_y(y.middle):.1f}" for x, y in line.points)
        parts.append(f'<polyline class="{line.style}" points="{path}"/>')
        for x, y in line.points:
            parts.append(f'<circle class="{line.style}" cx="{at_x(x):.1f}" cy="{at_y(y.middle):.1f}" r="3.5"/>')
    legend = "".join(f'<li><span class="key {line.style}"></span>{escape(line.name)}</li>' for line in found)
    return (
        f'<figure class="plot"><figcaption><strong>{escape(title)}</strong>, {escape(unit)}</figcaption>'
        f'{"".join(parts)}</svg><ul class="legend">{legend}</ul>'
        f"<details><summary>The figures</summary>{_figures(xs, x_label, found, form)}</details></figure>"
    )


def _figures(xs: Sequence[float], x_label: str, found: Sequence[Line], form: str) -> str:
    head = "".join(f"<th>{x:g}</th>" for x in xs)
    rows = []
    for line in found:
        by_load = dict(line.points)
        cells = "".join(f"<td>{with_range(by_load[x], form) if x in by_load else '-'}</td>" for x in xs)
        rows.append(f"<tr><th>{escape(line.name)}</th>{cells}</tr>")
    table = f"<table><thead><tr><th>{escape(x_label)}</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="table-wrapper">{table}</div>'


def grid(title: str, unit: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """A table of ratios, coloured by which side is ahead."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(_ratio_cell(value) for value in values)}</tr>" for name, values in rows
    )
    table = f'<table class="ratios"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'
    caption = f"<figcaption><strong>{escape(title)}</strong>, {escape(unit)}</figcaption>"
    return f'<figure class="plot">{caption}<div class="table-wrapper">{table}</div></figure>'


def _ratio_cell(value: float | None) -> str:
    if value is None:
        return "<td>-</td>"
    side = "even" if 0.95 <= value <= 1.05 else "ahead" if value > 1 else "behind"
    return f'<td class="{side}">{value:.2f}x</td>'
