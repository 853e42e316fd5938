"""Which days train, wait and test: the protocol of the Fraud Detection Handbook, on any table.

Le Borgne, Siblini, Lebichot, Bontempi: "Reproducible Machine Learning for Credit Card Fraud Detection -
Practical Handbook", sections "Baseline fraud detection system" and "Performance metrics".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.model.features.transactions import Transactions

Rows = NDArray[np.int64]
Days = NDArray[np.datetime64]

VALIDATION_SHARE = 3
"""The last of this many parts of the training days, rounded down to days, validates; at least one day."""


@dataclass(frozen=True)
class Protocol:
    """Days of a table, in this order: training, a delay in which labels arrive, test."""

    train_start: date
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7

    @property
    def days(self) -> int:
        return self.train_days + self.delay_days + self.test_days

    @property
    def validation_start(self) -> date:
        """The first of the training days that early stopping and the decision threshold look at."""
        return self.train_end - timedelta(max(1, self.train_days // VALIDATION_SHARE))

    @property
    def train_end(self) -> date:
        """The day after the last training day."""
        return self.train_start + timedelta(self.train_days)

    @property
    def test_start(self) -> date:
        return self.train_end + timedelta(self.delay_days)

    @property
    def test_end(self) -> date:
        """The day after the last test day."""
        return self.test_start + timedelta(self.test_days)


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of a table, each ascending, shape (k,)."""

    learn: Rows
    """The training days before `validation_start`."""
    validation: Rows
    test: Rows
    """The test days without the cards known by then to be compromised."""
    test_all_cards: Rows
    """The test days, every card."""

    @property
    def train(self) -> Rows:
        return np.concatenate([self.learn, self.validation])


def choose_protocol(
    transactions: Transactions,
    *,
    train_start: date | None = None,
    train_days: int = 7,
    delay_days: int = 7,
    test_days: int = 7,
) -> Protocol:
    """The protocol with these lengths; without a start, the one that ends with the table's last day.

    Raises:
        UserError: a length is too small, or the table does not have all of the days.
    """
    for name, days, least in (
        ("train-days", train_days, 2),
        ("delay-days", delay_days, 0),
        ("test-days", test_days, 1),
    ):
        if days < least:
            raise UserError(f"--{name} is {days}; give at least {least}")
    if len(transactions) == 0:
        raise UserError("the table has no transactions; give one that has some")
    first, last = (_day(transactions.timestamp[row]) for row in (0, -1))
    days = train_days + delay_days + test_days
    latest = last - timedelta(days - 1)
    if latest < first:
        raise UserError(
            f"the table covers {(last - first).days + 1} days ({first} to {last}) but training needs {days}: "
            f"{train_days} to train, {delay_days} of delay, {test_days} to test; "
            "give a longer table or smaller --train-days, --delay-days, --test-days"
        )
    start = latest if train_start is None else train_start
    if not first <= start <= latest:
        raise UserError(
            f"--train-start {start} does not fit the table, which covers {first} to {last}; "
            f"with {days} days in all, give a day from {first} to {latest}"
        )
    return Protocol(start, train_days, delay_days, test_days)


def split(transactions: Transactions, protocol: Protocol) -> Split:
    """Split a table by time.

    A card counts as known to be compromised on a test day if it has a fraud in the training days or, since
    labels arrive `delay_days` late, on a day up to `delay_days + 1` before that test day.

    Raises:
        UserError: a part has no transactions, no fraud, or nothing but fraud.
    """
    days = transactions.timestamp.astype("datetime64[D]")
    test_all_cards = _rows(days, protocol.test_start, protocol.test_end)
    parts = Split(
        learn=_rows(days, protocol.train_start, protocol.validation_start),
        validation=_rows(days, protocol.validation_start, protocol.train_end),
        test=_without_known_cards(transactions, days, protocol, test_all_cards),
        test_all_cards=test_all_cards,
    )
    _check("training", transactions, parts.learn, protocol.train_start, protocol.validation_start)
    _check("validation", transactions, parts.validation, protocol.validation_start, protocol.train_end)
    _check("test", transactions, parts.test, protocol.test_start, protocol.test_end)
    return parts


def _without_known_cards(transactions: Transactions, days: Days, protocol: Protocol, test: Rows) -> Rows:
    """The test rows without those of cards known to be compromised on their day."""
    cards, card = np.unique(transactions.customer_id, return_inverse=True)
    train_start = np.datetime64(protocol.train_start)
    frauds = np.flatnonzero(transactions.is_fraud & (days >= train_start))
    # First fraud since training began; what happened before is forgotten, as in the published protocol.
    first_fraud = np.full(len(cards), np.datetime64(protocol.test_end), dtype="datetime64[D]")
    np.minimum.at(first_fraud, card[frauds], days[frauds])
    newest_label = days[test] - np.timedelta64(protocol.delay_days + 1, "D")
    known_since_training = first_fraud[card[test]] < np.datetime64(protocol.train_end)
    return test[~(known_since_training | (first_fraud[card[test]] <= newest_label))]


def _rows(days: Days, start: date, end: date) -> Rows:
    """Rows from the day `start` until before the day `end`."""
    first, last = np.searchsorted(days, [np.datetime64(start), np.datetime64(end)])
    return np.arange(first, last)


def _check(part: str, transactions: Transactions, rows: Rows, start: date, end: date) -> None:
    frauds = int(transactions.is_fraud[rows].sum())
    if 0 < frauds < len(rows):
        return
    what = "no transactions" if len(rows) == 0 else "no fraud" if frauds == 0 else "nothing but fraud"
    raise UserError(
        f"the {part} days {start} to {end - timedelta(1)} have {what}"
        f"{' on cards not yet known to be compromised' if part == 'test' else ''}; "
        "choose other days with --train-start or more with --train-days and --test-days"
    )


def _day(timestamp: np.datetime64) -> date:
    day: date = timestamp.astype("datetime64[D]").item()
    return day
