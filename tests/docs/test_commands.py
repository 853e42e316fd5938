"""What the documents say exists: commands and their options, files, links, settings, and the lines they point to.

The commands of docs/exercises.md and docs/your-own-model.md are run, by test_exercises.py and test_tutorial.py, and those
of the README's first screen by tests/processes/test_readme.py; here all of them, of every document, are read.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from shared.commands.serve import PREFIX
from shared.contract.errors import UserError
from shared.serving.settings import Settings
from tests.conftest import ROOT
from tests.docs.markdown import SHELL, Block, anchors, blocks, headings, links
from tests.docs.shell import OTHER_VARIABLES, check_command, simple_commands

IGNORED = {".venv", ".venv-bench", ".venv-bench-extra", "node_modules", "build", "dist", "models", ".git", ".cache"}
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not IGNORED.intersection(path.relative_to(ROOT).parts) and path.is_file()
)
MANUALS = [path for path in DOCUMENTS if path.parent == ROOT or ROOT / "docs" in path.parents]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def shell_blocks() -> list[tuple[str, Block]]:
    """Every fenced block of shell commands, and every indented one that begins with a command of ours."""
    found = [(relative(path), block) for path in MANUALS for block in blocks(path) if block.shell]
    for path in MANUALS:
        fenced = {
            number for block in blocks(path) for number in range(block.line, block.line + block.text.count("\n") + 2)
        }
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if re.match(r"^ {4}(?:twinscore|make|pytest|python|\.venv/bin/\w+) ", line) and number not in fenced:
                text = line.strip()
                while text.endswith("\\"):
                    number += 1
                    text += "\n" + lines[number - 1].strip()
                found.append((relative(path), Block("sh", text, number, "")))
    return found


@pytest.mark.parametrize("document", [relative(path) for path in MANUALS])
def test_every_command_of_a_document_exists(document: str) -> None:
    for name, block in shell_blocks():
        if name == document:
            for words in simple_commands(block):
                try:
                    check_command(words)
                except (AssertionError, UserError) as error:
                    raise AssertionError(f"{document}:{block.line}: {error}") from None


def test_every_block_of_commands_is_one_for_a_shell() -> None:
    if (bash := shutil.which("bash")) is None:
        pytest.skip("bash is not installed")
    wrong = []
    for name, block in shell_blocks():
        done = subprocess.run([bash, "-n"], input=block.script, capture_output=True, text=True, check=False)
        if done.returncode:
            wrong.append(f"{name}:{block.line}: {done.stderr.strip()}")
    assert wrong == []


def test_blocks_of_commands_are_marked_as_such() -> None:
    """A block that is not named `sh` would not be looked at here."""
    ours = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(?:twinscore|make) \w", re.M)
    unmarked = [
        f"{relative(path)}:{block.line}"
        for path in MANUALS
        for block in blocks(path)
        if block.language in ("", "none") and ours.search(block.text)
    ]
    assert unmarked == [], f"name them one of {sorted(SHELL)}, or text"


@pytest.mark.parametrize("document", [relative(path) for path in DOCUMENTS])
def test_every_link_of_a_document_resolves(document: str) -> None:
    path = ROOT / document
    broken = []
    for link in links(path):
        if re.match(r"^(?:https?|mailto):|^data:", link.target) or "{" in link.target:
            continue
        target, _, fragment = link.target.partition("#")
        found = (path.parent / target).resolve() if target else path
        if not found.exists():
            broken.append(f"line {link.line}: there is no {target}")
        elif fragment and found.suffix == ".md" and fragment not in anchors(found):
            broken.append(f"line {link.line}: {target or document} has no heading for #{fragment}")
    assert broken == []


@cache
def definitions(path: Path) -> set[str]:
    """The names that a module defines: functions, classes, `Class.member`, and what it assigns at its top."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
                visit(node.body, f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix)
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            for target in targets:
                if isinstance(target, ast.Name):
                    found.add(prefix + target.id)
                elif (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id == "self"
                ):
                    found.add(prefix + target.attr)
            for inner in ("body", "orelse"):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    visit(getattr(node, inner, []), prefix)

    visit(ast.parse(path.read_text()).body, "")
    return found


def test_names_that_link_to_a_module_are_defined_there() -> None:
    """[`Class.method`](file.py) points to lines that exist."""
    missing, seen = [], 0
    for path in MANUALS:
        for link in links(path):
            name = re.fullmatch(r"`([A-Za-z_][\w.]*)`", link.text)
            module = (path.parent / link.target).resolve()
            if name and link.target.endswith(".py") and not name[1].endswith(".py") and name[1] != module.stem:
                seen += 1
                known = definitions(module)
                if name[1] not in known and not any(found.endswith(f".{name[1]}") for found in known):
                    missing.append(f"{relative(path)}:{link.line}: {link.target} does not define {name[1]}")
    assert missing == []
    assert seen > 20


@pytest.mark.parametrize("document", [relative(path) for path in DOCUMENTS])
def test_every_setting_that_a_document_names_exists(document: str) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields} | OTHER_VARIABLES
    # TWINSCORE_* and TWINSCORE_<FIELD> stand for all.
    named = re.findall(r"\bTWINSCORE_[A-Z_]*[A-Z]\b(?![*<])", (ROOT / document).read_text())
    assert set(named) <= known


def test_every_setting_is_reachable_from_the_readme() -> None:
    """Those that are not in its table are printed by the command that it names."""
    assert "`twinscore settings`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", [relative(path) for path in MANUALS if ROOT / "docs" in path.parents])
def test_a_document_has_one_title(document: str) -> None:
    found = headings(ROOT / document)
    assert [level for level, _ in found].count(1) == 1
    assert found[0][0] == 1
