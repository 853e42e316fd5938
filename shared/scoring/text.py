"""CSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from shared.contract.errors import UserError
from shared.scoring.columns import check_columns
from shared.scoring.values import BadValueError, Refused, Row, cell, numbers

UNCLOSED = "the line is not CSV: a quote in it is not closed in it, and the lines behind it do not fit"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class _Lines:
    """The physical lines of a UTF-8 file, counted; bytes that are not UTF-8 come out as surrogates."""

    def __init__(self, file: BinaryIO) -> None:
        self.count = 0
        self.bytes = 0
        self._file = file

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            if self.count == 0:
                line = line.removeprefix(b"\xef\xbb\xbf")
            self.count += 1
            self.bytes += len(line)
            yield line.decode("utf-8", "surrogateescape")


class _Again:
    """Lines for a reader of records, which may ask for those behind the first line of a record again.

    Attributes:
        place: the line, from 1, on which the record begins.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.place = 1
        self._lines = iter(lines)
        self._pending: deque[str] = deque()
        self._taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._lines)
        self._taken.append(line)
        return line

    @property
    def last(self) -> int:
        """The line on which the record ends."""
        return self.place + len(self._taken) - 1

    def begin(self) -> None:
        """The next line begins a record."""
        self.place += len(self._taken)
        self._taken.clear()

    def give_back(self) -> bool:
        """All but the first line of this record will come again; False where it has no other."""
        others = self._taken[1:]
        self._pending.extendleft(reversed(others))
        del self._taken[1:]
        return bool(others)


class _TextTable:
    place_name = "line"
    key_type: Any = None

    def __init__(self, path: Path, features: Sequence[str], key: str | None) -> None:
        self.path = path
        self.features = list(features)
        self.key = key
        self.total = path.stat().st_size
        self._lines: _Lines | None = None

    @property
    def done(self) -> int:
        return 0 if self._lines is None else self._lines.bytes

    def __iter__(self) -> Iterator[Row | Refused]:
        try:
            with self.path.open("rb", buffering=1 << 20) as file:
                if file.read(2) in UTF16_MARKS:
                    raise UserError(f"{self.path} is UTF-16 text: save it as UTF-8")
                file.seek(0)
                self._lines = _Lines(file)
                yield from self._rows(self._lines)
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}") from None

    def _rows(self, lines: _Lines) -> Iterator[Row | Refused]:
        raise NotImplementedError

    def _row(self, place: int, key: Any, values: Sequence[Any]) -> Row | Refused:
        if isinstance(key, str) and not key.isascii():
            try:
                key.encode()
            except UnicodeEncodeError:
                return Refused(place, None, f"{self.key}: is not UTF-8 text")
        try:
            return Row(place, key, numbers(self.features, values))
        except BadValueError as error:
            return Refused(place, key, str(error))


class CsvTable(_TextTable):
    """Comma-separated, the first line names the columns. An empty cell or NaN is a missing value, a blank line no row."""

    def _rows(self, lines: _Lines) -> Iterator[Row | Refused]:
        again = _Again(lines)
        reader = csv.reader(again, strict=True)
        header = self._header(reader)
        check_columns(self.path, header, self.features, self.key)
        columns = [header.index(name) for name in self.features]
        key_column = None if self.key is None else header.index(self.key)
        while True:
            again.begin()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # A quote that nothing closes takes all that follows for one value.
                reason = UNCLOSED if again.give_back() else f"the line is not CSV: {error}"
                yield Refused(again.place, None, reason)
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                found = f"{len(cells)} values where the header names {len(header)} columns"
                more = f" (a value in quotes goes on to line {again.last})" if again.last > again.place else ""
                yield Refused(again.place, None, found + more)
                continue
            key = None if key_column is None else cells[key_column]
            yield self._row(again.place, key, [cell(cells[column]) for column in columns])

    def _header(self, reader: Iterator[list[str]]) -> list[str]:
        try:
            for cells in reader:
                if cells:
                    # A feature's own name may begin with a space.
                    wanted = {*self.features, self.key}
                    return [name if name in wanted else name.strip() for name in cells]
        except csv.Error as error:
            raise UserError(f"{self.path}: the first line is not CSV: {error}") from None
        raise UserError(f"{self.path} is empty: its first line must name the columns")


class JsonLinesTable(_TextTable):
    """A JSON object a line, with a member for each feature; null or NaN is a missing value, a blank line no row.

    The first object must have all members; where a later one lacks some, that row is refused.
    """

    def _rows(self, lines: _Lines) -> Iterator[Row | Refused]:
        checked = False
        for place, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                yield Refused(place, None, f"the line is not JSON: {error}")
                continue
            except ValueError:
                yield Refused(place, None, "the line has a number of too many digits")
                continue
            if not isinstance(found, dict):
                yield Refused(place, None, "the line is not a JSON object")
                continue
            if not checked:
                check_columns(self.path, list(found), self.features, self.key)
                checked = True
            key = None if self.key is None else found.get(self.key)
            lacking = [name for name in self.features if name not in found]
            if lacking:
                names = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
                yield Refused(place, key, f"no value for {names}: write null for a missing value")
                continue
            yield self._row(place, key, [found[name] for name in self.features])
        if lines.count == 0:
            raise UserError(f"{self.path} is empty: it must hold one JSON object a line")
