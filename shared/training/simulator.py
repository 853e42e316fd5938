"""Simulated card transactions, after the published design of the Fraud Detection Handbook.

Le Borgne, Siblini, Lebichot, Bontempi: "Reproducible Machine Learning for Credit Card Fraud Detection -
Practical Handbook", section "Transaction data simulator". The figures below are that section's; the code is
our own and loops over days and compromised customers, never over transactions.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.model.features.transactions import Transactions

SIDE = 100.0
RADIUS = 5.0
"""Customers and terminals lie on a square of this side; a customer uses the terminals within this radius."""

SUSPICIOUS_AMOUNT = 220.0
TERMINALS_PER_DAY, TERMINAL_DAYS = 2, 28
CUSTOMERS_PER_DAY, CUSTOMER_DAYS, CUSTOMER_FACTOR = 3, 14, 5

_SECONDS = 86_400
_CHUNK = 500

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Progress = Callable[[float], None]


def simulate(
    *,
    customers: int = 5_000,
    terminals: int = 10_000,
    days: int = 183,
    start: date = date(2018, 4, 1),
    seed: int = 0,
    progress: Progress | None = None,
) -> Transactions:
    """Transactions of `days` days from `start`, with `fraud_scenario`; same arguments, same table.

    The defaults give about 1.75 million transactions, 0.8 % of them fraudulent. Timestamps are whole seconds.
    `progress` is called with the share done, rising to 1.

    Raises:
        UserError: a size is below 1, or so small that no customer is near a terminal.
    """
    for name, size in {"customers": customers, "terminals": terminals, "days": days}.items():
        if size < 1:
            raise UserError(f"{name} is {size}; simulate at least 1")
    report = progress or (lambda share: None)
    rng = np.random.default_rng(seed)
    reach = _reach(rng, customers, terminals)
    report(0.1)
    second, customer, terminal, cents = _genuine(rng, customers, days, reach, report)
    if len(second) == 0:
        raise UserError("no transactions came about; simulate more customers, terminals or days")
    scenario = np.where(cents > SUSPICIOUS_AMOUNT * 100, 1, 0).astype(np.int8)
    _compromise_terminals(rng, terminals, days, second // _SECONDS, terminal, scenario)
    report(0.9)
    _compromise_customers(rng, customers, days, second // _SECONDS, customer, cents, scenario)
    transactions = Transactions.from_columns(
        transaction_id=np.arange(len(second)),
        timestamp=np.datetime64(start, "us") + second * np.timedelta64(1_000_000, "us"),
        customer_id=customer,
        terminal_id=terminal,
        amount=cents / 100,
        is_fraud=scenario > 0,
        fraud_scenario=scenario,
    )
    report(1.0)
    return transactions


def _reach(rng: np.random.Generator, customers: int, terminals: int) -> tuple[Ints, Ints]:
    """`first`, shape (customers + 1,), and `nearby`: customer c uses nearby[first[c]:first[c + 1]]."""
    customer_at = rng.uniform(0, SIDE, (customers, 2))
    terminal_at = rng.uniform(0, SIDE, (terminals, 2))
    counts, nearby = [], []
    for begin in range(0, customers, _CHUNK):  # in chunks: all distances at once would take 400 MB
        offset = customer_at[begin : begin + _CHUNK, None, :] - terminal_at
        near = np.einsum("ctx,ctx->ct", offset, offset) < RADIUS**2
        counts.append(near.sum(axis=1))
        nearby.append(np.nonzero(near)[1])
    first = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return first.astype(np.int64), np.concatenate(nearby).astype(np.int64)


def _genuine(
    rng: np.random.Generator, customers: int, days: int, reach: tuple[Ints, Ints], report: Progress
) -> tuple[Ints, Ints, Ints, Ints]:
    """Second since the start, customer, terminal and cents of every transaction, sorted by the second."""
    first, nearby = reach
    mean_amount = rng.uniform(5, 100, customers)
    daily = np.where(np.diff(first) > 0, rng.uniform(0, 4, customers), 0.0)
    parts = []
    for day in range(days):
        customer = np.repeat(np.arange(customers), rng.poisson(daily))
        time = rng.normal(_SECONDS / 2, 20_000, len(customer)).astype(np.int64)
        inside = (time > 0) & (time < _SECONDS)
        time, customer = time[inside], customer[inside]
        mean = mean_amount[customer]
        amount = rng.normal(mean, mean / 2)
        amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
        pick = rng.integers(first[customer], first[customer + 1])
        order = np.argsort(time, kind="stable")
        cents = np.rint(amount * 100).astype(np.int64)
        columns = (day * _SECONDS + time, customer, nearby[pick], cents)
        parts.append(tuple(column[order] for column in columns))
        report(0.1 + 0.7 * (day + 1) / days)
    second, customer, terminal, cents = (np.concatenate(column) for column in zip(*parts, strict=True))
    return second, customer, terminal, cents


def _compromise_terminals(
    rng: np.random.Generator, terminals: int, days: int, day: Ints, terminal: Ints, scenario: NDArray[np.int8]
) -> None:
    """Scenario 2: each day two terminals fall to fraudsters, for 28 days."""
    compromised = np.zeros((terminals, days), dtype=np.bool_)
    for begin in range(days):
        chosen = rng.choice(terminals, min(TERMINALS_PER_DAY, terminals), replace=False)
        compromised[chosen, begin : begin + TERMINAL_DAYS] = True
    scenario[compromised[terminal, day]] = 2


def _compromise_customers(
    rng: np.random.Generator,
    customers: int,
    days: int,
    day: Ints,
    customer: Ints,
    cents: Ints,
    scenario: NDArray[np.int8],
) -> None:
    """Scenario 3: each day three customers' cards leak; for 14 days a third of their amounts is five-fold."""
    order = np.lexsort((day, customer))
    place = customer[order] * days + day[order]
    for begin in range(days):
        for chosen in rng.choice(customers, min(CUSTOMERS_PER_DAY, customers), replace=False):
            end = min(begin + CUSTOMER_DAYS, days)
            low, high = np.searchsorted(place, [chosen * days + begin, chosen * days + end])
            third = rng.choice(order[low:high], (high - low) // 3, replace=False)
            cents[third] *= CUSTOMER_FACTOR
            scenario[third] = 3
