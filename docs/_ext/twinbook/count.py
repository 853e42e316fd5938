"""Counting lines of code: lines that hold code, not blank lines, comments or docstrings."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

from twinbook.selection import ROOT, Selection, SelectionError, select

_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


def count(spec: str, root: Path = ROOT) -> int:
    """Lines of code in the part of a file, or in all Python files of a folder, that `spec` names.

    Raises:
        SelectionError: see `select`; a folder without Python files.
    """
    folder = root / spec
    if folder.is_dir():
        files = sorted(folder.rglob("*.py"))
        if not files:
            raise SelectionError(f"{spec} holds no Python files")
        return sum(count(path.relative_to(root).as_posix(), root) for path in files)
    part = select(spec, root)
    with_code = code_lines(part, root)
    return sum(1 for number in range(part.first, part.last + 1) if number in with_code)


def code_lines(part: Selection, root: Path = ROOT) -> set[int]:
    """Numbers of the lines of code of the file that `part` belongs to."""
    text = (root / part.path).read_text()
    if not part.path.endswith(".py"):
        # YAML, TOML, Dockerfiles and templates: comments are whole lines.
        comment = ("#", "{#")
        return {
            n for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.strip().startswith(comment)
        }
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        # A docstring, and the string below an attribute that tells what it is.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found
