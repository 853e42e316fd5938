"""Packages and megabytes of the two serving profiles: `python docs/_ext/twinbook profiles` writes what the book shows."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from twinbook.selection import ROOT, SelectionError

FILE = "docs/book/profiles.json"
PROFILES = ("fastapi", "bento")
COMMAND = "python docs/_ext/twinbook profiles"


def locked(profile: str) -> dict[str, str]:
    """Names and versions in `requirements/<profile>.txt` that are installed on this platform."""
    found = {}
    for line in (ROOT / "requirements" / f"{profile}.txt").read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate():
                found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def measure() -> str:
    """Writes `FILE` and returns its name.

    Raises:
        SelectionError: what is installed is not what is locked.
    """
    profiles: dict[str, dict[str, Any]] = {}
    for profile in PROFILES:
        profiles[profile] = {
            name: {"version": version, "bytes": _installed_bytes(name, version)}
            for name, version in sorted(locked(profile).items())
        }
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    (ROOT / FILE).write_text(json.dumps({"where": where, "profiles": profiles}, indent=1) + "\n")
    return FILE


def _installed_bytes(name: str, version: str) -> int:
    """Bytes of the files that a package installs, without compiled bytecode, which depends on how it is installed."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None or found.version != version:
        raise SelectionError(f"{name} {version} is locked but not installed here: run `make setup`")
    paths = [Path(str(file.locate())) for file in found.files or () if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def read() -> dict[str, Any]:
    """What `measure` wrote."""
    document: dict[str, Any] = json.loads((ROOT / FILE).read_text())
    return document
