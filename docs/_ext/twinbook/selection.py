"""Parts of source files by name, for excerpts and for counting.

path                 all of the file
path:Class.method    an object of a Python file, with its decorators
path#Step            from the comment that names the step to the next step, or to the end of its block
path#Step..text      the same, up to the first line after it that holds `text`
path@text..text      from the first line that holds the one to the next line that holds the other (or to the end)
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

STEPS = ("Settings", "Model", "Warm-up", "Routes", "Batching", "Shutdown")
"""The comments that `fastapi_service/app.py` and `bento_service/service.py` both have, in this order."""

_SPEC = re.compile(r"(?P<path>[^:#@]+)(?:(?P<kind>[:#@])(?P<name>.+?)(?:\.\.(?P<end>.+))?)?")


class SelectionError(ValueError):
    """A file, an object, a step or a text that the source does not have."""


@dataclass(frozen=True)
class Selection:
    """Lines of a file.

    Attributes:
        path: relative to the root of the project.
        first: number of the first line, from 1.
        lines: without line ends, indented as they are.
        whole: the selection is the file.
    """

    path: str
    first: int
    lines: tuple[str, ...]
    whole: bool

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def select(spec: str, root: Path = ROOT) -> Selection:
    """The lines that `spec` names.

    Raises:
        SelectionError: the source has no such part.
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise SelectionError(f"{spec!r} names no part of a file")
    path, kind, name, end = match["path"], match["kind"], match["name"], match["end"]
    try:
        text = (root / path).read_text()
    except OSError as error:
        raise SelectionError(f"{path}: {error.strerror}") from None
    lines = text.splitlines()
    start, stop = 0, len(lines)
    if kind == ":":
        start, stop = _object(path, text, name)
    elif kind == "#":
        start = _step(path, lines, name)
        stop = _until(path, lines, start, end) if end else _end_of_step(lines, start)
    elif kind == "@":
        start = _holding(path, lines, name, 0)
        stop = _until(path, lines, start, end) if end else len(lines)
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    return Selection(path, start + 1, tuple(lines[start:stop]), kind is None)


def _object(path: str, text: str, name: str) -> tuple[int, int]:
    body: list[ast.stmt] = ast.parse(text).body
    found: ast.stmt | None = None
    for part in name.split("."):
        found = next((node for node in body if getattr(node, "name", None) == part), None)
        if not isinstance(found, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            raise SelectionError(f"{path} has no {name}")
        body = found.body
    assert isinstance(found, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    start = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    return start - 1, found.end_lineno or start


def _step(path: str, lines: list[str], name: str) -> int:
    marker = re.compile(rf"\s*# {re.escape(name)}\b")
    found = [number for number, line in enumerate(lines) if marker.match(line)]
    if name not in STEPS or len(found) != 1:
        raise SelectionError(f"{path} has {len(found)} comments '# {name}', not one")
    return found[0]


def _end_of_step(lines: list[str], start: int) -> int:
    depth = _depth(lines[start])
    other = re.compile(rf"\s*# ({'|'.join(STEPS)})\b")
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if line.strip() and (_depth(line) < depth or other.match(line)):
            return number
    return len(lines)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _holding(path: str, lines: list[str], text: str, start: int) -> int:
    for number in range(start, len(lines)):
        if text in lines[number]:
            return number
    raise SelectionError(f"{path} has no line with {text!r}" + (f" after line {start}" if start else ""))


def _until(path: str, lines: list[str], start: int, text: str) -> int:
    return _holding(path, lines, text, start + 1)
