"""How well fraud is detected, told as the labels arrive and in the terms of the offline evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.contract.wire import ModelCard
from shared.model.features.transactions import Transactions
from shared.training.evaluate import evaluate
from shared.training.split import Protocol, split

COMPARED = ("auc_roc", "average_precision", "card_precision_at_100", "precision", "recall", "rows", "frauds")

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Day:
    """One day's transactions once their labels have arrived; `auc_roc` and `average_precision` of all days so far.

    Attributes:
        alerts: transactions at the threshold or above.
        caught: frauds among them.
    """

    day: date
    transactions: int
    alerts: int
    frauds: int
    caught: int
    auc_roc: float | None
    average_precision: float | None


def figures(
    table: Transactions, rows: Rows, probabilities: NDArray[np.float32], threshold: float
) -> dict[str, Any] | None:
    """`evaluate` for rows of a table, both of shape (n,); None where there is no fraud, or nothing but fraud."""
    is_fraud = table.is_fraud[rows]
    if not 0 < int(is_fraud.sum()) < len(rows):
        return None
    days = table.timestamp[rows].astype("datetime64[D]")
    return evaluate(days, table.customer_id[rows], is_fraud, probabilities, threshold)


def day_figures(
    table: Transactions, first: int, probabilities: NDArray[np.float32], threshold: float, day: np.datetime64
) -> Day | None:
    """The figures of a day, rows `first` on having been scored; None where none of the day's were."""
    days = table.timestamp[first:].astype("datetime64[D]")
    begin, end = np.searchsorted(days, [day, day + np.timedelta64(1, "D")])
    if begin == end:
        return None
    is_fraud = table.is_fraud[first:][begin:end]
    called = probabilities[begin:end] >= threshold
    so_far = figures(table, np.arange(first, first + end), probabilities[:end], threshold) or {}
    return Day(
        day=date.fromisoformat(str(day)),
        transactions=int(end - begin),
        alerts=int(called.sum()),
        frauds=int(is_fraud.sum()),
        caught=int((called & is_fraud).sum()),
        auc_roc=so_far.get("auc_roc"),
        average_precision=so_far.get("average_precision"),
    )


def evaluated_rows(table: Transactions, first: int, card: ModelCard) -> Rows:
    """Of the rows from `first` on, those that the offline evaluation of the card's model takes.

    That is, from its first test day on, without the cards known by then to be compromised.

    Raises:
        UserError: the card does not tell its training days, the table does not have them, or no row remains.
    """
    try:
        train, test = card.evaluation["train"], card.evaluation["test"]
        days = (train["first_day"], train["last_day"], test["first_day"])
        train_start, train_last, test_start = map(date.fromisoformat, days)
    except (KeyError, TypeError, ValueError):
        raise UserError("the model card does not tell the days of its offline evaluation") from None
    last: date = table.timestamp[-1].astype("datetime64[D]").item()
    begin: date = table.timestamp[0].astype("datetime64[D]").item()
    if begin > train_start or last < test_start:
        raise UserError(
            f"the offline evaluation trains from {train_start} and tests from {test_start}, "
            f"and the table has {begin} to {last}"
        )
    protocol = Protocol(
        train_start,
        train_days=(train_last - train_start).days + 1,
        delay_days=(test_start - train_last - timedelta(1)).days,
        test_days=(last - test_start).days + 1,
    )
    test_rows = split(table, protocol).test
    rows = test_rows[test_rows >= first]
    if len(rows) == 0:
        raise UserError("no transaction of the offline evaluation's test days was replayed")
    return rows


def is_cards_own_test(table: Transactions, rows: Rows, card: ModelCard) -> bool:
    """Whether the rows cover just the test days of the card, so that its figures are to be found again."""
    days = [str(table.timestamp[row].astype("datetime64[D]")) for row in (rows[0], rows[-1])]
    test = card.evaluation["test"]
    return days == [test["first_day"], test["last_day"]]
