"""Claims in circulation about the two frameworks, each beside our figure and the command that gives it."""

from __future__ import annotations

from benchmarks.report.sections import shown, table
from benchmarks.report.summary import Key, Spread, Summary

BENCH = "twinscore bench --suite contenders"


def _key(name: str, predictor: str, suite: str = "contenders") -> Key:
    return (suite, name, predictor, "deep")


def claims(summary: Summary) -> list[tuple[str, str, str]]:
    """Claim, our figure, command."""

    def phase(name: str, predictor: str, kind: str, load: int, figure: str, form: str) -> str:
        return shown(summary.phase(_key(name, predictor), kind, load, figure), form)

    def users(name: str, predictor: str) -> str:
        rate = summary.phase(_key(name, predictor, "kind"), "users", 100, "rate")
        return f"{shown(rate)} req/s, p50 {shown(summary.phase(_key(name, predictor, 'kind'), 'users', 100, 'p50'))} ms"

    def start(name: str, predictor: str) -> Spread | None:
        return summary.of_server(_key(name, predictor), "cold_start_seconds")

    return [
        (
            "Adaptive batching gives 3.8x the throughput of single-request scoring at 800 requests/s, p99 under 40 ms",
            f"textbook BentoML {phase('textbook-bento', 'proba', 'open', 800, 'rate', ',.0f')} good answers/s, "
            f"p99 {phase('textbook-bento', 'proba', 'open', 800, 'p99', ',.0f')} ms; "
            f"textbook FastAPI {phase('textbook-fastapi', 'proba', 'open', 800, 'rate', ',.0f')}, "
            f"p99 {phase('textbook-fastapi', 'proba', 'open', 800, 'p99', ',.0f')} ms; "
            f"our BentoML {phase('bento', 'ours', 'open', 800, 'rate', ',.0f')}, "
            f"p99 {phase('bento', 'ours', 'open', 800, 'p99', ',.1f')} ms",
            BENCH,
        ),
        (
            "The framework costs 8 ms (BentoML) and 4 ms (FastAPI) at p50",
            f"whole request, one connection, our predictor: textbook BentoML "
            f"{phase('textbook-bento', 'ours', 'closed', 1, 'p50', '.2f')} ms, textbook FastAPI "
            f"{phase('textbook-fastapi', 'ours', 'closed', 1, 'p50', '.2f')} ms; ours "
            f"{phase('bento', 'ours', 'closed', 1, 'p50', '.2f')} and {phase('fastapi', 'ours', 'closed', 1, 'p50', '.2f')} ms",
            BENCH,
        ),
        (
            "Cold start: BentoML 2.5 s, FastAPI 1 s",
            f"textbook {shown(start('textbook-bento', 'proba'), '.1f')} and "
            f"{shown(start('textbook-fastapi', 'proba'), '.1f')} s; ours {shown(start('bento', 'ours'), '.1f')} and "
            f"{shown(start('fastapi', 'ours'), '.1f')} s, from the command to the first answer",
            BENCH,
        ),
        (
            "FastAPI serves one CPU model up to about 200 requests/s a replica",
            f"textbook {phase('textbook-fastapi', 'proba', 'closed', 16, 'rate', ',.0f')} a core, "
            f"ours {phase('fastapi', 'ours', 'closed', 16, 'rate', ',.0f')}",
            BENCH,
        ),
        (
            "Kind, 100 users: BentoML 48.28 req/s, p50 1,200 ms; FastAPI 23.30 and 1,500 (MobileNetV2, 2 replicas)",
            f"this model, one core: textbook BentoML {users('textbook-bento', 'proba')}; textbook FastAPI "
            f"{users('textbook-fastapi', 'proba')}; ours {users('bento', 'ours')} and {users('fastapi', 'ours')}",
            "twinscore bench --suite kind",
        ),
    ]


def claims_section(summary: Summary) -> str:
    return "<h2>Claims, measured</h2>" + table(("claim", "here", "command"), claims(summary))
