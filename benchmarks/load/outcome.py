"""What a load generator saw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One run of a load generator; latencies in milliseconds, of all answers.

    Attributes:
        seconds: how long it ran.
        good: answers with status 200.
        refused: answers with another status.
        failed: requests without an answer: connection errors and timeouts.
    """

    seconds: float
    good: int
    refused: int
    failed: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
