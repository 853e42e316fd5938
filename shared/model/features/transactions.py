"""A table of card transactions as equally long columns, in the one order all features are defined by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contract.errors import UserError

MAX_AMOUNT = 1e9
"""Largest amount of one transaction: in millionths it is still an exact float64 (see `formulas.to_units`)."""

Ids = NDArray[np.int64] | NDArray[np.uint64] | NDArray[np.str_]
Rows = slice | NDArray[np.bool_] | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Transactions:
    """Transactions sorted by timestamp; make one with `from_columns`.

    Rows of one timestamp keep the order in which they were given: that is the order in which they happened, as
    far as anyone knows, and in the published tables it is not that of their ids.

    All columns have shape (n,). Ids are integers or text. `timestamp` is datetime64[us] without a time zone:
    nights and weekends are told by that clock. `amount` is float64 in units of the currency, 0 to
    `MAX_AMOUNT`. `fraud_scenario` (int8, 0 for genuine) says how a simulated fraud came about, where known.
    """

    transaction_id: Ids
    timestamp: NDArray[np.datetime64]
    customer_id: Ids
    terminal_id: Ids
    amount: NDArray[np.float64]
    is_fraud: NDArray[np.bool_]
    fraud_scenario: NDArray[np.int8] | None = None

    @classmethod
    def from_columns(
        cls,
        *,
        transaction_id: NDArray[Any],
        timestamp: NDArray[Any],
        customer_id: NDArray[Any],
        terminal_id: NDArray[Any],
        amount: NDArray[Any],
        is_fraud: NDArray[Any],
        fraud_scenario: NDArray[Any] | None = None,
    ) -> Transactions:
        """Check the columns, give each its type and sort the rows.

        Timestamps finer than a microsecond are cut to it.

        Raises:
            UserError: columns of different lengths, ids that are neither integers nor text, a missing time,
                an amount that is not finite, negative or above `MAX_AMOUNT`, a transaction id used twice.
        """
        table = cls(
            transaction_id=_ids("transaction_id", transaction_id),
            timestamp=np.asarray(timestamp).astype("datetime64[us]"),
            customer_id=_ids("customer_id", customer_id),
            terminal_id=_ids("terminal_id", terminal_id),
            # Plus zero: -0.0 becomes 0.0, whose sign no feature then carries.
            amount=np.asarray(amount).astype(np.float64) + 0.0,
            is_fraud=np.asarray(is_fraud).astype(np.bool_),
            fraud_scenario=None if fraud_scenario is None else np.asarray(fraud_scenario).astype(np.int8),
        )
        lengths = {name: len(column) for name, column in table.columns().items()}
        if len(set(lengths.values())) > 1:
            raise UserError(f"the columns have different lengths: {lengths}")
        table._check_values()
        order = np.argsort(table.timestamp, kind="stable")
        return table if bool(np.all(order[1:] > order[:-1])) else table.select(order)

    def __len__(self) -> int:
        return len(self.amount)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name, `fraud_scenario` only where there is one."""
        names = ("transaction_id", "timestamp", "customer_id", "terminal_id", "amount", "is_fraud")
        columns: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in names}
        if self.fraud_scenario is not None:
            columns["fraud_scenario"] = self.fraud_scenario
        return columns

    def select(self, rows: Rows) -> Transactions:
        """The given rows (a slice, a mask of shape (n,), ascending row numbers) as a table of their own."""
        return Transactions(**{name: column[rows] for name, column in self.columns().items()})

    def _check_values(self) -> None:
        if np.isnat(self.timestamp).any():
            raise UserError(f"timestamp is missing in row {_first(np.isnat(self.timestamp))}")
        with np.errstate(invalid="ignore"):
            bad = ~((self.amount >= 0) & (self.amount <= MAX_AMOUNT))
        if bad.any():
            row = _first(bad)
            raise UserError(
                f"amount is {self.amount[row - 1]} in row {row}; amounts must be numbers from 0 to {MAX_AMOUNT:.0f}"
            )
        ids = np.sort(self.transaction_id)
        twice = ids[1:] == ids[:-1]
        if twice.any():
            raise UserError(
                f"transaction_id {ids[_first(twice)]} is used more than once; give every transaction an id of its own"
            )


def _ids(name: str, values: NDArray[Any]) -> Ids:
    values = np.asarray(values)
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
        values = values.astype(np.str_)
    if values.dtype.kind not in "iuU":
        raise UserError(f"{name} holds {values.dtype} values; ids must be integers or text")
    if values.dtype.kind == "U" or values.dtype == np.uint64:
        return values
    return values.astype(np.int64)


def _first(mask: NDArray[np.bool_]) -> int:
    """Number, counted from 1, of the first row where the mask is set."""
    return int(mask.argmax()) + 1
