"""Tables as streams of rows: CSV, JSON lines, Parquet. A file of any size is read in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from shared.contract.errors import UserError
from shared.scoring.parquet import ParquetTable
from shared.scoring.text import CsvTable, JsonLinesTable
from shared.scoring.values import Refused, Row


class Table(Protocol):
    """A file of rows.

    Attributes:
        place_name: what `Row.place` counts: `line` or `row`.
        total: bytes of a text file, rows of a Parquet file.
        done: how much of `total` has been read.
        key_type: Arrow type of the id column where the file has types, else None.
    """

    place_name: str
    total: int
    key_type: Any

    @property
    def done(self) -> int: ...

    def __iter__(self) -> Iterator[Row | Refused]: ...


def open_table(path: Path, features: Sequence[str], key: str | None) -> Table:
    """The rows of a file: columns by feature name, others ignored.

    Args:
        features: the model's, in its order.
        key: the id column, or None.

    Raises:
        UserError: the file cannot be read, its format is unknown, or columns are missing; at once or on iteration.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    if suffix == ".csv":
        return CsvTable(path, features, key)
    if suffix in (".jsonl", ".ndjson"):
        return JsonLinesTable(path, features, key)
    if suffix in (".parquet", ".pq"):
        return ParquetTable(path, features, key)
    raise UserError(f"{path}: rows are read from .csv, .jsonl, .ndjson, .parquet or .pq files")
