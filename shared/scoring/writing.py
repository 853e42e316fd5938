"""Probabilities out: CSV, JSON lines or Parquet; a file appears whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from shared.contract.errors import UserError

Record = tuple[Any, float, str]
"""The row's line, number or id; its probability; the version of the model that gave it."""


ROW_GROUP_ROWS = 65_536
"""Rows of a Parquet row group, about."""


class Sink(Protocol):
    def write(self, records: Sequence[Record]) -> None: ...


class CsvSink:
    """A header, then a line for each row."""

    def __init__(self, file: TextIO, key: str) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow([key, "probability", "model_version"])

    def write(self, records: Sequence[Record]) -> None:
        self._writer.writerows(records)


class JsonLinesSink:
    """An object for each row."""

    def __init__(self, file: TextIO, key: str) -> None:
        self._file = file
        self._key = key

    def write(self, records: Sequence[Record]) -> None:
        for key, probability, version in records:
            row = {self._key: key, "probability": probability, "model_version": version}
            self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


class ParquetSink:
    """Ids keep the type that a Parquet input gave them; those of text files are text, lines and numbers int64."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer = writer
        self._schema = schema
        self._records: list[Record] = []

    def write(self, records: Sequence[Record]) -> None:
        self._records += records
        if len(self._records) >= ROW_GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes what has been gathered as a row group."""
        import pyarrow

        if not self._records:
            return
        keys, probabilities, versions = zip(*self._records, strict=True)
        self._records = []
        if pyarrow.types.is_string(self._schema.field(0).type):
            keys = tuple(None if key is None else str(key) for key in keys)
        columns = [
            pyarrow.array(values, type=field.type)
            for values, field in zip((keys, probabilities, versions), self._schema, strict=True)
        ]
        self._writer.write_batch(pyarrow.record_batch(columns, schema=self._schema))


@contextmanager
def open_sink(out: Path | None, key: str, key_type: Any, *, is_place: bool) -> Iterator[Sink]:
    """Where probabilities go; None is standard output, as CSV.

    Args:
        key: name of the first column.
        key_type: Arrow type of the ids where known.
        is_place: the first column holds line or row numbers.

    Raises:
        UserError: the format is unknown or the file cannot be written.
    """
    if out is None:
        yield CsvSink(sys.stdout, key)
        sys.stdout.flush()
        return
    suffix = out.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson", ".parquet", ".pq"):
        raise UserError(f"--out {out}: write a .csv, .jsonl or .parquet file")
    with ExitStack() as stack:
        scratch = stack.enter_context(replacing(out))
        if suffix in (".parquet", ".pq"):
            from shared.scoring.parquet import load_pyarrow

            arrow = load_pyarrow()
            kind = arrow.int64() if is_place else key_type or arrow.string()
            fields = [(key, kind), ("probability", arrow.float64()), ("model_version", arrow.string())]
            schema = arrow.schema(fields)
            sink = ParquetSink(stack.enter_context(arrow.parquet.ParquetWriter(scratch, schema)), schema)
            yield sink
            sink.flush()
            return
        file = stack.enter_context(scratch.open("w", encoding="utf-8", newline=""))
        yield CsvSink(file, key) if suffix == ".csv" else JsonLinesSink(file, key)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` at the end, and is removed after an error."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    os.close(descriptor)
    scratch = Path(name)
    try:
        yield scratch
        umask = os.umask(0)
        os.umask(umask)
        scratch.chmod(0o666 & ~umask)
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        scratch.unlink(missing_ok=True)
