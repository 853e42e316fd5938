"""The version stands in one place, `shared/__init__.py`; the changelog has it."""

from __future__ import annotations

import re
import tomllib

from shared import __version__
from tests.release.conftest import ROOT

HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_version_is_read_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "shared/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", __version__)


def test_the_changelog_has_the_version_first() -> None:
    """In the form of Keep a Changelog 1.1: the newest first, a date each, and its kinds of change."""
    text = (ROOT / "CHANGELOG.md").read_text()
    found = [(match["version"], match["date"]) for match in HEADING.finditer(text)]
    released = [entry for entry in found if entry[0] != "Unreleased"]
    assert released[0][0] == __version__
    assert all(date for _, date in released)
    assert [date for _, date in released] == sorted((date for _, date in released), reverse=True)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= KINDS
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(found), "a heading of another form"
