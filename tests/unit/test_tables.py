"""Reading tables of transactions: both formats give the same table, each bad one gives one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from shared.contract.errors import UserError
from shared.model.features.definition import FEATURE_NAMES
from shared.model.features.transactions import Transactions
from shared.training.tables import read_transactions, write_features, write_transactions

GOOD: dict[str, list[Any]] = {
    "transaction_id": [3, 1, 2],
    "timestamp": ["2018-04-01 00:00:31", "2018-04-01 00:00:31", "2018-04-02 23:59:59.250000"],
    "customer_id": [10, 10, 11],
    "terminal_id": [5, 6, 5],
    "amount": [12.34, 5.0, 0.0],
    "is_fraud": [0, 1, 0],
}


def arrow(columns: dict[str, Any]) -> pa.Table:
    columns = dict(columns)
    if "timestamp" in columns and isinstance(columns["timestamp"], list):
        columns["timestamp"] = np.array(columns["timestamp"], dtype="datetime64[us]")
    return pa.table(columns)


@pytest.fixture(params=["parquet", "csv"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes columns as a table of either format."""
    path = tmp_path / f"transactions.{request.param}"

    def write_table(columns: dict[str, Any]) -> Path:
        table = arrow(columns)
        if request.param == "csv":
            pa_csv.write_csv(table, path)
        else:
            pq.write_table(table, path)
        return path

    return write_table


def assert_same_table(one: Transactions, other: Transactions) -> None:
    assert one.columns().keys() == other.columns().keys()
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, other.columns()[name])
        assert column.dtype == other.columns()[name].dtype


def test_a_table_is_read_in_order_of_time_then_as_it_stands(write: Callable[[dict[str, Any]], Path]) -> None:
    table = read_transactions(write(GOOD))
    assert table.transaction_id.tolist() == [3, 1, 2]
    assert table.terminal_id.tolist() == [5, 6, 5]
    assert table.amount.tolist() == [12.34, 5.0, 0.0]
    assert table.is_fraud.tolist() == [False, True, False]
    assert table.timestamp[2] == np.datetime64("2018-04-02T23:59:59.250000")
    assert table.fraud_scenario is None


@pytest.mark.parametrize("extension", ["parquet", "csv"])
@pytest.mark.parametrize("more", [{}, {"fraud_scenario": np.array([0, 1, 0])}])
@pytest.mark.parametrize(
    "ids", [[7, 8, -9], [2**63 - 1, 0, -(2**63)], [2**64 - 1, 2**63, 2**64 - 2], ["a", "007", "7"]]
)
def test_what_is_written_is_read_back(tmp_path: Path, extension: str, more: dict[str, Any], ids: list[Any]) -> None:
    columns = {name: np.array(values) for name, values in GOOD.items()} | more
    columns |= {"timestamp": columns["timestamp"].astype("datetime64[us]"), "customer_id": np.array(ids)}
    table = Transactions.from_columns(**columns)
    write_transactions(tmp_path / f"t.{extension}", table)
    assert_same_table(read_transactions(tmp_path / f"t.{extension}"), table)
    assert [path.name for path in tmp_path.iterdir()] == [f"t.{extension}"]


@pytest.mark.parametrize(
    "change",
    [
        {"is_fraud": [False, True, False]},
        {"is_fraud": [0.0, 1.0, 0.0]},
        {"amount": pa.array([12.34, 5.0, 0.0]).cast(pa.decimal128(10, 2))},
        {"extra": ["x", "y", None]},
        {"timestamp": pa.array(GOOD["timestamp"]).cast(pa.timestamp("ns"))},
        {"timestamp": pa.array(GOOD["timestamp"]).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))},
    ],
)
def test_other_spellings_of_a_table_are_the_same(
    write: Callable[[dict[str, Any]], Path], change: dict[str, Any]
) -> None:
    expected = read_transactions(write(GOOD))
    assert_same_table(read_transactions(write(GOOD | change)), expected)


def test_categories_are_text_and_other_time_zones_are_told_in_utc(tmp_path: Path) -> None:
    zoned = pa.array(["2018-04-01 02:00", "2018-04-01 03:00", "2018-04-01 04:00"]).cast(pa.timestamp("us"))
    zoned = pa.compute.assume_timezone(zoned, "Europe/Brussels")
    categories = pa.array(["x", "y", "x"]).dictionary_encode()
    pq.write_table(arrow(GOOD | {"timestamp": zoned, "customer_id": categories}), tmp_path / "t.parquet")
    table = read_transactions(tmp_path / "t.parquet")
    assert table.timestamp[0] == np.datetime64("2018-04-01T00:00")
    assert table.customer_id.tolist() == ["x", "y", "x"]


def without(name: str) -> dict[str, Any]:
    return {other: values for other, values in GOOD.items() if other != name}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (without("amount"), "missing amount; a table of transactions has the columns transaction_id, timest"),
        ({"a": [1]}, "missing transaction_id, timestamp, .*; this one has a$"),
        ({name: pa.array([], pa.int64()) for name in GOOD}, "no rows"),
        (GOOD | {"amount": [1.0, None, 2.0]}, "amount has no value in row 2"),
        (GOOD | {"amount": [1.0, float("inf"), 2.0]}, "amount is inf in row 2"),
        (GOOD | {"amount": [1.0, 2.0, -3.0]}, "amount is -3.0 in row 3"),
        (GOOD | {"amount": [1.0, 2.0, 1e10]}, "amount is 10000000000.0 in row 3"),
        (GOOD | {"is_fraud": [0, 1, 2]}, "is_fraud is 2 in row 3; it must be 0 or 1"),
        (GOOD | {"transaction_id": [4, 5, 4]}, "transaction_id 4 is used more than once"),
        (GOOD | {"timestamp": GOOD["timestamp"][::-1]}, "goes backwards from row 1 .* to row 2 .*; sort the"),
    ],
)
def test_a_bad_table_gets_one_clear_error(
    write: Callable[[dict[str, Any]], Path], columns: dict[str, Any], message: str
) -> None:
    path = write(columns)
    with pytest.raises(UserError, match=message) as caught:
        read_transactions(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": ["12.34", "5", "0"]}, "amount holds string; it must hold numbers"),
        ({"is_fraud": ["no", "yes", "no"]}, "is_fraud holds string; it must hold 0 or 1"),
        ({"customer_id": [1.0, 2.0, 3.0]}, "customer_id holds double; it must hold integers or text"),
        ({"timestamp": np.array([1, 2, 3])}, "timestamp holds int64; it must hold times"),
    ],
)
def test_a_parquet_column_of_a_wrong_type_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    pq.write_table(arrow(GOOD | change), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=message):
        read_transactions(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("amount", "12,50 EUR", "amount is '12,50 EUR' in row {row}; it must hold numbers"),
        ("is_fraud", "maybe", "is_fraud is 'maybe' in row {row}; it must hold 0 or 1"),
        (
            "timestamp",
            "01/04/2018",
            "timestamp is '01/04/2018' in row {row}; it must hold times, in CSV like",
        ),
    ],
)
@pytest.mark.parametrize("row", [1, 2, 50_000])
def test_the_first_bad_value_of_a_csv_column_is_named(
    tmp_path: Path, name: str, bad: str, row: int, message: str
) -> None:
    """Also far into a file, where a type guessed from its beginning would no longer hold."""
    n = 50_000
    columns = {other: [values[0]] * n for other, values in GOOD.items()} | {"transaction_id": list(range(n))}
    columns[name] = [str(value) for value in columns[name]]
    columns[name][row - 1] = bad
    pa_csv.write_csv(pa.table(columns), tmp_path / "t.csv")
    with pytest.raises(UserError, match=message.format(row=row)):
        read_transactions(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.parquet", None, "does not exist"),
        ("t.xlsx", b"PK", "neither .parquet nor .csv"),
        ("t.parquet", b"", "cannot be read as parquet"),
        ("t.parquet", b"PAR1 and then nothing of use PAR1", "cannot be read as parquet"),
        ("t.csv", b"", "the file is empty"),
        ("t.csv", b"\xff\xfe\x00a\x00b", "cannot be read as csv"),
        ("t.csv", ",".join(GOOD).encode() + b"\n1,2\n", "cannot be read as csv: CSV parse error"),
        ("t.csv", ",".join([*GOOD, "amount"]).encode() + b"\n", "more than one column is called amount"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_transactions(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(arrow(GOOD), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read as parquet"):
        read_transactions(path)


def test_features_are_written_with_their_ids_and_nulls(tmp_path: Path) -> None:
    arrays = {name: np.array(values) for name, values in GOOD.items()}
    arrays["timestamp"] = arrays["timestamp"].astype("datetime64[us]")
    table = Transactions.from_columns(**arrays)
    features = np.arange(3 * 42, dtype=np.float32).reshape(3, 42)
    features[1, 5] = np.nan
    write_features(tmp_path / "features.parquet", table, features)
    written = pq.read_table(tmp_path / "features.parquet")
    assert written.column_names == ["transaction_id", *FEATURE_NAMES]
    assert written.column("transaction_id").to_pylist() == [3, 1, 2]
    assert set(written.schema.types[1:]) == {pa.float32()}
    assert written.column(6).to_pylist() == [5.0, None, 89.0]
    assert written.column(1).null_count == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing/f.parquet", "the folder .*missing does not exist"), ("f.txt", "ends neither in .parquet nor in .csv")],
)
def test_an_output_that_cannot_be_written_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, message: str
) -> None:
    table = read_transactions_of_good(tmp_path)
    with pytest.raises(UserError, match=message):
        write_transactions(tmp_path / name, table)
    assert [path.name for path in tmp_path.iterdir()] == ["good.parquet"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    table = read_transactions_of_good(tmp_path)
    before = (tmp_path / "good.parquet").read_bytes()
    with pytest.raises(ValueError, match="length"):
        write_features(tmp_path / "good.parquet", table, np.zeros((2, 42), dtype=np.float32))
    assert (tmp_path / "good.parquet").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def read_transactions_of_good(folder: Path) -> Transactions:
    pq.write_table(arrow(GOOD), folder / "good.parquet")
    return read_transactions(folder / "good.parquet")
