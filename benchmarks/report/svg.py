"""Plots as SVG text, without a library: the page must need nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.report.summary import Spread

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 16, 44
COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80", "#8d6a9f", "#d4a017", "#5c946e", "#a23b72", "#6b705c", "#1b9aaa", "#444")


def lines(series: Mapping[str, Sequence[tuple[float, Spread]]], x_label: str, y_label: str) -> str:
    """Both axes logarithmic; bars show the spread over the rounds."""
    points = [(x, y) for values in series.values() for x, y in values if y.middle > 0]
    if not points:
        return "<p>Not measured.</p>"
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y = 10 ** math.floor(math.log10(min(max(y.low, y.middle / 10) for _, y in points)))
    high_y = 10 ** math.ceil(math.log10(max(y.high for _, y in points) * 1.01))
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_label)} by {escape(x_label)}">']

    def at_x(x: float) -> float:
        share = math.log(x / low_x) / math.log(high_x / low_x) if high_x > low_x else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        share = math.log(max(y, low_y) / low_y) / math.log(high_y / low_y)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    tick = low_y
    while tick <= high_y * 1.001:
        parts.append(_rule(at_y(tick), f"{tick:,g}"))
        tick *= 10
    for x in sorted({x for x, _ in points}):
        parts.append(_text(at_x(x), HEIGHT - BOTTOM + 18, f"{x:g}", "middle"))
    parts.append(_text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 8, x_label, "middle"))
    parts.append(_text(8, 12, y_label, "start"))
    for index, (name, values) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        shown = [(at_x(x), y) for x, y in values if y.middle > 0]
        path = " ".join(f"{x:.1f},{at_y(y.middle):.1f}" for x, y in shown)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in shown:
            parts.append(f'<circle cx="{x:.1f}" cy="{at_y(y.middle):.1f}" r="3" fill="{colour}"/>')
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{at_y(y.low):.1f}" y2="{at_y(y.high):.1f}" stroke="{colour}"/>'
            )
        row = TOP + 10 + index * 20
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{row - 9}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT + 30, row + 1, name, "start"))
    return "".join(parts) + "</svg>"


def rows(bars: Sequence[tuple[str, Spread]], unit: str) -> str:
    """Horizontal bars from zero."""
    if not bars:
        return "<p>Not measured.</p>"
    height = 24 * len(bars) + 8
    most = max(y.high for _, y in bars) or 1.0
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(unit)}">']
    for index, (name, y) in enumerate(bars):
        top = 4 + 24 * index
        width = y.middle / most * (WIDTH - 420)
        parts.append(_text(250, top + 14, name, "end"))
        parts.append(f'<rect x="258" y="{top + 2}" width="{width:.1f}" height="16" fill="{COLOURS[index % 10]}"/>')
        low, high = (258 + value / most * (WIDTH - 420) for value in (y.low, y.high))
        parts.append(f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{top + 10}" y2="{top + 10}" stroke="#222"/>')
        parts.append(_text(max(258 + width, high) + 8, top + 14, f"{y.middle:,.4g} {unit}", "start"))
    return "".join(parts) + "</svg>"


def _rule(y: float, label: str) -> str:
    rule = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
    return rule + _text(LEFT - 6, y + 4, label, "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
