"""Tables of transactions and of features as files: read with one clear error, written whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.model.features.definition import FEATURE_NAMES
from shared.model.features.transactions import Transactions

COLUMNS = {
    "transaction_id": "integers or text",
    "timestamp": "times, in CSV like 2018-04-01 12:34:56",
    "customer_id": "integers or text",
    "terminal_id": "integers or text",
    "amount": "numbers",
    "is_fraud": "0 or 1",
}
"""The columns a table must have, each with what it holds; a table may have others, which are ignored."""


def read_transactions(path: Path) -> Transactions:
    """Read a .parquet or .csv table that has the `COLUMNS`, its rows in the order of their timestamps.

    Times with a time zone are taken in UTC, times without one as they stand. Rows of one timestamp may come
    in any order. In CSV, ids that are all plain integers are integers, otherwise text. A `fraud_scenario`
    column of small integers is kept.

    Raises:
        UserError: the file is missing, unreadable, empty or of another kind; a column is missing or of a
            wrong type; a value is missing or out of range; time goes backwards; a transaction id is used
            twice. Rows are counted from 1, without the header.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; give a table of transactions as .parquet or .csv")
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} is neither .parquet nor .csv; give a table of transactions in one of the two")
    try:
        table = reader(path)
        if table.num_rows == 0:
            raise UserError("the table has no rows; give one with transactions")
        return Transactions.from_columns(**_columns(table))
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read as {path.suffix.lower()[1:]}: {reason}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write_transactions(path: Path, transactions: Transactions) -> None:
    """Write the table as .parquet or .csv; `read_transactions` reads it back.

    Raises:
        UserError: the path has another extension or cannot be written.
    """
    table = pa.table(transactions.columns() | {"is_fraud": transactions.is_fraud.astype(np.int8)})
    if path.suffix.lower() == ".csv":
        with _atomic(path) as partial:
            pa.csv.write_csv(table, partial)
    elif path.suffix.lower() == ".parquet":
        _write_parquet(path, table)
    else:
        raise UserError(f"{path} ends neither in .parquet nor in .csv; give an output file that does")


def write_features(path: Path, transactions: Transactions, features: NDArray[np.float32]) -> None:
    """Write `transaction_id` and the 42 features, shape (n, 42), as .parquet; NaN becomes null.

    Raises:
        UserError: the path has another extension or cannot be written.
    """
    columns = {"transaction_id": pa.array(transactions.transaction_id)}
    for index, name in enumerate(FEATURE_NAMES):
        columns[name] = pa.array(features[:, index], from_pandas=True)
    _write_parquet(path, pa.table(columns))


def _write_parquet(path: Path, table: pa.Table) -> None:
    if path.suffix.lower() != ".parquet":
        raise UserError(f"{path} does not end in .parquet; give an output file that does")
    with _atomic(path) as partial:
        pa.parquet.write_table(table, partial)


@contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes `path`'s place if the block succeeds, else it goes."""
    if not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: the folder {path.parent} does not exist")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _read_parquet(path: Path) -> pa.Table:
    with pa.parquet.ParquetFile(path) as file:
        return file.read(columns=_wanted(file.schema_arrow.names))


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    if not header:
        raise UserError("the file is empty; give a table with a header and transactions")
    wanted = _wanted(header)
    # Read as text first: a type guessed from the beginning of a file may not hold for the rest of it.
    options = pa.csv.ConvertOptions(
        include_columns=wanted,
        column_types=dict.fromkeys(wanted, pa.string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    table = pa.csv.read_csv(path, convert_options=options)
    return pa.table({name: _parse(name, table.column(name)) for name in wanted})


def _wanted(names: list[str]) -> list[str]:
    """The columns to read from a table that has columns of these names."""
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UserError(
            f"missing {', '.join(missing)}; a table of transactions has the columns {', '.join(COLUMNS)}; "
            f"this one has {', '.join(names) or 'none'}"
        )
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise UserError(f"more than one column is called {twice[0]}; keep one")
    return [*COLUMNS, *(["fraud_scenario"] if names.count("fraud_scenario") == 1 else [])]


def _parse(name: str, text: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of a CSV file as the first of its types that fits all of its text."""
    kinds = {
        "timestamp": [pa.timestamp(unit, zone) for unit in ("us", "ns") for zone in (None, "UTC")],
        "is_fraud": [pa.bool_(), pa.float64()],
        "amount": [pa.float64()],
        "fraud_scenario": [pa.int8(), pa.string()],
    }.get(name, [pa.string()])
    # Ids are numbers only without leading zeros: 7 and 007 are two.
    if name.endswith("_id") and pc.all(pc.match_substring_regex(text, "^(0|-?[1-9][0-9]*)$")).as_py():
        kinds = [pa.int64(), pa.uint64(), pa.string()]
    for kind in kinds:
        if _fits(text, kind):
            return text.cast(kind)
    # The longest beginning that fits any of the types, found by bisection, ends before the first bad value.
    good, bad = 0, len(text)
    while bad - good > 1:
        middle = (good + bad) // 2
        if any(_fits(text[:middle], kind) for kind in kinds):
            good = middle
        else:
            bad = middle
    raise UserError(f"{name} is {text[good].as_py()!r} in row {good + 1}; it must hold {COLUMNS[name]}")


def _fits(text: pa.ChunkedArray, kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The table's columns as arrays, each checked for its type and its values."""
    for name in COLUMNS:
        if table.column(name).null_count:
            row = pc.index(table.column(name).is_null(), True).as_py() + 1
            raise UserError(f"{name} has no value in row {row}; fill in the value or drop the row")
    columns = {name: _ids(name, table.column(name)) for name in COLUMNS if name.endswith("_id")}
    columns["timestamp"] = _timestamps(table.column("timestamp"))
    columns["amount"] = _numbers("amount", table.column("amount"))
    columns["is_fraud"] = _labels(table.column("is_fraud"))
    if "fraud_scenario" in table.column_names and pa.types.is_integer(table.column("fraud_scenario").type):
        columns["fraud_scenario"] = table.column("fraud_scenario").fill_null(0).to_numpy()
    return columns


def _ids(name: str, column: pa.ChunkedArray) -> NDArray[Any]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise _wrong_type(name, kind)
    return np.asarray(column.cast(kind).to_numpy())


def _timestamps(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise _wrong_type("timestamp", column.type)
    times: NDArray[np.datetime64] = column.cast(pa.timestamp("us"), safe=False).to_numpy()
    backwards = np.flatnonzero(times[1:] < times[:-1])
    if len(backwards):
        row = int(backwards[0]) + 1
        raise UserError(
            f"time goes backwards from row {row} ({times[row - 1]}) to row {row + 1} ({times[row]}); "
            "sort the table by timestamp"
        )
    return times


def _numbers(name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)
    if not any(kind(column.type) for kind in kinds):
        raise _wrong_type(name, column.type)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())


def _labels(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    if pa.types.is_boolean(column.type):
        return np.asarray(column.to_numpy())
    labels = _numbers("is_fraud", column)
    neither = np.flatnonzero((labels != 0) & (labels != 1))
    if len(neither):
        row = int(neither[0])
        raise UserError(f"is_fraud is {labels[row]:g} in row {row + 1}; it must be 0 or 1")
    return labels.astype(np.bool_)


def _wrong_type(name: str, kind: pa.DataType) -> UserError:
    return UserError(f"{name} holds {kind}; it must hold {COLUMNS[name]}")
