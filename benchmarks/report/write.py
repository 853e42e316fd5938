"""Putting the page and the summary together."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from benchmarks.contenders.catalog import BY_NAME
from benchmarks.report import sections
from benchmarks.report.bars import SUITE, bars, losses
from benchmarks.report.claims import claims_section
from benchmarks.report.crossover import crossover_section
from benchmarks.report.summary import Summary
from benchmarks.results import Results

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem;display:block;overflow-x:auto}
th,td{border-bottom:1px solid #ddd;padding:.25rem .6rem;text-align:right;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left;font-weight:500}thead th{border-bottom:2px solid #888}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}code{background:#f2f2f2;padding:0 .3em}
"""


def write_report(results: Results, folder: Path) -> Path:
    """Writes index.html and README.md; returns the page."""
    summary = Summary(results)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(_page(results, summary))
    (folder / "README.md").write_text(_markdown(results, summary))
    return page


def _page(results: Results, summary: Summary) -> str:
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Twinscore benchmark</title><style>{STYLE}</style><h1>Twinscore benchmark</h1>",
        sections.table(("", "this run"), machine(results.meta)),
        "<p>One server at a time on one core, the load on another. Figures are medians over the rounds, with the least "
        "and the greatest in brackets. Latencies are those of all answers, refusals included. Every server gave a known "
        "row its right probability before it was measured.</p>",
        sections.bars_section(summary),
        sections.losses_section(summary),
        sections.contenders_section(summary),
        sections.ladder_section(summary) if summary.cases("ladder") else "",
        crossover_section(summary) if summary.cases("crossover") else "",
        sections.telemetry_section(summary) if summary.cases("telemetry") else "",
        sections.workers_section(summary) if summary.cases("workers") else "",
        sections.kind_section(summary) if summary.cases("kind") else "",
        claims_section(summary),
        _failures(summary),
    ]
    return "\n".join(parts) + "</html>\n"


def machine(meta: dict[str, Any]) -> list[tuple[str, str]]:
    versions = [
        (
            {"own": "our environment", "bench": "benchmark environment", "extra": "extra environment"}[venv],
            ", ".join(f"{name} {number}" for name, number in found.items()),
        )
        for venv, found in meta["versions"].items()
    ]
    changed = f", {meta['changed_files']} files changed" if meta["changed_files"] else ""
    return [
        ("date", meta["date"]),
        ("commit", meta["commit"] + changed),
        ("machine", f"{meta['cpu']}, {meta['cores']} cores, {meta['memory_gb']} GB, Linux {meta['kernel']}"),
        ("load average at the start", str(meta["load_average_at_start"])),
        ("Python", meta["python"]),
        ("load generators", f"{meta['wrk']}; loadtest on node {meta['node']}; Locust"),
        *versions,
        ("command", meta["command"]),
        ("rounds", str(meta["rounds"])),
    ]


def _failures(summary: Summary) -> str:
    found = summary.failures()
    if not found:
        return ""
    items = "".join(f"<li>{escape(sections.label(key))}, {key[3]}: {escape(why)}</li>" for key, why in found)
    return f"<h2>What did not run</h2><ul>{items}</ul>"


def _markdown(results: Results, summary: Summary) -> str:
    lines = ["# Benchmark", "", "All figures, plots and the ladder: [index.html](index.html).", "", "| | this run |"]
    lines += ["|---|---|", *(f"| {name} | {text} |" for name, text in machine(results.meta)), ""]
    for model in summary.models(SUITE):
        connections = summary.loads(SUITE, "closed")
        lines += [f"## Good answers a second, {sections.MODELS[model]}", ""]
        lines += ["| | " + " | ".join(f"{count} conn." for count in connections) + " |"]
        lines += ["|---" * (len(connections) + 1) + "|"]
        for key in summary.cases(SUITE, model):
            cells = [sections.shown(summary.phase(key, "closed", count, "rate")) for count in connections]
            lines.append(f"| {sections.label(key)} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["## The bar", "", "| variant | figure | measured | bar | |", "|---|---|---|---|---|"]
    for bar in bars(summary):
        value = "-" if bar.value is None else f"{bar.value:,.2f} {bar.unit}"
        bound = f"{'at most' if bar.at_most else 'at least'} {bar.bound:g} {bar.unit}"
        verdict = {None: "not measured", True: "met", False: "**missed**"}[bar.met]
        lines.append(f"| {BY_NAME[bar.variant].label} | {bar.text} | {value} | {bound} | {verdict} |")
    lines += ["", "## Where we lose", ""]
    lines += [f"- {line}" for line in losses(summary)] or ["- Nowhere in what was measured."]
    lines += ["", "Measure it yourself: `make bench-setup EXTRA=1`, then `twinscore bench`."]
    return "\n".join(lines) + "\n"
