"""What is kept of one terminal, and the 13 features that come of it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from math import nan

from shared.model.features.definition import DAYS, DELAY_DAYS
from shared.model.features.formulas import DAY, MICROSECONDS, UNITS
from shared.model.features.state_customer import LATENESS, TRIM_ROWS, Id
from shared.model.features.state_formulas import mean, ratio

DELAY = DELAY_DAYS * DAY

TERMINAL_REACH = DELAY + max(DAYS) * DAY
"""Microseconds after which a transaction is in none of its terminal's windows."""

TerminalRow = tuple[int, float]
"""Microseconds since 1970, amount."""


class _Window:
    """The rows from position `first` to the delayed end: the `length` microseconds before, and the sum of units."""

    __slots__ = ("first", "length", "total")

    def __init__(self, length: int) -> None:
        self.length = length
        self.first = self.total = 0


class TerminalWindows:
    """One terminal's transactions of the last 37 days, a day more for those that come late, and its known frauds.

    Args:
        terminal_id: kept here so that all customers' rows share one object.
        before: microseconds since 1970 of the terminal's last transaction before those kept, if there was one.
    """

    __slots__ = ("amounts", "before", "end", "fraud_times", "frauds", "terminal_id", "times", "windows")

    def __init__(self, terminal_id: Id, before: int | None = None) -> None:
        self.terminal_id = terminal_id
        self.before = before
        self.times = array("q")
        self.amounts = array("d")
        # Rows of one time are alike to every window, so a fraud is its time; the id tells a repeated label.
        self.frauds: dict[Id, int] = {}
        self.fraud_times: list[int] = []
        self.end = 0
        self.windows = [_Window(days * DAY) for days in DAYS]

    @property
    def last(self) -> int | None:
        """Microseconds since 1970 of the newest transaction."""
        return self.times[-1] if self.times else self.before

    def accepts(self, time: int) -> bool:
        """Whether all that a transaction at this time would see is still kept."""
        in_time = not self.times or time >= self.times[-1] - LATENESS
        return in_time and (self.before is None or time >= self.before + TERMINAL_REACH)

    def rows(self) -> list[TerminalRow]:
        """The transactions kept, oldest first."""
        return list(zip(self.times, self.amounts, strict=True))

    def extend(self, rows: Iterable[TerminalRow]) -> None:
        """Take in rows without their features, oldest first."""
        for row in rows:
            self._add(*row)

    def label(self, transaction_id: Id, time: int, is_fraud: bool) -> bool:
        """Note a label; False where no transaction of that time, or none but known frauds, is kept."""
        known = self.frauds.get(transaction_id)
        if known is not None:
            if not is_fraud:
                del self.frauds[transaction_id]
                self.fraud_times.remove(known)
            return True
        kept = bisect_right(self.times, time) - bisect_left(self.times, time)
        frauds = bisect_right(self.fraud_times, time) - bisect_left(self.fraud_times, time)
        if kept <= frauds:
            return False
        if is_fraud:
            self.frauds[transaction_id] = time
            insort(self.fraud_times, time)
        return True

    def update(self, time: int, amount: float) -> list[float]:
        """Take in a transaction; its terminal features, in order."""
        if self.times and time < self.times[-1]:
            return self._insert(time, amount)
        previous = self.last
        self._add(time, amount)
        counts, means, frauds, rates = [], [], [], []
        known = bisect_right(self.fraud_times, time - DELAY)
        for window in self.windows:
            count = self.end - window.first
            fraud = known - bisect_right(self.fraud_times, time - DELAY - window.length) if known else 0
            counts.append(count)
            means.append(mean(count, window.total))
            frauds.append(fraud)
            rates.append(ratio(fraud, count))
        return [
            *counts,
            *means,
            *frauds,
            *rates,
            nan if previous is None else (time - previous) / MICROSECONDS,
        ]

    def _add(self, time: int, amount: float) -> None:
        times, amounts = self.times, self.amounts
        times.append(time)
        amounts.append(amount)
        edge = time - DELAY
        while times[self.end] <= edge:
            units = round(amounts[self.end] * UNITS)
            for window in self.windows:
                window.total += units
            self.end += 1
        for window in self.windows:
            first, before = window.first, edge - window.length
            while times[first] <= before:
                window.total -= round(amounts[first] * UNITS)
                first += 1
            window.first = first
        if first > TRIM_ROWS and first > len(times) // 2:
            self._trim(bisect_right(times, time - TERMINAL_REACH - LATENESS))

    def _trim(self, rows: int) -> None:
        """Drop the oldest rows, none of which is in a window."""
        if rows == 0:
            return
        self.before = self.times[rows - 1]
        del self.times[:rows], self.amounts[:rows]
        del self.fraud_times[: bisect_right(self.fraud_times, self.before)]
        self.frauds = {name: time for name, time in self.frauds.items() if time > self.before}
        self.end -= rows
        for window in self.windows:
            window.first -= rows

    def _insert(self, time: int, amount: float) -> list[float]:
        """Take in a late transaction where it belongs: all that is kept is taken in anew."""
        rows = self.rows()
        at = bisect_right(self.times, time)
        anew = TerminalWindows(self.terminal_id, self.before)
        anew.frauds, anew.fraud_times = self.frauds, self.fraud_times
        anew.extend(rows[:at])
        values = anew.update(time, amount)
        anew.extend(rows[at:])
        for name in self.__slots__:
            setattr(self, name, getattr(anew, name))
        return values
