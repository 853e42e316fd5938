"""Finding packages under a models folder: `<root>/<name>/<version>/`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from shared.contract.errors import UserError
from shared.model.manifest import MANIFEST_FILE, VERSION_PATTERN

DEFAULT_ROOT = Path("models")
DEFAULT_NAME = "xgb_fraud"
DEFAULT_VERSION = "1.0.0"


def version_key(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[int, int, str], ...]]:
    """Orders versions as Semantic Versioning 2.0.0 does (section 11): a pre-release comes before its release."""
    core, _, pre = version.partition("-")
    identifiers = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ()
    return tuple(int(part) for part in core.split(".")), not pre, identifiers


def packages(root: Path = DEFAULT_ROOT) -> Iterator[Path]:
    """The package folders under `root`, by name and then by version, lowest first."""
    found = [
        path.parent for path in root.glob(f"*/*/{MANIFEST_FILE}") if re.fullmatch(VERSION_PATTERN, path.parent.name)
    ]
    yield from sorted(found, key=lambda path: (path.parent.name, version_key(path.name)))


def latest_package(root: Path = DEFAULT_ROOT, name: str = DEFAULT_NAME) -> Path:
    """The package of the highest version.

    Raises:
        UserError: there is none.
    """
    candidates = [path for path in packages(root) if path.parent.name == name]
    if not candidates:
        raise UserError(
            f"no model package under {root / name}: run `make model` or `twinscore train`, "
            "or set TWINSCORE_MODEL to a package's folder"
        )
    return candidates[-1]
