"""The files of a model package, each checked against the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared.contract.errors import UserError
from shared.model.manifest import BOOSTER_FILE, Manifest


def read_files(directory: Path, manifest: Manifest) -> dict[str, bytes]:
    """The contents of every file that the manifest lists, by name.

    Raises:
        UserError: naming the file that is missing, truncated, damaged or swapped.
    """
    if BOOSTER_FILE not in manifest.files:
        raise UserError(f"{directory}: the manifest lists no {BOOSTER_FILE}; package the model again")
    return {name: _read_file(directory, name, manifest) for name in manifest.files}


def _read_file(directory: Path, name: str, manifest: Manifest) -> bytes:
    path = directory / name
    if Path(name).name != name:
        raise UserError(f"{directory}: the manifest lists {name!r}, which is not a file name")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; copy the package again, whole") from None
    expected = manifest.files[name]
    if len(content) != expected.size:
        raise UserError(
            f"{path} has {len(content)} bytes where the manifest says {expected.size}: truncated or swapped"
        )
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise UserError(f"{path} does not match its digest in the manifest: damaged or swapped")
    return content
