"""From what a phase has measured to the rows that people read, and what in them must not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from shared.reliability.mixed import MixedReport, Target
from shared.reliability.overload import TIMES, OverloadReport, Window
from shared.reliability.results import PhaseResult
from shared.reliability.siege import SiegeReport
from shared.reliability.swap import SwapReport

NAMES = {"fastapi": "FastAPI", "bento": "BentoML"}

KEPT = 0.9
"""The share of the peak that is to be left at ten times the load."""

RECOVERY_SECONDS = 1.0
"""After the load, a lone client is to be served as before by then."""

BUSY = 0.9
"""A load that is busier than this may be what a figure shows."""

KEPT_CASES = 5
"""Hostile requests that went wrong, and tracebacks, kept with the figures."""

LIFETIME_SECONDS = 60.0
"""A shorter life of a worker tells nothing about what grows."""


def overload_result(reports: Sequence[OverloadReport]) -> PhaseResult:
    result = PhaseResult(
        "overload", f"Overload: {TIMES} times the connections of the peak, one worker", _columns(reports)
    )

    def row(name: str, text: Mapping[str, str]) -> None:
        result.add(name, *(text[report.variant] for report in reports))

    def window(report: OverloadReport, found: Window) -> str:
        return f"{found.good:,.0f}/s on {found.connections}"

    row("peak of good answers, on connections", {r.variant: window(r, r.peak) for r in reports})
    row("in overload", {r.variant: window(r, r.over) for r in reports})
    row("of the peak, in each round", {r.variant: ", ".join(f"{share:.0%}" for share in r.shares) for r in reports})
    row("refused, 429 and 504", {r.variant: f"{r.over.refused:,.0f}/s" for r in reports})
    row("failed", {r.variant: f"{r.over.failed:,}" for r in reports})
    row("p50, p99 at the peak", {r.variant: f"{r.peak.p50:.0f}, {r.peak.p99:.0f} ms" for r in reports})
    row("p50, p99 in overload", {r.variant: f"{r.over.p50:.0f}, {r.over.p99:.0f} ms" for r in reports})
    row("memory before, in, after", {r.variant: ", ".join(f"{size:.0f}" for size in r.memory) + " MB" for r in reports})
    row("probes on new connections, slowest", {r.variant: f"{r.probes}, {r.slowest_probe:.0f} ms" for r in reports})
    row("probes failed", {r.variant: str(r.probes_failed) for r in reports})
    row("a lone request before", {r.variant: f"{r.lone_ms:.2f} ms" for r in reports})
    row("as fast again after", {r.variant: _seconds(r.recovery) for r in reports})
    row("the load's own core was busy", {r.variant: f"{max(r.peak.load_busy, r.over.load_busy):.0%}" for r in reports})
    for report in reports:
        name = NAMES[report.variant]
        if report.over.failed:
            result.faults.append(f"{name}: {report.over.failed} requests failed in overload")
        if report.probes_failed:
            result.faults.append(f"{name}: {report.probes_failed} probes were not answered 200 in overload")
        if report.kept < KEPT:
            result.misses.append(f"{name} keeps {report.kept:.0%} of its peak, less than {KEPT:.0%}")
        if report.recovery is None or report.recovery > RECOVERY_SECONDS:
            result.misses.append(
                f"{name}: a lone request is not as fast as before {RECOVERY_SECONDS:g} s after the load"
            )
        if max(report.peak.load_busy, report.over.load_busy) > BUSY:
            result.misses.append(f"{name}: the load was too busy to tell the service's peak")
        result.figures[report.variant] = {**asdict(report), "kept": report.kept}
    result.summary = "; ".join(
        f"{NAMES[r.variant]} keeps {r.kept:.0%} of its peak, {r.over.p99:.0f} ms at p99, {r.over.failed} failed, "
        f"memory {r.memory[0]:.0f} and then {r.memory[2]:.0f} MB"
        for r in reports
    )
    return result


def swap_result(report: SwapReport) -> PhaseResult:
    result = PhaseResult("swap", "Swaps under load, behind HAProxy", [""])
    tally = report.tally
    for _, event, count in report.events[1:]:
        result.add(event, f"{count:,} in flight")
    result.add("sent, in", f"{tally.sent:,} in {report.seconds:.0f} s")
    result.add("answered", f"{tally.good:,}")
    result.add("refused", f"{tally.refused.total():,}")
    result.add("failed, of those the killed worker held", f"{len(tally.failed):,} of {report.held:,}")
    result.add("failed without that reason", f"{len(report.unexplained):,}")
    result.add("answers by model version", ", ".join(f"{v}: {n:,}" for v, n in sorted(tally.versions.items())))
    result.add("exit codes of what was stopped", ", ".join(map(str, report.exit_codes.values())))
    if report.unexplained:
        result.faults.append(f"{len(report.unexplained)} requests failed that the killed worker did not hold")
    if any(report.exit_codes.values()):
        result.faults.append(f"exit codes {report.exit_codes}")
    result.summary = (
        f"a worker killed, variant and model changed, services stopped, with {report.events[1][2]:,} requests in flight: "
        f"{tally.sent:,} sent, {len(tally.failed):,} failed, {len(report.unexplained):,} of them not held by that worker"
    )
    result.figures = {
        "sent": tally.sent,
        "good": tally.good,
        "refused": dict(tally.refused),
        "failed": len(tally.failed),
        "held": report.held,
        "unexplained": len(report.unexplained),
        "seconds": report.seconds,
        "versions": dict(tally.versions),
        "exit_codes": report.exit_codes,
        "events": report.events,
    }
    return result


def hostile_result(reports: Sequence[SiegeReport]) -> PhaseResult:
    result = PhaseResult("hostile", "Hostile requests, raw sockets, one worker", _columns(reports))
    result.add("sent", *(f"{r.attack.sent:,}" for r in reports))
    result.add("5xx (other than 503 and 504)", *(f"{len(r.attack.server_errors):,}" for r in reports))
    result.add("504", *(f"{r.attack.statuses[504]:,}" for r in reports))
    result.add("whole requests without an answer", *(f"{len(r.attack.unanswered):,}" for r in reports))
    result.add("answered 2xx, 4xx", *(f"{_class(r, 2):,}, {_class(r, 4):,}" for r in reports))
    result.add("slowest probe meanwhile", *(f"{r.attack.slowest_probe * 1e3:.0f} ms" for r in reports))
    result.add("memory warm, half way, at the end", *(", ".join(f"{m:.0f}" for m in r.memory) + " MB" for r in reports))
    result.add("it lasted", *(f"{r.attack.seconds:.0f} s" for r in reports))
    for report in reports:
        name = NAMES[report.variant]
        if report.attack.server_errors:
            result.faults.append(f"{name}: {len(report.attack.server_errors)} hostile requests were answered 5xx")
        if report.attack.unanswered:
            result.faults.append(f"{name}: {len(report.attack.unanswered)} whole requests had no answer")
        if report.tracebacks:
            result.faults.append(f"{name}: {len(report.tracebacks)} tracebacks in its log")
        if not report.alive:
            result.faults.append(f"{name}: not ready at the end")
        result.figures[report.variant] = {
            "sent": report.attack.sent,
            "statuses": {str(status): count for status, count in sorted(report.attack.statuses.items())},
            "server_errors": len(report.attack.server_errors),
            "unanswered": len(report.attack.unanswered),
            "fault_cases": [
                repr(case) for case in (report.attack.server_errors + report.attack.unanswered)[:KEPT_CASES]
            ],
            "tracebacks": report.tracebacks[:KEPT_CASES],
            "slowest_probe": report.attack.slowest_probe,
            "memory": report.memory,
            "seconds": report.attack.seconds,
        }
    result.summary = "; ".join(
        f"{NAMES[r.variant]}: {r.attack.sent:,} sent, {len(r.attack.server_errors)} answered 5xx, "
        f"{len(r.attack.unanswered)} whole ones unanswered, memory {r.memory[0]:.0f} and then {r.memory[-1]:.0f} MB"
        for r in reports
    )
    return result


def mixed_result(report: MixedReport) -> PhaseResult:
    result = PhaseResult(
        "mixed",
        f"Mixed load for {report.seconds / 60:.1f} minutes, both variants behind HAProxy, 2 workers each",
        list(report.tallies),
    )
    tallies = report.tallies.values()
    explained = {id(failure) for failure in report.failed} - {id(failure) for failure in report.unexplained}
    result.add("sent", *(f"{t.sent:,}" for t in tallies))
    result.add("answered well", *(f"{t.good:,}" for t in tallies))
    result.add("refused", *(_refused(t.refused) for t in tallies))
    result.add("failed, held by a killed worker", *(str(sum(id(f) in explained for f in t.failed)) for t in tallies))
    result.add("failed for no known reason", *(str(sum(id(f) not in explained for f in t.failed)) for t in tallies))
    result.add("p50, p99 of good answers", *(_percentiles(t.latencies) for t in tallies))
    result.add("restarts, kills of a worker", f"{report.restarts}, {len(report.kills)}")
    for name, target in report.targets.items():
        label, hostile = NAMES[name], target.hostile
        result.add(f"{label}: hostile sent, 5xx", f"{hostile.sent:,}, {len(hostile.server_errors)}")
        totals = target.memory.totals
        result.add(f"{label}: memory at the start, the end", f"{totals[0]:.0f}, {totals[-1]:.0f} MB")
        life = target.memory.longest
        if life is not None and life.length >= LIFETIME_SECONDS:
            result.add(
                f"{label}: the worker that lived longest, warm, at its end",
                f"{life.length / 60:.1f} min, {life.warm:.0f}, {life.end:.0f} MB",
            )
    if report.unexplained:
        reasons = sorted({failure.reason for failure in report.unexplained})
        result.faults.append(f"{len(report.unexplained)} requests failed for no known reason: {'; '.join(reasons[:5])}")
    for name, target in report.targets.items():
        if target.hostile.server_errors:
            result.faults.append(
                f"{NAMES[name]}: {len(target.hostile.server_errors)} hostile requests were answered 5xx"
            )
        if target.hostile.unanswered:
            result.faults.append(f"{NAMES[name]}: {len(target.hostile.unanswered)} whole requests had no answer")
    if any(report.exit_codes):
        result.faults.append(f"services that were told to stop ended with {sorted(set(report.exit_codes))}")
    result.faults += report.faults
    result.summary = (
        f"{sum(t.sent for t in tallies):,} sent, {len(report.failed):,} failed, {len(report.unexplained):,} of them not held by "
        f"one of the {len(report.kills)} workers killed; {report.restarts} restarts"
    )
    result.figures = _mixed_figures(report)
    return result


def _mixed_figures(report: MixedReport) -> dict[str, object]:
    return {
        "seconds": report.seconds,
        "restarts": report.restarts,
        "kills": len(report.kills),
        "held": sum(len(kill.ports) for kill in report.kills),
        "unexplained": len(report.unexplained),
        "loads": {
            name: {"sent": t.sent, "good": t.good, "refused": dict(t.refused), "failed": len(t.failed)}
            for name, t in report.tallies.items()
        },
        "services": {name: _service_figures(target) for name, target in report.targets.items()},
    }


def _service_figures(target: Target) -> dict[str, object]:
    totals, life = target.memory.totals, target.memory.longest
    return {
        "hostile": target.hostile.sent,
        "interrupted": target.interrupted,
        "server_errors": len(target.hostile.server_errors),
        "slowest_probe": target.hostile.slowest_probe,
        "memory": [totals[0], max(totals), totals[-1]],
        "workers": len(target.memory.workers),
        "longest_seconds": life and life.length,
        "longest_memory": life and [life.warm, life.end],
    }


def _columns(reports: Sequence[OverloadReport] | Sequence[SiegeReport]) -> list[str]:
    return [NAMES[report.variant] for report in reports]


def _seconds(seconds: float | None) -> str:
    return "not while it was watched" if seconds is None else f"{seconds:.2f} s"


def _class(report: SiegeReport, hundreds: int) -> int:
    return sum(count for status, count in report.attack.statuses.items() if status // 100 == hundreds)


def _refused(statuses: Mapping[int, int]) -> str:
    return ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items())) or "0"


def _percentiles(latencies: Sequence[float]) -> str:
    if not latencies:
        return ""
    p50, p99 = np.percentile(np.array(latencies), [50, 99]) * 1e3
    return f"{p50:.1f}, {p99:.1f} ms"
