"""Any body, valid, invalid or hostile: both variants answer alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential.conftest import MAX_BODY_BYTES, Both
from tests.differential.outcome import bounded
from tests.raw import request

SMALL_LITERALS = """
    null true false 0 -0 -0.0 1e-46 5e-324 1e-400 3.4028235e38 3.4028235677973362e38 3.4028235677973366e38
    -3.4028235677973366e38 1e39 1e308 1e309 1e400 -1e400 NaN Infinity -Infinity -NaN nan inf 01 1. .5 +1 0x1 1_0 -
    [] {} [1] "" "1" "NaN" "\\ud800" "\\u0000" 9007199254740993 18446744073709551616 1e 1e+ 0e0 1E2
"""
LITERALS = [
    *SMALL_LITERALS.split(),
    *("9" * digits for digits in (38, 39, 400, 4300, 4301, 5000)),
    "0." + "1" * 3000,
    "[" * 190 + "]" * 190,
    "[" * 250,
]

PATHS = st.sampled_from(["/score", "/score/batch"])
REQUEST_ID = "x-request-id: differential"

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.integers(-(10**400), 10**400)
)
KEYS = st.sampled_from(["features", "rows", "Features", "", "request", "root"]) | st.text(max_size=80)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=30
)
LITERAL = st.sampled_from(LITERALS) | st.floats(width=32).map(json.dumps) | st.floats().map(json.dumps)


@st.composite
def rows(draw: st.DrawFn, features: int) -> str:
    """A row of about the right length, most of it valid, as text."""
    length = features + draw(st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1, -features, features]))
    values = ["0.5"] * length
    for position in draw(st.lists(st.integers(0, length - 1), max_size=4)) if length else ():
        values[position] = draw(LITERAL)
    return "[" + ",".join(values) + "]"


@st.composite
def documents(draw: st.DrawFn, features: int) -> tuple[str, str]:
    """A path, and a body that is near to what it wants."""
    path = draw(PATHS)
    if path == "/score":
        members = [f'"features":{draw(rows(features))}']
    else:
        members = ['"rows":[' + ",".join(draw(st.lists(rows(features), max_size=4))) + "]"]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        extra = f"{json.dumps(draw(KEYS))}:{draw(LITERAL)}"
        members.insert(draw(st.integers(0, len(members))), extra)
    return path, "{" + ",".join(members) + "}"


@bounded(250)
@given(data=st.data())
def test_bodies_near_the_schema(both: Both, data: st.DataObject) -> None:
    path, text = data.draw(documents(both.features))
    both.agree(request("POST", path, text.encode(), REQUEST_ID, "connection: close"))


@bounded(150)
@given(path=PATHS, value=VALUES, compact=st.booleans())
def test_any_json(both: Both, path: str, value: Any, compact: bool) -> None:
    content = json.dumps(value, ensure_ascii=compact).encode("utf-8", "surrogatepass")
    both.agree(request("POST", path, content, REQUEST_ID, "connection: close"))


@bounded(150)
@given(path=PATHS, content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8")))
def test_any_bytes(both: Both, path: str, content: bytes) -> None:
    both.agree(request("POST", path, content, REQUEST_ID, "connection: close"))


@bounded(200)
@given(data=st.data())
def test_damaged_bodies(both: Both, data: st.DataObject) -> None:
    path, text = data.draw(documents(both.features))
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 8)))
        content[start:stop] = data.draw(st.binary(max_size=4) | st.sampled_from([b'"', b"[", b"}", b",", b"\x00"]))
    both.agree(request("POST", path, bytes(content), REQUEST_ID, "connection: close"))


@pytest.mark.parametrize("beyond", [-1, 0, 1, 100_000])
@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_bodies_around_the_limit(both: Both, path: str, beyond: int) -> None:
    got = both.agree(request("POST", path, b" " * (MAX_BODY_BYTES + beyond), REQUEST_ID, "connection: close"))
    assert got.statuses == [413 if beyond > 0 else 400]


@pytest.mark.parametrize("opening", ["[", '{"features":', '{"rows":[[', '[{"a":'])
def test_nesting_at_any_depth(both: Both, opening: str) -> None:
    for depth in (1, 50, 99, 100, 101, 198, 199, 200, 201, 500, 5000):
        closing = "".join({"[": "]", "{": "}"}.get(character, "") for character in reversed(opening))
        for text in (opening * depth, opening * depth + "1" + closing * depth):
            both.agree(request("POST", "/score", text.encode()[:MAX_BODY_BYTES], REQUEST_ID, "connection: close"))
