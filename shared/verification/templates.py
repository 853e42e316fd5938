"""Request bodies from their templates: see "Requests" in the README beside the vectors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

Variables = Mapping[str, int]
"""What a vector may depend on: `features`, the model's feature count, and `max_body_bytes`, the body limit."""

DEFAULT_FILL = 0.5


def default_variables(features: int) -> Variables:
    """For a model of `features` inputs and the contract's default body limit."""
    return {"features": features, "max_body_bytes": 65536 + 1024 * features * 32}


def count(expression: int | Mapping[str, Any], variables: Variables) -> int:
    """An integer, or `{"of": variable, "times": a, "plus": b}`: a * variable + b."""
    if isinstance(expression, int):
        return expression
    return int(variables[expression["of"]] * expression.get("times", 1) + expression.get("plus", 0))


def body(parts: Sequence[Mapping[str, Any]], variables: Variables) -> bytes:
    """The parts one after the other, each `times` over."""
    return b"".join(_part(part, variables) * count(part.get("times", 1), variables) for part in parts)


def _part(part: Mapping[str, Any], variables: Variables) -> bytes:
    if "base64" in part:
        return base64.b64decode(part["base64"], validate=True)
    text = part["text"] if "text" in part else render(part["json"], variables)
    return str(text).encode()


def render(template: Any, variables: Variables) -> str:
    """A template as compact JSON text; `$raw` may make it something that is not JSON."""
    if isinstance(template, Mapping):
        if "$raw" in template:
            return str(template["$raw"])
        if "$row" in template:
            return _row(template["$row"], variables)
        if "$rows" in template:
            rows = template["$rows"]
            return _array(rows["row"], count(rows["count"], variables), rows.get("set", {}), variables)
        members = (f"{json.dumps(name)}:{render(value, variables)}" for name, value in template.items())
        return "{" + ",".join(members) + "}"
    if isinstance(template, list):
        return "[" + ",".join(render(value, variables) for value in template) + "]"
    return json.dumps(template, ensure_ascii=False)


def _row(row: Mapping[str, Any], variables: Variables) -> str:
    length = variables["features"] + row.get("plus", 0)
    return _array(row.get("fill", DEFAULT_FILL), length, row.get("set", {}), variables)


def _array(value: Any, length: int, changed: Mapping[str, Any], variables: Variables) -> str:
    """`length` times `value`, then the changed positions; a negative one counts from the end."""
    values = [render(value, variables)] * length
    for position, other in changed.items():
        values[int(position)] = render(other, variables)
    return "[" + ",".join(values) + "]"
