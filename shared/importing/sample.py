"""Rows of the user's own, for golden rows and observed ranges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.contract.errors import UserError
from shared.model.predictor import Rows


def read_sample(path: Path, names: Sequence[str]) -> Rows:
    """Shape (n, features) of a CSV or Parquet table with a column for each feature; others are ignored.

    Raises:
        UserError: the file cannot be read, is empty, lacks a column, or has one that is not numbers.
    """
    table = _read_table(path)
    lacking = [name for name in names if name not in table.column_names]
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise UserError(f"{path} lacks the columns {', '.join(lacking[:5])}{more}: give a column for each feature")
    repeated = [name for name in names if table.column_names.count(name) > 1]
    if repeated:
        raise UserError(f"{path} has more than one column named {', '.join(repeated[:5])}: remove or rename them")
    if table.num_rows == 0:
        raise UserError(f"{path} has no rows: give at least one, a few hundred are better")
    rows = np.column_stack([_column(path, table, name) for name in names])
    return np.ascontiguousarray(rows, dtype=np.float32)


def _read_table(path: Path) -> Any:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(f"{path}: a sample is a .csv or .parquet file")
    try:
        if path.suffix.lower() == ".csv":
            return pyarrow.csv.read_csv(path)
        return pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} cannot be read as {path.suffix[1:]}: {str(error).splitlines()[0]}") from None


def _column(path: Path, table: Any, name: str) -> np.ndarray[Any, Any]:
    """One column as float32, NaN where it is null."""
    import pyarrow

    column = table[name]
    kind = column.type
    types = pyarrow.types
    if not any(
        test(kind) for test in (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    ):
        raise UserError(f"{path}: column {name} holds {kind}, not numbers")
    if types.is_boolean(kind):
        # As in training; Arrow makes no floats of booleans.
        column = column.cast(pyarrow.uint8())
    doubles = column.cast(pyarrow.float64(), safe=False).to_numpy()
    with np.errstate(over="ignore"):
        values: np.ndarray[Any, Any] = doubles.astype(np.float32)
    if np.isinf(values).any():
        raise UserError(f"{path}: column {name} has a number that does not fit float32")
    return values
