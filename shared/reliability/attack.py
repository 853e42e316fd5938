"""Hostile requests sent to a service, each on a connection of its own, and what came back."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from shared.reliability.hostile import Case

STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d) ")
ALLOWED_ERRORS = frozenset({503, 504})
"""Not ready, and a deadline that has passed: a case may leave the service waiting."""

ANSWER_SECONDS = 20.0
"""A whole request that has no answer by then is one the service hangs on."""

PATIENCE_SECONDS = 0.25
"""What is no whole request may be waited for by the service: then the client goes away."""

IDLE_SECONDS = 0.01
PROBE_SECONDS = 0.25
PROBE = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@dataclass
class AttackReport:
    """What became of the cases.

    Attributes:
        sent: all of them.
        statuses: of all answers; one case may get several.
        waiting: cases without an answer, whose client went away, by kind.
        server_errors: cases answered with a 5xx that is not 503 or 504.
        unanswered: whole requests without an answer.
        slowest_probe: seconds that the slowest `/livez` took meanwhile.
        seconds: it lasted.
    """

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    server_errors: list[Case] = field(default_factory=list)
    unanswered: list[Case] = field(default_factory=list)
    slowest_probe: float = 0.0
    seconds: float = 0.0

    def add(self, other: AttackReport) -> None:
        """Takes in another attack."""
        self.sent += other.sent
        self.statuses += other.statuses
        self.waiting += other.waiting
        self.server_errors += other.server_errors
        self.unanswered += other.unanswered
        self.slowest_probe = max(self.slowest_probe, other.slowest_probe)
        self.seconds += other.seconds


async def attack(
    host: str,
    port: int,
    cases: Iterable[Case],
    *,
    concurrency: int = 64,
    progress: Callable[[int], None] = lambda sent: None,
) -> AttackReport:
    """Sends the cases, `concurrency` at a time, and asks `/livez` all the while."""
    report = AttackReport()
    began = time.monotonic()
    waiting: Iterator[Case] = iter(cases)

    async def client() -> None:
        for case in waiting:
            report.sent += 1
            answer = await _exchange(host, port, case)
            statuses = [int(status) for status in STATUS.findall(answer)]
            report.statuses.update(statuses)
            if not statuses:
                report.waiting[case.kind] += 1
                if case.whole:
                    report.unanswered.append(case)
            if any(status >= 500 and status not in ALLOWED_ERRORS for status in statuses):
                report.server_errors.append(case)
            if report.sent % 500 == 0:
                progress(report.sent)

    probing = asyncio.create_task(_probe(host, port, report))
    try:
        await asyncio.gather(*(client() for _ in range(concurrency)))
    finally:
        probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probing
    report.seconds = time.monotonic() - began
    return report


async def _exchange(host: str, port: int, case: Case) -> bytes:
    """Everything that comes back until nothing more does."""
    answer = b""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return answer
    try:
        writer.write(case.content)
        patience = ANSWER_SECONDS if case.whole else PATIENCE_SECONDS
        while True:
            # Not wait_for: it swallows a cancellation that meets an answer.
            async with asyncio.timeout(patience):
                data = await reader.read(65536)
            if not data:
                break
            answer += data
            patience = IDLE_SECONDS
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    return answer


async def _probe(host: str, port: int, report: AttackReport) -> None:
    while True:
        began = time.monotonic()
        answer = await _exchange(host, port, Case("probe", PROBE, whole=True))
        report.slowest_probe = max(report.slowest_probe, time.monotonic() - began)
        if b" 200 " not in answer:
            report.unanswered.append(Case("probe", PROBE, whole=True))
        await asyncio.sleep(PROBE_SECONDS)
