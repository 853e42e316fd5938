"""One row of a table, from what a file holds to what the contract takes; or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.contract.wire import FLOAT32_LIMIT

TRUTHS = {
    spelling: value
    for word, value in (("true", 1.0), ("false", 0.0))
    for spelling in (word, word.title(), word.upper())
}
"""As pandas and others write columns of flags."""

MAX_SHOWN = 40
"""Characters of a value repeated in a reason."""


@dataclass(frozen=True)
class Row:
    """A row to score.

    Attributes:
        place: line of a text file (header and blank lines count), or row number of a Parquet file, from 1.
        key: of the id column, or None where none was asked for.
        features: in the model's order; None is a missing value.
    """

    place: int
    key: Any
    features: list[float | None]


@dataclass(frozen=True)
class Refused:
    """A row that cannot be scored, and why."""

    place: int
    key: Any
    reason: str


class BadValueError(ValueError):
    """Why a value is not a number of the contract."""


def numbers(names: Sequence[str], values: Sequence[Any]) -> list[float | None]:
    """The values as the contract takes them.

    Raises:
        BadValueError: naming each feature that is not a number, and why.
    """
    row: list[float | None] = []
    reasons = []
    for name, value in zip(names, values, strict=True):
        # Nearly every value is one of these two.
        if value is None or (type(value) is float and -FLOAT32_LIMIT <= value <= FLOAT32_LIMIT):
            row.append(value)
            continue
        try:
            row.append(number(value))
        except BadValueError as error:
            reasons.append(f"{name}: {error}")
    if reasons:
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        raise BadValueError("; ".join(reasons[:3]) + more)
    return row


def number(value: Any) -> float | None:
    """A finite number that fits float32, or None for a missing value (None or NaN).

    Raises:
        BadValueError: it is text, a boolean, infinite, too large, or no number at all.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValueError(f"{_shown(value)} is not a number")
    try:
        real = float(value)
    except OverflowError:
        raise BadValueError(f"{_shown(value)} does not fit float32") from None
    if real != real:
        return None
    if not -FLOAT32_LIMIT <= real <= FLOAT32_LIMIT:
        raise BadValueError(f"{_shown(value)} does not fit float32")
    return real


def cell(text: str) -> Any:
    """A cell of a CSV file: None where it is empty, a float where it is a decimal number or true or false, else the text."""
    if not text:
        return None
    if text in TRUTHS:
        return TRUTHS[text]
    try:
        value = float(text)
    except ValueError:
        return text.strip() or None
    # Python reads 1_000 as a number; the files of others mean text by it.
    return text if "_" in text else value


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "a very large integer"
    shown = ascii(value)
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "..."
