"""Where a command is to write is looked at before it does any work."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.contract.errors import UserError


def check_outputs(
    outputs: Mapping[str, Path | None], *, inputs: Sequence[Path] = (), endings: Sequence[str] | None = None
) -> None:
    """Files that are to be written.

    Args:
        outputs: by the option that names each; None where it was not given.
        inputs: what the command reads.
        endings: that a file may have, in lower case; None any.

    Raises:
        UserError: one is a folder, lies in none that can be written to, ends otherwise, or is another file of the command.
    """
    taken = [(path, str(path)) for path in inputs]
    for option, path in outputs.items():
        if path is None:
            continue
        if endings is not None and path.suffix.lower() not in endings:
            raise UserError(f"{option} {path}: give a file that ends in {' or '.join(endings)}")
        if path.is_dir():
            raise UserError(f"{option} {path} is a folder: give a file")
        if not path.parent.is_dir():
            raise UserError(f"{option} {path} cannot be written: the folder {path.parent} does not exist")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UserError(f"{option} {path} cannot be written: no permission to write in {path.parent}")
        for other, name in taken:
            if _same(path, other):
                raise UserError(f"{option} {path} would be written over {name}: give another file")
        taken.append((path, option))


def check_folder(option: str, folder: Path) -> None:
    """Raises UserError where a folder is neither there to write in nor can be made."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise UserError(f"{option} {folder} cannot be written: {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{option} {folder} cannot be written: no permission to write in {nearest}")


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
