"""Detections over time as an SVG image, drawn with nothing but text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from shared.contract.errors import UserError
from shared.replay.figures import Day

WIDTH, LEFT, RIGHT = 960, 60, 20
BARS_TOP, BARS_HEIGHT, LINES_TOP, LINES_HEIGHT, HEIGHT = 70, 220, 340, 140, 500
CAUGHT, MISSED, FALSE, AUC, PRECISION = "#1b7f79", "#d1495b", "#c9ccd1", "#30638e", "#edae49"


def write_plot(path: Path, days: Sequence[Day], title: str) -> None:
    """Write the plot: above, each day's frauds caught and missed and its false alerts; below, AUC and AP so far.

    Raises:
        UserError: the path is no .svg, or cannot be written.
    """
    check_plot_path(path)
    try:
        path.write_text(_svg(days, title), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def check_plot_path(path: Path) -> None:
    """Raises UserError unless the plot can be written there."""
    if path.suffix.lower() != ".svg":
        raise UserError(f"--plot {path}: the plot is an SVG image; give a file that ends in .svg")
    if not path.parent.is_dir():
        raise UserError(f"--plot {path}: the folder {path.parent} does not exist")


def _svg(days: Sequence[Day], title: str) -> str:
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    highest = max(1, *(day.frauds + day.alerts - day.caught for day in days)) if days else 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="16">{escape(title)}</text>',
        *_legend([("frauds caught", CAUGHT), ("frauds missed", MISSED), ("false alerts", FALSE)], 48),
        *_legend([("AUC ROC so far", AUC), ("average precision so far", PRECISION)], LINES_TOP - 18),
        *_axis(BARS_TOP, BARS_HEIGHT, highest, "transactions a day"),
        *_axis(LINES_TOP, LINES_HEIGHT, 1, "0 to 1"),
    ]
    for number, day in enumerate(days):
        x, y = LEFT + number * step, float(BARS_TOP + BARS_HEIGHT)
        counts = ((day.caught, CAUGHT), (day.frauds - day.caught, MISSED), (day.alerts - day.caught, FALSE))
        for count, colour in counts:
            height = BARS_HEIGHT * count / highest
            y -= height
            parts.append(
                f'<rect x="{x + 0.1 * step:.2f}" y="{y:.2f}" width="{0.8 * step:.2f}" height="{height:.2f}" '
                f'fill="{colour}"><title>{day.day}: {count}</title></rect>'
            )
        if number % max(1, len(days) // 10) == 0:
            parts.append(f'<text x="{x:.2f}" y="{BARS_TOP + BARS_HEIGHT + 16}">{day.day:%m-%d}</text>')
    parts.append(_line([day.auc_roc for day in days], step, AUC))
    parts.append(_line([day.average_precision for day in days], step, PRECISION))
    return "\n".join([*parts, "</svg>", ""])


def _legend(entries: Sequence[tuple[str, str]], y: int) -> list[str]:
    parts = []
    for number, (name, colour) in enumerate(entries):
        x = LEFT + 190 * number
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18}" y="{y}">{name}</text>')
    return parts


def _axis(top: int, height: int, highest: int, name: str) -> list[str]:
    bottom = top + height
    return [
        f'<path d="M{LEFT} {top}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="#555"/>',
        f'<text x="{LEFT - 8}" y="{top + 10}" text-anchor="end">{highest}</text>',
        f'<text x="{LEFT - 8}" y="{bottom}" text-anchor="end">0</text>',
        f'<text transform="translate(18 {bottom}) rotate(-90)">{name}</text>',
    ]


def _line(values: Sequence[float | None], step: float, colour: str) -> str:
    points = " ".join(
        f"{LEFT + (number + 0.5) * step:.2f},{LINES_TOP + LINES_HEIGHT * (1 - value):.2f}"
        for number, value in enumerate(values)
        if value is not None
    )
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
