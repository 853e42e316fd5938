"""What became of the transactions of a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAX_SHOWN = 5
"""Skewed values and differing answers that are kept to be shown."""


@dataclass
class Outcome:
    """What became of the n transactions that were sent, rows `first` to the end of the table.

    Args:
        urls: the services, k of them.
        first: row number of the first transaction sent.
        n: how many are sent.
    """

    urls: Sequence[str]
    first: int
    n: int
    skewed_rows: int = 0
    skew: list[str] = field(default_factory=list)
    seconds: float = 0.0
    versions: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        shape = (len(self.urls), self.n)
        self.probabilities: NDArray[np.float64] = np.full(shape, np.nan)
        """Shape (k, n); NaN until answered."""
        self.latency: NDArray[np.float64] = np.full(shape, np.nan)
        """Seconds from the transaction's arrival to its probability, shape (k, n)."""
        self.retries: NDArray[np.int64] = np.zeros(len(self.urls), dtype=np.int64)
        """Requests sent again to each service."""
        self.update_seconds: NDArray[np.float64] = np.zeros(self.n)

    def differences(self) -> NDArray[np.int64]:
        """Which of the n were not given the same probability by every service."""
        return np.flatnonzero((self.probabilities != self.probabilities[0]).any(axis=0))
