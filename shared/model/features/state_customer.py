"""What is kept of one customer, and the 20 features that come of it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from math import nan

from shared.model.features.definition import DAYS
from shared.model.features.formulas import DAY, HOUR, MICROSECONDS, UNITS
from shared.model.features.state_formulas import mean, ratio, spread, zscore

LATENESS = DAY
"""Microseconds that a transaction may come after a later one of its customer or terminal."""

CUSTOMER_REACH = max(DAYS) * DAY
"""Microseconds after which a transaction is in none of its customer's windows."""

TRIM_ROWS = 32
"""Rows out of reach that are kept until as many as are in reach have joined them: dropping one by one is slow."""

Id = int | str
CustomerRow = tuple[int, float, Id]
"""Microseconds since 1970, amount, terminal."""


class _Window:
    """The rows from position `first` on: those of the last `length` microseconds, and the sums of their units."""

    __slots__ = ("first", "length", "squares", "total")

    def __init__(self, length: int) -> None:
        self.length = length
        self.first = self.total = self.squares = 0


class CustomerWindows:
    """One customer's transactions of the last 30 days, and a day more for those that come late.

    Args:
        before: microseconds since 1970 of the customer's last transaction before those kept, if there was one.
    """

    __slots__ = ("amounts", "before", "peaks", "terminals", "times", "windows")

    def __init__(self, before: int | None = None) -> None:
        self.before = before
        self.times = array("q")
        self.amounts = array("d")
        self.terminals: list[Id] = []
        self.windows = [_Window(HOUR), *(_Window(days * DAY) for days in DAYS)]
        # Positions of the amounts that no later one reaches, so falling: a window's largest is its first of them.
        self.peaks = array("q")

    @property
    def last(self) -> int | None:
        """Microseconds since 1970 of the newest transaction."""
        return self.times[-1] if self.times else self.before

    def accepts(self, time: int) -> bool:
        """Whether all that a transaction at this time would see is still kept."""
        in_time = not self.times or time >= self.times[-1] - LATENESS
        return in_time and (self.before is None or time >= self.before + CUSTOMER_REACH)

    def rows(self) -> list[CustomerRow]:
        """The transactions kept, oldest first."""
        return list(zip(self.times, self.amounts, self.terminals, strict=True))

    def extend(self, rows: Iterable[CustomerRow]) -> None:
        """Take in rows without their features, oldest first."""
        for row in rows:
            self._add(*row)

    def update(self, time: int, amount: float, terminal: Id) -> list[float]:
        """Take in a transaction; its customer features, in order."""
        if self.times and time < self.times[-1]:
            return self._insert(time, amount, terminal)
        previous = self.last
        self._add(time, amount, terminal)
        count = len(self.times)
        units = round(amount * UNITS)
        hour, *windows = self.windows
        counts, means, stds, largest, ratios = [], [], [], [], []
        for window in windows:
            rows = count - window.first
            average = mean(rows, window.total)
            deviation = spread(rows, window.total, window.squares)
            counts.append(rows)
            means.append(average)
            stds.append(deviation / (rows * float(UNITS)))
            largest.append(self.amounts[self.peaks[bisect_left(self.peaks, window.first)]])
            ratios.append(ratio(amount, average))
        known = terminal in self.terminals[window.first : -1]
        return [
            *counts,
            *means,
            *stds,
            *largest,
            *ratios,
            zscore(units, rows, window.total, deviation),
            nan if previous is None else (time - previous) / MICROSECONDS,
            count - hour.first,
            float(hour.total) / UNITS,
            not known,
        ]

    def _add(self, time: int, amount: float, terminal: Id) -> None:
        times, amounts, peaks = self.times, self.amounts, self.peaks
        while peaks and amounts[peaks[-1]] <= amount:
            peaks.pop()
        peaks.append(len(times))
        times.append(time)
        amounts.append(amount)
        self.terminals.append(terminal)
        units = round(amount * UNITS)
        square = units * units
        for window in self.windows:
            edge = time - window.length
            first = window.first
            while times[first] <= edge:
                left = round(amounts[first] * UNITS)
                window.total -= left
                window.squares -= left * left
                first += 1
            window.first = first
            window.total += units
            window.squares += square
        if first > TRIM_ROWS and first > len(times) // 2:
            self._trim(bisect_right(times, time - CUSTOMER_REACH - LATENESS))

    def _trim(self, rows: int) -> None:
        """Drop the oldest rows, none of which is in a window."""
        if rows == 0:
            return
        self.before = self.times[rows - 1]
        del self.times[:rows], self.amounts[:rows], self.terminals[:rows]
        for window in self.windows:
            window.first -= rows
        self.peaks = array("q", (peak - rows for peak in self.peaks if peak >= rows))

    def _insert(self, time: int, amount: float, terminal: Id) -> list[float]:
        """Take in a late transaction where it belongs: all that is kept is taken in anew."""
        rows = self.rows()
        at = bisect_right(self.times, time)
        anew = CustomerWindows(self.before)
        anew.extend(rows[:at])
        values = anew.update(time, amount, terminal)
        anew.extend(rows[at:])
        for name in self.__slots__:
            setattr(self, name, getattr(anew, name))
        return values
