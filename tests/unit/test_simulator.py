"""The simulator against the published design it follows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from shared.contract.errors import UserError
from shared.model.features.transactions import Transactions
from shared.training.simulator import simulate

CUSTOMERS, TERMINALS, DAYS = 2_000, 4_000, 60


@pytest.fixture(scope="module")
def table() -> Transactions:
    return simulate(customers=CUSTOMERS, terminals=TERMINALS, days=DAYS, seed=3)


def day_of(table: Transactions) -> np.ndarray:
    return (table.timestamp - np.datetime64("2018-04-01")) // np.timedelta64(1, "D")


def test_the_same_arguments_give_the_same_table_and_another_seed_another() -> None:
    size = {"customers": 100, "terminals": 300, "days": 10}
    one, same, other = simulate(**size, seed=1), simulate(**size, seed=1), simulate(**size, seed=2)
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, same.columns()[name])
    assert len(one) != len(other) or bool(np.any(one.amount != other.amount))


def test_rows_are_numbered_in_time_within_the_days_asked_for(table: Transactions) -> None:
    assert table.transaction_id.tolist() == list(range(len(table)))
    assert np.all(np.diff(table.timestamp) >= np.timedelta64(0))
    assert set(day_of(table).tolist()) == set(range(DAYS))
    assert np.all(table.timestamp == table.timestamp.astype("datetime64[s]"))
    assert simulate(customers=100, terminals=200, days=1, start=date(2020, 2, 29)).timestamp[0] > np.datetime64(
        "2020-02-29"
    )


def test_amounts_rates_and_hours_are_the_published_ones(table: Transactions) -> None:
    """Expectations of the design, with room for the luck of 2,000 customers (four standard errors)."""
    genuine = table.select(table.fraud_scenario != 3)
    per_customer_day = len(table) / (CUSTOMERS * DAYS)
    # Poisson with mean 2 on average, less the 3.1 % of times that fall outside the day.
    assert per_customer_day == pytest.approx(2 * 0.969, rel=0.055)
    # Customers' means average 52.5, and redrawing the 2.3 % of negative amounts adds 1.3.
    assert genuine.amount.mean() == pytest.approx(54, rel=0.06)
    np.testing.assert_array_equal(np.round(table.amount, 2), table.amount)
    seconds = (table.timestamp - table.timestamp.astype("datetime64[D]")).astype(np.int64) / 1e6
    assert seconds.mean() == pytest.approx(43_200, abs=300)
    # A normal with deviation 20,000 cut off at 2.16 deviations.
    assert seconds.std() == pytest.approx(17_900, abs=300)
    rates = np.bincount(table.customer_id, minlength=CUSTOMERS) / DAYS
    assert rates.max() < 6
    assert rates.std() == pytest.approx(1.13, rel=0.1)


def test_customers_use_only_terminals_near_them(table: Transactions) -> None:
    """A circle of radius 5 holds 0.8 % of the square: 31 of 4,000 terminals, at most twice that by luck."""
    pairs = np.unique(table.customer_id * TERMINALS + table.terminal_id)
    used = np.bincount(pairs // TERMINALS, minlength=CUSTOMERS)
    assert used.max() < 63
    assert 15 < used[used > 0].mean() < 32


def test_genuine_transactions_are_small_and_large_ones_are_fraud(table: Transactions) -> None:
    assert table.fraud_scenario is not None
    np.testing.assert_array_equal(table.is_fraud, table.fraud_scenario > 0)
    assert table.amount[~table.is_fraud].max() <= 220
    assert table.amount[table.fraud_scenario == 1].min() > 220


def test_terminals_are_compromised_two_a_day_for_28_days_and_wholly(table: Transactions) -> None:
    day, on = day_of(table), table.fraud_scenario == 2
    compromised = set(zip(table.terminal_id[on].tolist(), day[on].tolist(), strict=True))
    clean = [
        where
        for where, scenario in zip(
            zip(table.terminal_id.tolist(), day.tolist(), strict=True), table.fraud_scenario, strict=True
        )
        if scenario in (0, 1) and where in compromised
    ]
    assert clean == []
    per_day = np.bincount([when for _, when in compromised], minlength=DAYS)
    assert np.all(per_day <= 2 * np.minimum(np.arange(DAYS) + 1, 28))
    # A terminal sees about 1 transaction a day; e^-1 of the 56 compromised at any time see none.
    assert per_day[28:].mean() == pytest.approx(56 * (1 - np.exp(-len(table) / DAYS / TERMINALS)), rel=0.2)


def test_three_customers_a_day_lose_a_third_of_their_transactions_at_five_times(table: Transactions) -> None:
    day, stolen = day_of(table), table.fraud_scenario == 3
    assert len(np.unique(table.customer_id[stolen & (day == 0)])) <= 3
    victims = np.unique(table.customer_id[stolen])
    assert 0.5 * 3 * DAYS < len(victims) <= 3 * DAYS
    # 3 customers a day for 14 days, a third of 1.94 transactions a day each, less overlap and rounding down.
    expected = 3 * 14 * 1.94 / 3
    assert np.bincount(day[stolen], minlength=DAYS)[14:].mean() == pytest.approx(expected, rel=0.25)
    ratios = [
        table.amount[stolen & (table.customer_id == victim)].mean()
        / table.amount[~stolen & (table.customer_id == victim)].mean()
        for victim in victims
    ]
    assert np.median(ratios) == pytest.approx(5, rel=0.1)


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    simulate(customers=100, terminals=200, days=5, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 5


@pytest.mark.parametrize("size", [{"customers": 0}, {"terminals": -1}, {"days": 0}])
def test_a_size_below_one_is_refused(size: dict[str, int]) -> None:
    with pytest.raises(UserError, match="simulate at least 1"):
        simulate(**({"customers": 10, "terminals": 10, "days": 2} | size))


def test_a_square_without_neighbours_is_refused() -> None:
    with pytest.raises(UserError, match="no transactions came about"):
        simulate(customers=1, terminals=1, days=1, seed=0)
