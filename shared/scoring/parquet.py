"""Parquet tables. Needs pyarrow, which the `train` extra brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.contract.errors import UserError
from shared.scoring.columns import check_columns
from shared.scoring.values import BadValueError, Refused, Row, numbers

READ_ROWS = 4096


def load_pyarrow() -> Any:
    """The module, with `parquet`.

    Raises:
        UserError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise UserError("Parquet files need pyarrow: install twinscore[train], or use CSV or JSON lines") from None
    return pyarrow


class ParquetTable:
    """Columns of integers, floats, decimals or booleans; null and NaN are missing values."""

    place_name = "row"

    def __init__(self, path: Path, features: Sequence[str], key: str | None) -> None:
        self._arrow = load_pyarrow()
        self.path = path
        self.features = list(features)
        self.key = key
        self.done = 0
        try:
            # Row groups may be large: their pages are read as they are needed, not ahead.
            self._file = self._arrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16)
        except (OSError, self._arrow.ArrowException) as error:
            raise UserError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None
        schema = self._file.schema_arrow
        check_columns(path, schema.names, features, key)
        for name in features:
            self._check_type(name, schema.field(name).type)
        self.key_type: Any = None if key is None else schema.field(key).type
        self.total: int = self._file.metadata.num_rows

    def __iter__(self) -> Iterator[Row | Refused]:
        columns = [*self.features] if self.key is None else [*self.features, self.key]
        try:
            for batch in self._file.iter_batches(batch_size=READ_ROWS, columns=columns):
                yield from self._rows(batch)
        except (OSError, self._arrow.ArrowException) as error:
            raise UserError(f"{self.path} is damaged: {str(error).splitlines()[0]}") from None

    def _rows(self, batch: Any) -> Iterator[Row | Refused]:
        doubles = [self._doubles(batch.column(name)).to_pylist() for name in self.features]
        keys = [None] * batch.num_rows if self.key is None else batch.column(self.key).to_pylist()
        for key, *values in zip(keys, *doubles, strict=True):
            self.done += 1
            try:
                yield Row(self.done, key, numbers(self.features, values))
            except BadValueError as error:
                yield Refused(self.done, key, str(error))

    def _doubles(self, column: Any) -> Any:
        # Arrow makes no floats of booleans.
        whole = column.cast(self._arrow.uint8()) if self._arrow.types.is_boolean(column.type) else column
        return whole.cast(self._arrow.float64(), safe=False)

    def _check_type(self, name: str, kind: Any) -> None:
        types = self._arrow.types
        tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
        if not any(test(kind) for test in tests):
            raise UserError(f"{self.path}: column {name} holds {kind}, not numbers: convert it")
