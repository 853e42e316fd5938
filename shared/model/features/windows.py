"""Windows over the rows of one customer or terminal, as ranges of positions, without a loop over rows.

Rows are numbered in the table's order (by time). A grouping puts the rows of one entity next to each
other, in that order; a window is then a half-open range of positions [first, end) and its sum a difference of
two prefix sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.model.features.formulas import Ints, Wide, Words, join_limbs, square_limbs


def rows_until(microseconds: Ints, lag: int) -> Ints:
    """For each row, how many rows of the sorted table are `lag` microseconds old or older. Shape (n,)."""
    return np.searchsorted(microseconds, microseconds - lag, side="right").astype(np.int64)


def codes(ids: NDArray[Any]) -> Ints:
    """Ids as integers 0, 1, ... in the order of the ids. Shape (n,)."""
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Grouping:
    """Rows ordered by entity, then row number; `order[p]` is the row at position p. Arrays of shape (n,)."""

    order: Ints
    code: Ints

    @classmethod
    def of(cls, code: Ints) -> Grouping:
        """Group n >= 1 rows by their entity's code."""
        order = np.argsort(code, kind="stable")
        return cls(order=order, code=code[order])

    def positions(self) -> Ints:
        """0, 1, ..., n - 1."""
        return np.arange(len(self.order))

    def first_from(self, row: Ints) -> Ints:
        """For each position, the first position of its entity whose row number is at least row[own row].

        The codes must be those of `codes`: below n, so that a code times n fits.
        """
        return np.searchsorted(self._keys(self.order), self._keys(row[self.order])).astype(np.int64)

    def _keys(self, row: Ints) -> Ints:
        """Entity and row number as one ascending number; with times in their place it could overflow."""
        return self.code * (len(self.order) + 1) + row

    def since_previous(self, microseconds: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Microseconds since the entity's previous row (0 for its first), and whether there is one."""
        time = microseconds[self.order]
        has_previous = np.zeros(len(time), dtype=np.bool_)
        has_previous[1:] = self.code[1:] == self.code[:-1]
        gap = np.zeros_like(time)
        gap[1:] = time[1:] - time[:-1]
        return np.where(has_previous, gap, 0), has_previous

    def check_sums(self, units: Words) -> None:
        """Raise UserError where the units of one entity sum to 2^63 or more."""
        amounts = units[self.order].astype(np.float64)
        _refuse_from(2.0**63, np.add.reduceat(amounts, self._starts()))

    def check_squares(self, units: Words) -> None:
        """Raise UserError where an entity's rows times its largest units make 2^62 or more.

        Below, its sums stay below 2^62 and rows * (sum of squares) and (sum)^2 below 2^124.
        """
        amounts, starts = units[self.order].astype(np.float64), self._starts()
        rows = np.diff(np.append(starts, len(amounts)))
        _refuse_from(2.0**62, rows * np.maximum.reduceat(amounts, starts))

    def _starts(self) -> Ints:
        return np.flatnonzero(np.append(True, self.code[1:] != self.code[:-1]))


def _refuse_from(limit: float, units: NDArray[np.float64]) -> None:
    if np.any(units >= limit):
        raise UserError(
            "the amounts of one customer or terminal are too many and too large to be summed exactly; "
            "give the amounts in a larger unit of money"
        )


class PrefixSum:
    """Sums of integers over ranges of positions.

    The running sums wrap at 2^64; their differences are exact as long as the range's own sum is below that.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self._sums = np.zeros(len(values) + 1, dtype=np.uint64)
        np.cumsum(values, dtype=np.uint64, out=self._sums[1:])

    def over(self, first: Ints, end: Ints) -> Words:
        """Sums over positions [first, end)."""
        return self._sums[end] - self._sums[first]


class PrefixSquares:
    """Exact sums of squares over ranges of positions, of units below 2^50."""

    def __init__(self, units: Words) -> None:
        self._limbs = tuple(PrefixSum(limb) for limb in square_limbs(units))

    def over(self, first: Ints, end: Ints) -> Wide:
        """Sums of the squares over positions [first, end)."""
        lowest, middle, rest = (limb.over(first, end) for limb in self._limbs)
        return join_limbs(lowest, middle, rest)


def sliding_max(values: NDArray[np.float64], firsts: list[Ints]) -> list[NDArray[np.float64]]:
    """For each array of first positions, the maximum over [first[p], p] for every position p.

    By doubling: `level[p]` is the maximum of the `width` values from p on, and a range of width to 2 * width
    values is covered by the two such blocks at its ends.
    """
    position = np.arange(len(values))
    lengths = [position + 1 - first for first in firsts]
    results = [np.empty_like(values) for _ in firsts]
    longest = max(int(length.max()) for length in lengths)
    level, width = values, 1
    while True:
        for first, length, result in zip(firsts, lengths, results, strict=True):
            rows = np.flatnonzero((length >= width) & (length < 2 * width))
            result[rows] = np.maximum(level[first[rows]], level[rows + 1 - width])
        if longest < 2 * width:
            return results
        level = np.maximum(level[:-width], level[width:])
        width *= 2
