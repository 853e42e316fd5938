"""The 42 features of every transaction of a table at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.model.features import formulas
from shared.model.features.definition import DAYS, DELAY_DAYS, FEATURE_NAMES
from shared.model.features.formulas import DAY, HOUR, Ints, Words
from shared.model.features.transactions import Transactions
from shared.model.features.windows import (
    Grouping,
    PrefixSquares,
    PrefixSum,
    codes,
    rows_until,
    sliding_max,
)

_COLUMN = {name: column for column, name in enumerate(FEATURE_NAMES)}


def compute_features(transactions: Transactions) -> NDArray[np.float32]:
    """Features of all transactions, shape (n, 42), C-contiguous; NaN stands for null.

    A row sees its own transaction and earlier ones (by timestamp; within one, in the order given), never a later one,
    and of the labels only those at least `DELAY_DAYS` old. What lies before the table's first row is not
    known: give 37 days of history before the first row you use. Means, sums and deviations see amounts
    rounded to a millionth, and are exact up to their final rounding.

    Takes about 7 s and 1 GB of memory for 1.8 million rows.

    Raises:
        UserError: the amounts of one customer or terminal are too large to be added up exactly.
    """
    out = np.empty((len(transactions), len(FEATURE_NAMES)), dtype=np.float32)
    if len(transactions) == 0:
        return out
    microseconds = transactions.timestamp.astype(np.int64)
    units = formulas.to_units(transactions.amount)
    customer, terminal = codes(transactions.customer_id), codes(transactions.terminal_id)
    _own_features(out, transactions.amount, microseconds)
    _customer_features(out, Grouping.of(customer), microseconds, transactions.amount, units)
    _terminal_features(out, Grouping.of(terminal), microseconds, transactions.is_fraud, units)
    pairs = Grouping.of(customer * (int(terminal.max()) + 1) + terminal)
    gap, has_previous = pairs.since_previous(microseconds)
    out[pairs.order, _COLUMN["customer_new_terminal_30d"]] = ~(has_previous & (gap < 30 * DAY))
    return out


def _own_features(out: NDArray[np.float32], amount: NDArray[np.float64], microseconds: Ints) -> None:
    out[:, _COLUMN["amount"]] = amount
    names = ("amount_log1p", "amount_is_whole")
    for name, values in zip(names, formulas.amount_features(amount), strict=True):
        out[:, _COLUMN[name]] = values
    calendar = ("is_weekend", "is_night", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
    for name, values in zip(calendar, formulas.calendar_features(microseconds), strict=True):
        out[:, _COLUMN[name]] = values


def _customer_features(
    out: NDArray[np.float32],
    group: Grouping,
    microseconds: Ints,
    row_amount: NDArray[np.float64],
    row_units: Words,
) -> None:
    group.check_squares(row_units)
    amount, units = row_amount[group.order], row_units[group.order]
    totals, squares = PrefixSum(units), PrefixSquares(units)
    end = group.positions() + 1
    firsts = [group.first_from(rows_until(microseconds, days * DAY)) for days in DAYS]
    for days, first, largest in zip(DAYS, firsts, sliding_max(amount, firsts), strict=True):
        count, total = end - first, totals.over(first, end)
        mean = formulas.mean(count, total)
        spread = formulas.spread(count, total, squares.over(first, end))
        out[group.order, _COLUMN[f"customer_tx_count_{days}d"]] = count
        out[group.order, _COLUMN[f"customer_amount_mean_{days}d"]] = mean
        out[group.order, _COLUMN[f"customer_amount_std_{days}d"]] = formulas.std(count, spread)
        out[group.order, _COLUMN[f"customer_amount_max_{days}d"]] = largest
        out[group.order, _COLUMN[f"customer_amount_ratio_{days}d"]] = formulas.ratio(amount, mean)
        if days == 30:
            zscore = formulas.zscore(units, count, total, spread)
            out[group.order, _COLUMN["customer_amount_zscore_30d"]] = zscore
    first = group.first_from(rows_until(microseconds, HOUR))
    out[group.order, _COLUMN["customer_tx_count_1h"]] = end - first
    out[group.order, _COLUMN["customer_amount_sum_1h"]] = formulas.amount_sum(totals.over(first, end))
    _since_previous(out, "customer", group, microseconds)


def _terminal_features(
    out: NDArray[np.float32],
    group: Grouping,
    microseconds: Ints,
    is_fraud: NDArray[np.bool_],
    row_units: Words,
) -> None:
    group.check_sums(row_units)
    totals, frauds = PrefixSum(row_units[group.order]), PrefixSum(is_fraud[group.order])
    end = group.first_from(rows_until(microseconds, DELAY_DAYS * DAY))
    for days in DAYS:
        first = group.first_from(rows_until(microseconds, (DELAY_DAYS + days) * DAY))
        count, total, fraud_count = end - first, totals.over(first, end), frauds.over(first, end)
        out[group.order, _COLUMN[f"terminal_tx_count_{days}d"]] = count
        out[group.order, _COLUMN[f"terminal_amount_mean_{days}d"]] = formulas.mean(count, total)
        out[group.order, _COLUMN[f"terminal_fraud_count_{days}d"]] = fraud_count
        rate = formulas.ratio(fraud_count.astype(np.float64), count.astype(np.float64))
        out[group.order, _COLUMN[f"terminal_fraud_rate_{days}d"]] = rate
    _since_previous(out, "terminal", group, microseconds)


def _since_previous(out: NDArray[np.float32], entity: str, group: Grouping, microseconds: Ints) -> None:
    gap, has_previous = group.since_previous(microseconds)
    seconds = np.where(has_previous, formulas.seconds(gap), np.nan)
    out[group.order, _COLUMN[f"{entity}_seconds_since_previous"]] = seconds
