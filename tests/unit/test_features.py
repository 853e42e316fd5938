"""The vectorised features against a slow, obvious version: loops over rows, sums of fractions."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.model.features import formulas
from shared.model.features.batch import compute_features
from shared.model.features.definition import FEATURE_NAMES, FEATURES
from shared.model.features.transactions import Transactions


def over(name: str) -> list[str]:
    return [f"{name}_{days}d" for days in (1, 7, 30)]


NAMES = ["amount", "amount_log1p", "amount_is_whole", "is_weekend", "is_night"]
NAMES += ["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"]
NAMES += over("customer_tx_count") + over("customer_amount_mean") + over("customer_amount_std")
NAMES += over("customer_amount_max") + over("customer_amount_ratio")
NAMES += ["customer_amount_zscore_30d", "customer_seconds_since_previous"]
NAMES += ["customer_tx_count_1h", "customer_amount_sum_1h", "customer_new_terminal_30d"]
NAMES += over("terminal_tx_count") + over("terminal_amount_mean")
NAMES += over("terminal_fraud_count") + over("terminal_fraud_rate")
NAMES += ["terminal_seconds_since_previous"]

COLUMNS = ("transaction_id", "customer_id", "terminal_id", "timestamp", "amount", "is_fraud")

# Without a time limit an example: other work on the machine would make it fail now and then.
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Row = dict[str, Any]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def slow_features(rows: list[Row]) -> NDArray[np.float64]:
    """All features of all rows, from their definitions, one row after another. Shape (n, 42)."""
    rows = sorted(rows, key=lambda row: row["timestamp"])
    return np.array([slow_row(rows[: i + 1]) for i in range(len(rows))]).reshape(-1, len(NAMES))


def slow_row(so_far: list[Row]) -> list[float]:
    now = so_far[-1]
    t, amount = now["timestamp"], now["amount"]
    mine = [row for row in so_far if row["customer_id"] == now["customer_id"]]
    here = [row for row in so_far if row["terminal_id"] == now["terminal_id"]]
    hour = (t - t.replace(hour=0, minute=0, second=0, microsecond=0)) / HOUR
    f: dict[str, float] = {
        "amount": amount,
        "amount_log1p": math.log1p(amount),
        "amount_is_whole": amount == int(amount),
        "is_weekend": t.weekday() >= 5,
        "is_night": t.hour <= 6,
        "hour_sin": math.sin(2 * math.pi * hour / 24),
        "hour_cos": math.cos(2 * math.pi * hour / 24),
        "weekday_sin": math.sin(2 * math.pi * t.weekday() / 7),
        "weekday_cos": math.cos(2 * math.pi * t.weekday() / 7),
    }
    for days in (1, 7, 30):
        amounts = exact_amounts(row for row in mine if row["timestamp"] > t - days * DAY)
        mean = sum(amounts) / len(amounts)
        variance = sum((a - mean) ** 2 for a in amounts) / len(amounts)
        f[f"customer_tx_count_{days}d"] = len(amounts)
        f[f"customer_amount_mean_{days}d"] = float(mean)
        f[f"customer_amount_std_{days}d"] = math.sqrt(variance)
        f[f"customer_amount_max_{days}d"] = float(max(amounts))
        f[f"customer_amount_ratio_{days}d"] = float(Fraction(amount) / mean) if mean else math.nan
        deviation = amounts[-1] - mean
        f[f"customer_amount_zscore_{days}d"] = float(deviation) / math.sqrt(variance) if variance else 0
        newest, oldest = t - 7 * DAY, t - (7 + days) * DAY
        known = [row for row in here if oldest < row["timestamp"] <= newest]
        count, frauds = len(known), sum(row["is_fraud"] for row in known)
        f[f"terminal_tx_count_{days}d"] = count
        f[f"terminal_amount_mean_{days}d"] = float(sum(exact_amounts(known)) / count) if count else math.nan
        f[f"terminal_fraud_count_{days}d"] = frauds
        f[f"terminal_fraud_rate_{days}d"] = frauds / count if count else math.nan
    last_hour = exact_amounts(row for row in mine if row["timestamp"] > t - HOUR)
    f["customer_tx_count_1h"], f["customer_amount_sum_1h"] = len(last_hour), float(sum(last_hour))
    used = {row["terminal_id"] for row in mine[:-1] if row["timestamp"] > t - 30 * DAY}
    f["customer_new_terminal_30d"] = now["terminal_id"] not in used
    f["customer_seconds_since_previous"] = seconds_since_previous(mine)
    f["terminal_seconds_since_previous"] = seconds_since_previous(here)
    return [float(f[name]) for name in NAMES]


def exact_amounts(rows: Any) -> list[Fraction]:
    return [Fraction(f"{row['amount']:.6f}") for row in rows]


def seconds_since_previous(rows: list[Row]) -> float:
    return (rows[-1]["timestamp"] - rows[-2]["timestamp"]).total_seconds() if len(rows) > 1 else math.nan


def to_table(rows: list[Row]) -> Transactions:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "timestamp"}
    times = np.array([row["timestamp"].replace(tzinfo=None) for row in rows], dtype="datetime64[us]")
    return Transactions.from_columns(timestamp=times, **columns)


STARTS = [datetime(2018, 3, 30, 6, 59, 59, 999_999, UTC), datetime(1969, 12, 28, tzinfo=UTC)]
# Steps that add up to the edges of the windows, a microsecond short of them, and beyond all of them.
MICROSECOND = timedelta(microseconds=1)
STEPS = [0 * HOUR, MICROSECOND, timedelta(seconds=1), HOUR - MICROSECOND, HOUR, 7 * HOUR, DAY - MICROSECOND]
STEPS += [DAY, 6 * DAY, 7 * DAY, 23 * DAY, 29 * DAY + 23 * HOUR, 30 * DAY, 400 * DAY]
AMOUNTS = st.one_of(
    st.sampled_from([0.0, 0.01, 1.0, 100.0, 999_999_999.99, 1e9]),
    st.integers(0, 50_000).map(lambda cents: cents / 100),
    st.integers(0, 10**12).map(lambda units: units / 10**6),
)


@st.composite
def tables(draw: st.DrawFn, text_ids: bool = False) -> list[Row]:
    n = draw(st.integers(1, 12))
    time = draw(st.sampled_from(STARTS))
    rows = []
    for transaction in draw(st.permutations(range(n))):
        time += draw(st.sampled_from(STEPS))
        ids = (transaction, draw(st.integers(-1, 1)), draw(st.integers(7, 9)))
        names = [f"id {number}" if text_ids else number for number in ids]
        amount, is_fraud = draw(AMOUNTS), draw(st.booleans())
        rows.append(dict(zip(COLUMNS, [*names, time, amount, is_fraud], strict=True)))
    return rows


def assert_same(features: NDArray[np.float32], expected: NDArray[np.float64]) -> None:
    """Equal but for the last bit of float32, and for rounding near the zeros of sine and cosine."""
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    for column, name in enumerate(NAMES):
        near_zero = 5e-15 if name.endswith(("_sin", "_cos")) else 0
        np.testing.assert_allclose(features[:, column], expected[:, column], rtol=1.3e-7, atol=near_zero, err_msg=name)


def test_the_names_are_the_published_order() -> None:
    assert list(FEATURE_NAMES) == NAMES


@quick
@given(tables())
def test_features_are_those_of_the_definitions(rows: list[Row]) -> None:
    assert_same(compute_features(to_table(rows)), slow_features(rows))


@quick
@given(tables(text_ids=True))
def test_text_ids_do_as_well(rows: list[Row]) -> None:
    assert_same(compute_features(to_table(rows)), slow_features(rows))


@quick
@given(tables(), st.randoms())
def test_the_order_of_the_rows_given_does_not_matter_but_within_a_timestamp(rows: list[Row], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    rows = sorted(shuffled, key=lambda row: row["timestamp"])
    np.testing.assert_array_equal(compute_features(to_table(shuffled)), compute_features(to_table(rows)))


@quick
@given(tables(), st.data())
def test_no_row_looks_ahead(rows: list[Row], data: st.DataObject) -> None:
    """Later rows and labels younger than a week change no bit of a row."""
    table = to_table(rows)
    cut = data.draw(st.integers(1, len(rows)))
    prefix = table.select(slice(cut))
    unknown = prefix.timestamp > prefix.timestamp[-1] - np.timedelta64(7, "D")
    relabelled = Transactions(**(prefix.columns() | {"is_fraud": prefix.is_fraud ^ unknown}))
    full = compute_features(table)
    np.testing.assert_array_equal(compute_features(prefix), full[:cut])
    np.testing.assert_array_equal(compute_features(relabelled)[-1], full[cut - 1])


@quick
@given(tables())
def test_only_nullable_features_are_null(rows: list[Row]) -> None:
    null = np.isnan(compute_features(to_table(rows))).any(axis=0)
    assert not any(null[column] for column, feature in enumerate(FEATURES) if not feature.nullable)


def test_long_windows_keep_exact_deviations_of_large_amounts() -> None:
    """A thousand amounts near 1e9 that differ by millionths: doubles would cancel to nothing."""
    units = 10**15 - np.arange(1_000) % 7
    rows = [
        {"transaction_id": i, "customer_id": 1, "terminal_id": 1, "amount": unit / 10**6, "is_fraud": False}
        | {"timestamp": STARTS[0] + i * timedelta(minutes=1)}
        for i, unit in enumerate(units.tolist())
    ]
    features = compute_features(to_table(rows))
    column = NAMES.index("customer_amount_std_30d")
    np.testing.assert_allclose(features[-1, column], (10**15 - units).std() / 10**6, rtol=1e-7)
    assert features[-1, NAMES.index("customer_amount_max_30d")] == np.float32(1e9)


def test_an_empty_table_has_no_features() -> None:
    table = Transactions.from_columns(**dict.fromkeys(COLUMNS, np.array([1])))
    assert compute_features(table.select(slice(0))).shape == (0, 42)


@pytest.mark.parametrize(("customers", "n"), [(1, 4_612), (9_300, 9_300)])
def test_amounts_that_cannot_be_summed_exactly_are_refused(customers: int, n: int) -> None:
    def table(amount: float) -> Transactions:
        number = np.arange(n)
        times = np.full(n, "2018-04-01", dtype="datetime64[us]")
        ids = {"transaction_id": number, "customer_id": number % customers, "terminal_id": number * 0}
        return Transactions.from_columns(timestamp=times, amount=np.full(n, amount), is_fraud=number < 0, **ids)

    total = compute_features(table(9e8))[-1, NAMES.index("customer_amount_sum_1h")]
    assert total == np.float32(9e8 * n / customers)
    with pytest.raises(UserError, match="larger unit of money"):
        compute_features(table(1e9))


def each_alone(function: Any, *columns: NDArray[Any]) -> list[NDArray[Any]]:
    """The function's results computed one element at a time, put together again."""
    single = [as_tuple(function(*(c[i : i + 1] for c in columns))) for i in range(len(columns[0]))]
    return [np.concatenate(result) for result in zip(*single, strict=True)]


def as_tuple(result: Any) -> tuple[NDArray[Any], ...]:
    return result if isinstance(result, tuple) else (result,)


def test_formulas_give_an_element_the_same_bits_alone_and_in_an_array() -> None:
    rng = np.random.default_rng(1)
    n = 3_001
    units = rng.integers(0, 10 ** rng.integers(1, 16, n)).astype(np.uint64)
    amount = units / 10**6
    count = rng.integers(1, 1_000, n)
    total = count.astype(np.uint64) * units + rng.integers(0, 1_000, n).astype(np.uint64)
    squares = formulas.multiply(total, total)
    spread = formulas.spread(count, total, squares)
    mean = formulas.mean(count, total)
    microseconds = rng.integers(-(10**16), 10**16, n)
    for function, columns in [
        (formulas.to_units, (amount,)),
        (formulas.amount_features, (amount,)),
        (formulas.calendar_features, (microseconds,)),
        (formulas.seconds, (microseconds,)),
        (formulas.amount_sum, (total,)),
        (formulas.mean, (count, total)),
        (formulas.ratio, (amount, mean)),
        (lambda c, t, high, low: formulas.spread(c, t, (high, low)), (count, total, *squares)),
        (formulas.std, (count, spread)),
        (formulas.zscore, (units, count, total, spread)),
    ]:
        together = as_tuple(function(*columns))
        for one, alone in zip(together, each_alone(function, *columns), strict=True):
            assert one.tobytes() == alone.tobytes()


@quick
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_wide_products_are_exact(a: int, b: int) -> None:
    high, low = formulas.multiply(np.array([a], dtype=np.uint64), np.array([b], dtype=np.uint64))
    assert (int(high[0]) << 64) + int(low[0]) == a * b


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": [1.0, math.nan]}, "amount is nan in row 2"),
        ({"amount": [-0.01, 1.0]}, "amount is -0.01 in row 1"),
        ({"amount": [1.0, 1.1e9]}, "from 0 to 1000000000"),
        ({"amount": [1.0]}, "different lengths"),
        ({"transaction_id": [5, 5]}, "transaction_id 5 is used more than once"),
        ({"customer_id": [1.5, 2.5]}, "customer_id holds float64"),
        ({"terminal_id": [None, "a"]}, "terminal_id holds object"),
        ({"timestamp": ["2018-04-01", "NaT"]}, "timestamp is missing in row 2"),
    ],
)
def test_columns_that_make_no_table_are_refused(change: dict[str, list[Any]], message: str) -> None:
    columns: dict[str, list[Any]] = {
        "transaction_id": [1, 2],
        "timestamp": ["2018-04-01", "2018-04-02"],
        "customer_id": [1, 1],
        "terminal_id": ["a", "b"],
        "amount": [1.0, 2.0],
        "is_fraud": [0, 1],
    }
    arrays = {name: np.array(values) for name, values in (columns | change).items()}
    arrays["timestamp"] = arrays["timestamp"].astype("datetime64[us]")
    with pytest.raises(UserError, match=message):
        Transactions.from_columns(**arrays)
