"""Draws docs/architecture.svg from the import contracts in pyproject.toml: `python docs/architecture.py`."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIAGRAM = ROOT / "docs" / "architecture.svg"

DESCRIPTIONS = {
    "shared.cli": "the command twinscore",
    "shared.commands": "one module a command; services are started as processes, by name",
    "shared.compare": "both services on one page",
    "shared.reliability": "kills, swaps and soaks under load",
    "shared.replay": "streams a table through running services",
    "bento_service": "service, dispatcher, model store",
    "fastapi_service": "app, lifespan, batcher",
    "shared.training": "simulator, fit, evaluation",
    "shared.importing": "your joblib to a package",
    "shared.scoring": "files over HTTP",
    "shared.verification": "contract vectors against a URL",
    "shared.serving": "settings, edge, admission, deadlines, inference, drain, health, supervisor",
    "shared.telemetry": "metrics, traces, logs",
    "shared.model": "features, the model package on disk, predictors",
    "shared.contract": "bodies, problems, routes, OpenAPI document, contract vectors",
}

WIDTH, ROW, BOX, GAP, MARGIN = 1080, 76, 58, 8, 20
ACROSS = 7
FILLS = {"framework": "#ffe8c2", "apart": "#dcefdc", "plain": "#e3e9f2"}
LEGEND = {"framework": "imports its framework", "apart": "works without serving", "plain": "everything else"}


def contracts() -> list[dict[str, list[str]]]:
    """As import-linter reads them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[dict[str, list[str]]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return found


def layers() -> list[list[str]]:
    """The modules of each layer; a layer may import those after it."""
    contract = next(contract for contract in contracts() if "layers" in contract)
    return [[name.strip() for name in layer.replace(":", "|").split("|")] for layer in contract["layers"]]


def kind(module: str) -> str:
    """Which of `FILLS` the contracts give a module."""
    if module.endswith("_service"):
        return "framework"
    serving = {"shared.serving", "bento_service", "fastapi_service"}
    apart = any(module in c.get("source_modules", []) and serving <= set(c["forbidden_modules"]) for c in contracts())
    return "apart" if apart else "plain"


def box(module: str, x: float, y: float, width: float) -> Iterator[str]:
    lines = textwrap.wrap(DESCRIPTIONS[module], int(width / 6.4))[:2]
    yield f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX}" rx="6" fill="{FILLS[kind(module)]}" stroke="#8794a8"/>'
    middle = x + width / 2
    yield f'<text class="module" x="{middle:.0f}" y="{y + 20:.0f}">{module}</text>'
    for number, line in enumerate(lines):
        yield f'<text x="{middle:.0f}" y="{y + 36 + 14 * number:.0f}">{escape(line)}</text>'


def draw() -> str:
    """The diagram. Raises KeyError where a module of the contracts has no description here."""
    rows = [layer[start : start + ACROSS] for layer in layers() for start in range(0, len(layer), ACROSS)]
    height = MARGIN + len(rows) * ROW + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Layers of modules">',
        "<style>text { font: 11.5px sans-serif; fill: #1f2937; text-anchor: middle }",
        ".module { font: bold 11.5px monospace } .legend { text-anchor: start }</style>",
        # A card of its own: as readable on a dark page as on a light one.
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff"/>',
        f'<path d="M{MARGIN + 4} {MARGIN} V{MARGIN + len(rows) * ROW - 24}" stroke="#8794a8" stroke-width="2"/>',
        f'<path d="M{MARGIN - 2} {MARGIN + len(rows) * ROW - 28} h12 l-6 10 z" fill="#8794a8"/>',
        f'<text transform="translate({MARGIN - 4} {MARGIN + len(rows) * ROW / 2:.0f}) rotate(-90)">may import what stands below</text>',
    ]
    left = MARGIN + 22
    for number, row in enumerate(rows):
        width = (WIDTH - left - MARGIN - GAP * (len(row) - 1)) / len(row)
        parts.append('<g class="row">')
        for column, module in enumerate(row):
            parts += box(module, left + column * (width + GAP), MARGIN + number * ROW, width)
        parts.append("</g>")
    for number, (name, text) in enumerate(LEGEND.items()):
        x, y = left + number * 220, height - 30
        parts.append(f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{FILLS[name]}" stroke="#8794a8"/>')
        parts.append(f'<text class="legend" x="{x + 22}" y="{y + 11}">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    DIAGRAM.write_text(draw(), encoding="utf-8")
