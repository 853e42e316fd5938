"""Comparing an answer with what the contract expects: see "Responses" in the README beside the vectors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.verification.templates import Variables, count

JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
ABSENT = "(absent)"
SHOWN = 200


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it must be.

    Attributes:
        where: `status`, `header NAME`, `body`, or a path into the body such as `body.errors[0].loc`.
        expected: in words or JSON.
        actual: likewise.
    """

    where: str
    expected: str
    actual: str


class Matcher:
    """Compares values with patterns and collects the differences.

    Args:
        variables: for counts in patterns.
        headers: of the answer, for `$header`.
    """

    def __init__(self, variables: Variables, headers: Mapping[str, str]) -> None:
        self.variables = variables
        self.headers = headers
        self.differences: list[Difference] = []

    def differ(self, where: str, expected: str, actual: Any) -> None:
        self.differences.append(Difference(where, expected, show(actual)))

    def match(self, where: str, pattern: Any, value: Any) -> None:
        """A pattern is an object with one key that starts with `$`, or stands for itself."""
        if isinstance(pattern, Mapping):
            key = next(iter(pattern), "")
            if key.startswith("$"):
                self._special(where, key, pattern[key], value)
            else:
                self._members(where, pattern, value, exact=True)
        elif isinstance(pattern, list):
            self._items(where, pattern, value)
        elif not same(pattern, value):
            self.differ(where, show(pattern), value)

    def _special(self, where: str, key: str, pattern: Any, value: Any) -> None:
        match key:
            case "$any":
                return
            case "$has":
                self._members(where, pattern, value, exact=False)
                return
            case "$each":
                self._each(where, pattern, value)
                return
            case "$type":
                fits, expected = is_type(value, pattern), f"a {pattern}"
            case "$match":
                fits = isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL) is not None
                expected = f"text that matches {pattern}"
            case "$number":
                low, high = pattern["min"], pattern["max"]
                fits = is_type(value, "number") and low <= value <= high
                expected = f"a number from {low} to {high}"
            case "$close":
                to, within = pattern["to"], pattern["within"]
                fits = is_type(value, "number") and abs(value - to) <= within
                expected = f"{to} within {within}"
            case "$count":
                number = count(pattern, self.variables)
                fits, expected = same(number, value), str(number)
            case "$header":
                expected = self.headers.get(pattern, ABSENT)
                fits = value == expected
            case _:
                raise ValueError(f"{key} is no pattern of this version of the contract vectors")
        if not fits:
            self.differ(where, expected, value)

    def _members(self, where: str, pattern: Mapping[str, Any], value: Any, *, exact: bool) -> None:
        if not isinstance(value, dict):
            self.differ(where, "an object", value)
            return
        for name, expected in pattern.items():
            if name in value:
                self.match(f"{where}.{name}", expected, value[name])
            else:
                self.differ(f"{where}.{name}", show(expected), _Absent())
        for name in value.keys() - pattern.keys() if exact else ():
            self.differ(f"{where}.{name}", ABSENT, value[name])

    def _items(self, where: str, pattern: list[Any], value: Any) -> None:
        if not isinstance(value, list) or len(value) != len(pattern):
            self.differ(where, show(pattern), value)
            return
        for index, (expected, item) in enumerate(zip(pattern, value, strict=True)):
            self.match(f"{where}[{index}]", expected, item)

    def _each(self, where: str, pattern: Mapping[str, Any], value: Any) -> None:
        number = count(pattern["count"], self.variables)
        if not isinstance(value, list) or len(value) != number:
            actual = f"an array of {len(value)}" if isinstance(value, list) else value
            self.differ(where, f"an array of {number}", actual)
            return
        for index, item in enumerate(value):
            self.match(f"{where}[{index}]", pattern["of"], item)


class _Absent:
    def __repr__(self) -> str:
        return ABSENT


def is_type(value: Any, name: str) -> bool:
    """JSON's types: a boolean is no number."""
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, JSON_TYPES[name])


def same(expected: Any, actual: Any) -> bool:
    """Equal as JSON values: 1 equals 1.0 but not true; the order of members does not count."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, dict) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(same(expected[k], actual[k]) for k in expected)
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    return bool(expected == actual)


def show(value: Any) -> str:
    """For a person to read: JSON, cut short."""
    text = repr(value) if isinstance(value, _Absent | bytes) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ... ({len(text)} characters)"
