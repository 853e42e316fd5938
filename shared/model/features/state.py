"""The 42 features kept online: one transaction in, its row out, with the bits that `compute_features` gives it."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.model.features.state_customer import CUSTOMER_REACH, LATENESS, CustomerWindows, Id
from shared.model.features.state_formulas import microseconds, own_features
from shared.model.features.state_terminal import TERMINAL_REACH, TerminalWindows
from shared.model.features.transactions import MAX_AMOUNT

EVICTED_AT_ONCE = 2
"""Idle customers, and terminals, put to rest in one update at most: twice what one can add, and no long pauses."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One card transaction.

    Ids are integers or text; 7 and "7" are two. A `timestamp` without a time zone is taken as it stands, one with a
    time zone in UTC. `amount` is in units of the currency, 0 to `MAX_AMOUNT`.
    """

    transaction_id: Id
    timestamp: datetime
    customer_id: Id
    terminal_id: Id
    amount: float


class FeatureState:
    """All that the features of the next transaction need to know of the ones before it.

    Fed every transaction once, ordered by time for each customer and each terminal, and every label before a
    transaction whose delayed windows reach it, it gives each row the bits that the batch gives it. See
    docs/online-features.md for late ones, clocks, memory and crashes.

    Not safe for use by several threads at once.

    Args:
        max_jump: refuse transactions that are further ahead of the newest one. By default every clock is believed.

    Raises:
        TypeError: `max_jump` is no timedelta.
    """

    def __init__(self, *, max_jump: timedelta | None = None) -> None:
        if max_jump is not None and not isinstance(max_jump, timedelta):
            raise TypeError(f"max_jump={max_jump!r} is no timedelta: give one such as timedelta(hours=1)")
        self.max_jump = max_jump
        self.updates = 0
        """Transactions taken in so far, also before a restart: where to go on in the stream."""
        self.newest: int | None = None
        """Microseconds since 1970 of the newest transaction."""
        # Those touched longest ago come first.
        self.customers: OrderedDict[Id, CustomerWindows] = OrderedDict()
        self.terminals: OrderedDict[Id, TerminalWindows] = OrderedDict()
        # Of those idle beyond all windows only the time of the last transaction is left.
        self.idle_customers: dict[Id, int] = {}
        self.idle_terminals: dict[Id, int] = {}

    def update(self, transaction: Transaction) -> NDArray[np.float32]:
        """Take in a transaction; its features, shape (42,), NaN for null.

        One that comes late by up to a day is put where it belongs: it sees what was earlier, and those that follow
        see it. An unknown customer or terminal begins without history.

        Raises:
            UserError: an id, time or amount that cannot be, a transaction that comes more than a day after a later one
                of its customer or terminal, one more than `max_jump` ahead. The state is then as it was.
        """
        time, amount = _checked(transaction)
        self._check_jump(transaction, time)
        customer_id, terminal_id = transaction.customer_id, transaction.terminal_id
        customer = self.customers.get(customer_id)
        if customer is None:
            customer = CustomerWindows(self.idle_customers.get(customer_id))
        terminal = self.terminals.get(terminal_id)
        if terminal is None:
            terminal = TerminalWindows(terminal_id, self.idle_terminals.get(terminal_id))
        if not customer.accepts(time):
            raise _too_late(transaction, "customer", customer_id)
        if not terminal.accepts(time):
            raise _too_late(transaction, "terminal", terminal_id)

        values = own_features(time, amount)
        values += customer.update(time, amount, terminal.terminal_id)
        values += terminal.update(time, amount)
        _touch(self.customers, self.idle_customers, customer_id, customer)
        _touch(self.terminals, self.idle_terminals, terminal_id, terminal)
        _evict(self.customers, self.idle_customers, time - CUSTOMER_REACH - LATENESS)
        _evict(self.terminals, self.idle_terminals, time - TERMINAL_REACH - LATENESS)
        self.updates += 1
        self.newest = time if self.newest is None else max(self.newest, time)
        return np.frombuffer(array("f", values), dtype=np.float32)

    def label(self, transaction: Transaction, is_fraud: bool) -> bool:
        """Take in what became of an earlier transaction; the same label may come again, and be corrected.

        A transaction without a label counts as genuine. One labelled after its delayed windows began counts from
        then on.

        Returns:
            Whether the transaction may still count: False where its terminal has none of that time, be it that it
            never came or that it is out of every window.

        Raises:
            UserError: an id, time or amount that cannot be.
        """
        time, _ = _checked(transaction)
        terminal = self.terminals.get(transaction.terminal_id)
        return terminal is not None and terminal.label(transaction.transaction_id, time, is_fraud)

    def _check_jump(self, transaction: Transaction, time: int) -> None:
        if self.max_jump is None or self.newest is None:
            return
        ahead = timedelta(microseconds=time - self.newest)
        if ahead > self.max_jump:
            raise UserError(
                f"transaction {transaction.transaction_id} is {ahead} ahead of the newest one, and {self.max_jump} "
                "is allowed; check the clock it comes from, or raise max_jump"
            )


def _checked(transaction: Transaction) -> tuple[int, float]:
    """The transaction's time in microseconds and its amount, all its values checked."""
    for value in (transaction.transaction_id, transaction.customer_id, transaction.terminal_id):
        if type(value) is not int and type(value) is not str:
            raise _bad_id(transaction)
    if not isinstance(transaction.timestamp, datetime):
        raise UserError(
            f"timestamp is {transaction.timestamp!r} in transaction {transaction.transaction_id}; give a datetime"
        )
    amount = transaction.amount
    if not isinstance(amount, float | int) or not 0 <= amount <= MAX_AMOUNT:
        raise UserError(
            f"amount is {amount!r} in transaction {transaction.transaction_id}; "
            f"amounts must be numbers from 0 to {MAX_AMOUNT:.0f}"
        )
    return microseconds(transaction.timestamp), float(amount)


def _bad_id(transaction: Transaction) -> UserError:
    values = {name: getattr(transaction, name) for name in ("transaction_id", "customer_id", "terminal_id")}
    name = next(name for name, value in values.items() if type(value) not in (int, str))
    return UserError(f"{name} is {values[name]!r}; ids must be integers or text")


def _too_late(transaction: Transaction, kind: str, name: Id) -> UserError:
    return UserError(
        f"transaction {transaction.transaction_id} of {transaction.timestamp} comes more than a day after a later one "
        f"of {kind} {name}: what its features need is gone; feed transactions in the order of their times"
    )


def _touch(kept: OrderedDict[Id, Any], idle: dict[Id, int], name: Id, windows: Any) -> None:
    """Keep an entity's windows, as the one touched last."""
    if name in kept:
        kept.move_to_end(name)
    else:
        kept[name] = windows
        idle.pop(name, None)


def _evict(kept: OrderedDict[Id, Any], idle: dict[Id, int], until: int) -> None:
    """Drop the windows of those touched longest ago, where their last transaction is that old."""
    for _ in range(EVICTED_AT_ONCE):
        name = next(iter(kept))
        last = kept[name].last
        if last > until:
            return
        del kept[name]
        idle[name] = last
