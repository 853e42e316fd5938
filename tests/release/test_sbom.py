"""The bills of materials are valid CycloneDX, say what the locks say, and are made again to the byte."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sbom.generate import MARKER
from shared import __version__
from tests.release.conftest import ROOT

PROFILES = ("fastapi", "bento")
MAX_BYTES = 2_000_000
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))? \\$")


def text(profile: str) -> str:
    return (ROOT / "sbom" / f"{profile}.cdx.json").read_text()


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bill(profile: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(profile))
    return found


def locked(profile: str) -> dict[str, tuple[set[str], str | None]]:
    """Hashes and marker by package URL, read from the lock line by line."""
    found: dict[str, tuple[set[str], str | None]] = {}
    purl = ""
    for line in (ROOT / "requirements" / f"{profile}.txt").read_text().splitlines():
        if pin := PIN.match(line):
            purl = f"pkg:pypi/{pin['name']}@{pin['version']}"
            found[purl] = (set(), pin["marker"])
        elif digest := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
            found[purl][0].add(digest[1])
    return found


def test_it_is_valid_cyclonedx(profile: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text(profile)) is None


def test_it_lists_what_is_locked(bill: dict[str, Any], profile: str) -> None:
    listed = {}
    for component in bill["components"]:
        properties = {entry["name"]: entry["value"] for entry in component.get("properties", ())}
        hashes = {entry["content"] for entry in component["hashes"]}
        listed[component["purl"]] = (hashes, properties.get(MARKER))
    vendored = [purl for purl in listed if purl.startswith("pkg:npm/swagger-ui-dist@")]
    assert len(vendored) == 1
    del listed[vendored[0]]
    expected = locked(profile)
    assert len(expected) > 40
    plain = {purl: (hashes, marker and re.sub("[\"'() ]", "", marker)) for purl, (hashes, marker) in expected.items()}
    assert {p: (hashes, marker and re.sub("[\"'() ]", "", marker)) for p, (hashes, marker) in listed.items()} == plain


def test_it_tells_the_version_and_who_needs_whom(bill: dict[str, Any]) -> None:
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("twinscore", __version__)
    graph = {node["ref"]: set(node["dependsOn"]) for node in bill["dependencies"]}
    refs = {component["bom-ref"] for component in bill["components"]}
    assert set().union(*graph.values()) <= refs
    reached: set[str] = set()
    waiting = [root["bom-ref"]]
    while waiting:
        for ref in graph.get(waiting.pop(), set()) - reached:
            reached.add(ref)
            waiting.append(ref)
    # Nothing is locked without a reason: what is not reached is needed by what this platform does not install.
    conditional = {component["bom-ref"] for component in bill["components"] if "properties" in component}
    unreached = refs - reached - conditional
    assert {re.sub(r"@.*", "", ref) for ref in unreached} <= {"pkg:pypi/cffi", "pkg:pypi/pycparser"}


def test_it_tells_the_licence_of_all_that_is_installed_here(bill: dict[str, Any]) -> None:
    """Packages of other platforms and Python versions are not installed, and tell nothing."""
    unknown = [component for component in bill["components"] if not component.get("licenses")]
    names = {component["name"] for component in unknown if "properties" not in component}
    assert names <= {"cffi", "pycparser"}


def test_it_says_nothing_of_the_machine_or_the_day(profile: str) -> None:
    content = text(profile)
    assert len(content.encode()) < MAX_BYTES
    assert re.findall(r"https?://[^\s\"]+", content) == ["http://cyclonedx.org/schema/bom-1.6.schema.json"]
    assert not re.search(r"timestamp|serialNumber|file:\/|/home|/root|/tmp|\.venv", content)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="made on 3.11, whose packages tell the licences")
@pytest.mark.skipif(sys.platform != "linux", reason="made on Linux, whose packages tell the licences")
def test_making_it_again_changes_nothing(tmp_path: Path) -> None:
    """Otherwise: `make sbom`."""
    subprocess.run([sys.executable, str(ROOT / "sbom" / "generate.py"), "--out", str(tmp_path)], check=True)
    for name in PROFILES:
        assert (tmp_path / f"{name}.cdx.json").read_text() == text(name)
