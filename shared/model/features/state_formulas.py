"""The formulas of `formulas` for one transaction, in Python's own numbers: the same bits without numpy's overhead.

IEEE 754 rounds + - * / and sqrt alike everywhere, and Python's integers hold the exact sums of any size. What is
not so defined comes from `formulas` and numpy themselves: log1p, and the sines and cosines as tables.
"""

from __future__ import annotations

from array import array
from datetime import UTC, datetime, timedelta
from math import floor, nan, pi, sqrt

import numpy as np

from shared.model.features import formulas
from shared.model.features.formulas import DAY, HOUR, MICROSECONDS, UNITS

_EPOCH, _EPOCH_UTC = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = float(UNITS)
_LOW = (1 << 64) - 1
_FRACTION_ANGLE = 2 * pi / DAY

# At whole seconds the batch's values are its tables.
_, _, _SECOND_SIN, _SECOND_COS, _, _ = (
    array("d", column.tobytes()) for column in formulas.calendar_features(np.arange(86_400) * MICROSECONDS)
)
_WEEKEND, _, _, _, _WEEKDAY_SIN, _WEEKDAY_COS = (
    column.tolist() for column in formulas.calendar_features(np.arange(7) * DAY)
)


def microseconds(timestamp: datetime) -> int:
    """Microseconds since 1970 by the timestamp's clock; by UTC's where it has a time zone."""
    since = timestamp - (_EPOCH if timestamp.tzinfo is None else _EPOCH_UTC)
    return since // _MICROSECOND


def own_features(time: int, amount: float) -> list[float]:
    """The 9 features that need no history, in order; `time` in microseconds since 1970."""
    day, since_midnight = divmod(time, DAY)
    second, rest = divmod(since_midnight, MICROSECONDS)
    weekday = day % 7  # counted from a Thursday, as the tables are
    fraction = rest * _FRACTION_ANGLE
    square = fraction * fraction
    fraction_sin, fraction_cos = fraction - fraction * square / 6, 1 - square / 2
    second_sin, second_cos = _SECOND_SIN[second], _SECOND_COS[second]
    return [
        amount,
        float(np.log1p(amount)),
        amount == floor(amount),
        _WEEKEND[weekday],
        since_midnight < 7 * HOUR,
        second_sin * fraction_cos + second_cos * fraction_sin,
        second_cos * fraction_cos - second_sin * fraction_sin,
        _WEEKDAY_SIN[weekday],
        _WEEKDAY_COS[weekday],
    ]


def mean(count: int, total: int) -> float:
    """Mean amount of `count` amounts that sum to `total` units; NaN where the count is 0."""
    return float(total) / (count * _UNITS) if count else nan


def ratio(numerator: float, denominator: float) -> float:
    """numerator / denominator; NaN where the denominator is 0."""
    return numerator / denominator if denominator else nan


def spread(count: int, total: int, squares: int) -> float:
    """`count` times the population standard deviation, in units, from the sum of units and that of squares."""
    square = count * squares - total * total
    return sqrt(float(square >> 64) * 2.0**64 + float(square & _LOW))


def zscore(units: int, count: int, total: int, spread: float) -> float:
    """(amount - mean) / standard deviation; 0 where the deviation is 0."""
    return float(count * units - total) / spread if spread else 0.0
