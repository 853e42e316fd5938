"""The online features against the batch's: the same bits, one transaction at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.model.features import formulas, state_formulas
from shared.model.features.batch import compute_features
from shared.model.features.definition import FEATURE_NAMES
from shared.model.features.state import FeatureState, Transaction
from shared.model.features.transactions import Transactions
from shared.replay.stream import transactions_of
from shared.training.simulator import simulate
from tests.unit.test_features import DAY, HOUR, Row, quick, tables, to_table

START = datetime(2018, 4, 1, 12)
WEEK = 7 * DAY
HALVES = (lambda number: number >> 64, lambda number: number & (2**64 - 1))


def transaction_of(row: Row) -> Transaction:
    names = ("transaction_id", "timestamp", "customer_id", "terminal_id", "amount")
    return Transaction(*(row[name] for name in names))


def one(number: int, days: float = 0, **changes: Any) -> Transaction:
    values = {"customer_id": 1, "terminal_id": 1, "amount": 10.0, "timestamp": START + days * DAY}
    return Transaction(transaction_id=number, **(values | changes))


def feed(
    state: FeatureState, transactions: Sequence[Transaction], is_fraud: Sequence[bool], labelled: int = 0
) -> NDArray[np.float32]:
    """Rows of all transactions, each label fed a week after its transaction. Shape (n, 42)."""
    rows = []
    for transaction in transactions:
        while labelled < len(transactions) and transactions[labelled].timestamp <= transaction.timestamp - WEEK:
            state.label(transactions[labelled], is_fraud[labelled])
            labelled += 1
        rows.append(state.update(transaction))
    return np.array(rows)


def value(row: NDArray[np.float32], name: str) -> float:
    return float(row[FEATURE_NAMES.index(name)])


def assert_same_bits(online: NDArray[np.float32], batch: NDArray[np.float32]) -> None:
    differing = np.argwhere(online.view(np.uint32) != batch.view(np.uint32))
    shown = [f"row {r}: {FEATURE_NAMES[c]} {online[r, c]!r} {batch[r, c]!r}" for r, c in differing[:5]]
    assert shown == []


@quick
@given(tables(), st.booleans())
def test_every_row_has_the_bits_of_the_batch(rows: list[Row], text_ids: bool) -> None:
    if text_ids:
        rows = [row | {name: str(row[name]) for name in row if name.endswith("_id")} for row in rows]
    online = feed(FeatureState(), [transaction_of(row) for row in rows], [row["is_fraud"] for row in rows])
    assert online.dtype == np.float32
    assert_same_bits(online, compute_features(to_table(rows)))


@pytest.fixture(scope="module")
def month() -> Transactions:
    """37 days of history and a month more."""
    return simulate(customers=60, terminals=120, days=68, seed=8)


def test_a_month_has_the_bits_of_the_batch_and_only_the_windows_are_kept(month: Transactions) -> None:
    state = FeatureState()
    online = feed(state, list(transactions_of(month)), month.is_fraud.tolist())
    assert_same_bits(online, compute_features(month))
    assert online[:, FEATURE_NAMES.index("terminal_fraud_count_30d")].max() > 3
    most = {"customer_id": 31, "terminal_id": 38}
    for name, kept in (("customer_id", state.customers), ("terminal_id", state.terminals)):
        recent = month.timestamp > month.timestamp[-1] - np.timedelta64(most[name], "D")
        in_reach = int(recent.sum())
        rows = sum(len(windows.times) for windows in kept.values())
        assert rows < 2 * in_reach + 33 * len(kept)


@quick
@given(tables(), st.randoms())
def test_only_the_order_within_a_customer_and_a_terminal_matters(rows: list[Row], random: Any) -> None:
    """Two streams that share no customer and no terminal, interleaved in any way that runs neither too far ahead."""
    twins = [row | {"transaction_id": -1 - row["transaction_id"], "customer_id": 99, "terminal_id": 99} for row in rows]
    state, batch = FeatureState(), compute_features(to_table(rows + twins))
    ordered = sorted(rows + twins, key=lambda row: row["timestamp"])
    expected = {row["transaction_id"]: features for row, features in zip(ordered, batch, strict=True)}
    for row, twin in zip(rows, twins, strict=True):
        for each in random.sample([row, twin], 2):
            for earlier in rows + twins:
                if earlier["timestamp"] <= each["timestamp"] - WEEK:
                    state.label(transaction_of(earlier), earlier["is_fraud"])
            online = state.update(transaction_of(each))
            assert_same_bits(online[np.newaxis], expected[each["transaction_id"]][np.newaxis])


@quick
@given(tables(), st.data())
def test_a_late_transaction_sees_what_was_earlier_and_later_ones_see_it(rows: list[Row], data: st.DataObject) -> None:
    arrivals = []
    for row in rows:
        delay = data.draw(st.sampled_from([0 * HOUR, HOUR, 12 * HOUR, DAY - HOUR, DAY]))
        arrivals.append((row["timestamp"] + delay, row))
    arrived: list[Row] = []
    state = FeatureState()
    for _, row in sorted(arrivals, key=lambda arrival: arrival[0]):
        for earlier in arrived:
            state.label(transaction_of(earlier), earlier["is_fraud"])
        online = state.update(transaction_of(row))
        arrived.append(row)
        order = sorted(arrived, key=lambda row: row["timestamp"])
        batch = compute_features(to_table(arrived))[[one is row for one in order].index(True)]
        assert_same_bits(online[np.newaxis], batch[np.newaxis])


def test_too_late_is_refused_and_changes_nothing() -> None:
    state, untouched = FeatureState(), FeatureState()
    for number in range(50):
        for each in (state, untouched):
            each.update(one(number, days=number))
    for name, changes in (("customer", {"terminal_id": 2}), ("terminal", {"customer_id": 2})):
        late = one(100, days=47.9, **changes)
        with pytest.raises(UserError, match=f"transaction 100 .* more than a day after a later one of {name} 1"):
            state.update(late)
    assert state.updates == 50
    assert set(state.customers) == set(state.terminals) == {1}
    last = one(101, days=49)
    assert state.update(last).tobytes() == untouched.update(last).tobytes()


def test_the_idle_are_reduced_to_the_time_of_their_last_transaction() -> None:
    state = FeatureState()
    for number in range(100):
        state.update(one(number, days=number / 100, customer_id=f"c{number}", terminal_id=f"t{number}"))
    for number in range(100):
        state.update(one(1_000 + number, days=60 + number / 100))
    assert set(state.customers) == set(state.terminals) == {1}
    assert len(state.idle_customers) == len(state.idle_terminals) == 100
    back = state.update(one(2_000, days=61, customer_id="c50", terminal_id="t50"))
    assert value(back, "customer_seconds_since_previous") == pytest.approx(60.5 * 86_400)
    assert value(back, "terminal_seconds_since_previous") == pytest.approx(60.5 * 86_400)
    assert value(back, "customer_tx_count_30d") == 1
    assert "c50" not in state.idle_customers
    # Its first windows are gone, so what would need them is refused, not answered wrongly.
    with pytest.raises(UserError, match="customer c51"):
        state.update(one(2_001, days=20, customer_id="c51"))


def test_a_clock_that_jumps_is_believed_or_refused_as_asked() -> None:
    believing, careful = FeatureState(), FeatureState(max_jump=timedelta(days=2))
    for state in (believing, careful):
        state.update(one(1))
        state.update(one(2, days=2))
    jumped = one(3, days=4.1)
    assert value(believing.update(jumped), "customer_tx_count_1d") == 1
    with pytest.raises(UserError, match="2 days, 2:24:00 ahead of the newest one, and 2 days, 0:00:00 is allowed"):
        careful.update(jumped)
    assert value(careful.update(one(4, days=2.5)), "customer_tx_count_1d") == 2


def test_unknown_customers_and_terminals_begin_without_history() -> None:
    row = FeatureState().update(one(1))
    null = {name for name, number in zip(FEATURE_NAMES, row, strict=True) if math.isnan(number)}
    since = {"customer_seconds_since_previous", "terminal_seconds_since_previous"}
    assert null == since | {f"terminal_{what}_{w}d" for what in ("amount_mean", "fraud_rate") for w in (1, 7, 30)}
    assert value(row, "customer_new_terminal_30d") == value(row, "customer_tx_count_30d") == 1


def frauds(state: FeatureState, number: int, days: float) -> float:
    return value(state.update(one(number, days=days)), "terminal_fraud_count_30d")


def test_labels_count_from_when_they_arrive_once_and_can_be_corrected() -> None:
    state = FeatureState()
    first = one(1)
    state.update(first)
    assert frauds(state, 2, days=7.5) == 0  # not labelled yet: genuine
    assert state.label(first, True)
    assert frauds(state, 3, days=7.6) == 1
    assert state.label(first, True)
    assert frauds(state, 4, days=7.7) == 1
    assert state.label(first, False)
    assert frauds(state, 5, days=7.8) == 0
    assert state.label(first, False)
    assert state.label(first, True)
    assert frauds(state, 6, days=36.9) == 1
    assert frauds(state, 7, days=37) == 0


def test_labels_of_what_is_not_kept_are_told_and_ignored() -> None:
    state = FeatureState()
    assert not state.label(one(1), True)
    state.update(one(1))
    assert not state.label(one(2, days=1), True)
    assert not state.label(one(1, terminal_id=9), True)
    assert state.label(one(1), True)
    assert not state.label(one(2), True)  # one transaction of that time, and it is known
    for number in range(100):
        state.update(one(10 + number, days=50 + number))
    assert not state.label(one(1), True)
    assert state.terminals[1].frauds == {}
    assert state.terminals[1].fraud_times == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": math.nan}, "amount is nan in transaction 1; amounts must be numbers from 0 to 1000000000"),
        ({"amount": -0.01}, "amount is -0.01"),
        ({"amount": 1.1e9}, "amount is 1100000000.0"),
        ({"amount": "12"}, "amount is '12'"),
        ({"customer_id": 1.5}, "customer_id is 1.5; ids must be integers or text"),
        ({"terminal_id": None}, "terminal_id is None"),
        ({"transaction_id": True}, "transaction_id is True"),
        ({"timestamp": "2018-04-01"}, "timestamp is '2018-04-01' in transaction 1; give a datetime"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    values = {"transaction_id": 1, "customer_id": 1, "terminal_id": 1, "amount": 10.0, "timestamp": START}
    state = FeatureState()
    with pytest.raises(UserError, match=message):
        state.update(Transaction(**(values | change)))
    assert (state.updates, len(state.customers), len(state.terminals)) == (0, 0, 0)


def test_times_with_a_zone_are_taken_in_utc() -> None:
    zoned = START.replace(tzinfo=UTC).astimezone(tz=None)
    assert FeatureState().update(one(1, timestamp=zoned)).tobytes() == FeatureState().update(one(1)).tobytes()


def test_the_formulas_have_the_bits_of_the_batchs() -> None:
    rng = np.random.default_rng(3)
    n = 3_000
    units = rng.integers(0, 10 ** rng.integers(1, 16, n)).astype(np.uint64)
    amount = units / 10**6
    count = rng.integers(1, 1_000, n)
    total = count.astype(np.uint64) * units + rng.integers(0, 1_000, n).astype(np.uint64)
    # At least the square of the sum over the count, as sums of squares are, and a little or a lot more.
    more = rng.integers(0, 10 ** rng.integers(1, 15, n)).tolist()
    squares = [t * t // c + 1 + m for c, t, m in zip(count.tolist(), total.tolist(), more, strict=True)]
    high, low = (np.array([half(number) for number in squares], dtype=np.uint64) for half in HALVES)
    spread = formulas.spread(count, total, (high, low))
    time = rng.integers(-(10**16), 10**16, n)
    own = np.column_stack([amount, *formulas.amount_features(amount), *formulas.calendar_features(time)])
    for i in range(n):
        assert state_formulas.own_features(int(time[i]), float(amount[i])) == own[i].tolist()
        assert state_formulas.spread(int(count[i]), int(total[i]), squares[i]) == spread[i]
        assert state_formulas.mean(int(count[i]), int(total[i])) == formulas.mean(count[i : i + 1], total[i : i + 1])[0]
        online = state_formulas.zscore(int(units[i]), int(count[i]), int(total[i]), float(spread[i]))
        assert online == formulas.zscore(units[i : i + 1], count[i : i + 1], total[i : i + 1], spread[i : i + 1])[0]


def test_microseconds_are_those_of_numpy() -> None:
    times = [datetime(1, 1, 1), datetime(1969, 12, 31, 23, 59, 59, 999_999), START, datetime(9999, 12, 31, 23, 59)]
    expected = np.array(times, dtype="datetime64[us]").astype(np.int64).tolist()
    assert [state_formulas.microseconds(time) for time in times] == expected
    assert all(a < b for a, b in pairwise(expected))
