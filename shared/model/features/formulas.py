"""From exact aggregates to feature values: every formula that rounds, once.

Amounts are summed as integers, in millionths of the currency, so that a window's sum is the same number
whatever the order or the way it was added up. All functions take arrays of any one shape, one element
included, and give an element the same bits in each: they use only the correctly rounded operations
(+ - * / sqrt) and tables, and `log1p`, which numpy computes alike for every element.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNITS = 1_000_000
"""Units in one unit of the currency: window sums see amounts rounded to a millionth."""

MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
HOUR = 3_600 * MICROSECONDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Wide = tuple[Words, Words]
"""An unsigned 128-bit integer per element: its high and its low 64 bits."""

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)

_SECOND_ANGLE = np.arange(86_400) * (2 * np.pi / 86_400)
_SECOND_SIN, _SECOND_COS = np.sin(_SECOND_ANGLE), np.cos(_SECOND_ANGLE)
_WEEKDAY_ANGLE = np.arange(7) * (2 * np.pi / 7)
_WEEKDAY_SIN, _WEEKDAY_COS = np.sin(_WEEKDAY_ANGLE), np.cos(_WEEKDAY_ANGLE)


def to_units(amount: Floats) -> Words:
    """Amounts as whole millionths; exact for amounts of up to six decimals and 1e9 in size."""
    return np.rint(amount * UNITS).astype(np.uint64)


def amount_features(amount: Floats) -> tuple[Floats, Floats]:
    """log(1 + amount), and 1 where the amount has no cents."""
    return np.log1p(amount), (amount == np.floor(amount)).astype(np.float64)


def calendar_features(microseconds: Ints) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """is_weekend, is_night, hour_sin, hour_cos, weekday_sin, weekday_cos of microseconds since 1970."""
    day, since_midnight = np.divmod(microseconds, DAY)
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
    second, rest = np.divmod(since_midnight, MICROSECONDS)
    # The angle of the fraction of a second is below 7.3e-5, where these polynomials are exact in float64.
    fraction = rest * (2 * np.pi / DAY)
    square = fraction * fraction
    fraction_sin, fraction_cos = fraction - fraction * square / 6, 1 - square / 2
    second_sin, second_cos = _SECOND_SIN[second], _SECOND_COS[second]
    return (
        (weekday >= 5).astype(np.float64),
        (since_midnight < 7 * HOUR).astype(np.float64),
        second_sin * fraction_cos + second_cos * fraction_sin,
        second_cos * fraction_cos - second_sin * fraction_sin,
        _WEEKDAY_SIN[weekday],
        _WEEKDAY_COS[weekday],
    )


def seconds(microseconds: Ints) -> Floats:
    """A span of microseconds in seconds."""
    return microseconds / MICROSECONDS


def amount_sum(total: Words) -> Floats:
    """A sum of units as an amount."""
    return total / UNITS


def mean(count: Ints, total: Words) -> Floats:
    """Mean amount of `count` amounts that sum to `total` units; NaN where the count is 0."""
    return ratio(total.astype(np.float64), count.astype(np.float64) * UNITS)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """numerator / denominator; NaN where the denominator is 0."""
    result = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def spread(count: Ints, total: Words, squares: Wide) -> Floats:
    """`count` times the population standard deviation, in units, from the sum of units and that of squares.

    sqrt(count * squares - total^2), the difference in 128-bit integers, where it cancels without error.
    `windows.Grouping.check_squares` keeps both below 2^128.
    """
    words = count.astype(np.uint64)
    high, low = multiply(words, squares[1])
    high = high + words * squares[0]
    total_high, total_low = multiply(total, total)
    borrow = (low < total_low).astype(np.uint64)
    high, low = high - total_high - borrow, low - total_low
    root: Floats = np.sqrt(high * 2.0**64 + low)
    return root


def std(count: Ints, spread: Floats) -> Floats:
    """Population standard deviation of `count` > 0 amounts."""
    return spread / (count.astype(np.float64) * UNITS)


def zscore(units: Words, count: Ints, total: Words, spread: Floats) -> Floats:
    """(amount - mean) / standard deviation, without rounding the mean first; 0 where the deviation is 0."""
    difference = (count.astype(np.uint64) * units - total).astype(np.int64)
    result = np.zeros(np.shape(spread))
    np.divide(difference, spread, out=result, where=spread != 0)
    return result


def multiply(a: Words, b: Words) -> Wide:
    """The 128-bit products of 64-bit integers, by the halves of their factors."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, cross, swapped = a_low * b_low, a_low * b_high, a_high * b_low
    middle = (low >> _HALF) + (cross & _LOW) + (swapped & _LOW)
    high = a_high * b_high + (cross >> _HALF) + (swapped >> _HALF) + (middle >> _HALF)
    return high, (low & _LOW) | (middle << _HALF)


def square_limbs(units: Words) -> tuple[Words, Words, Words]:
    """units^2 as its lowest 32 bits, its next 32 bits and the rest, to be summed apart without overflow."""
    high, low = multiply(units, units)
    return low & _LOW, low >> _HALF, high


def join_limbs(lowest: Words, middle: Words, rest: Words) -> Wide:
    """The number whose limbs, as of `square_limbs`, sum to these."""
    carried = (lowest >> _HALF) + middle
    return rest + (carried >> _HALF), (lowest & _LOW) | (carried << _HALF)
