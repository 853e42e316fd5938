"""The columns a table must have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from shared.contract.errors import UserError


def check_columns(path: Path, found: Sequence[str], features: Sequence[str], key: str | None) -> None:
    """Raises UserError unless each feature, and the id column, is there exactly once."""
    wanted = [*features] if key is None else [*features, key]
    known = Counter(found)
    if key is not None and key not in known and key not in features:
        if any(not name.isprintable() for name in found):
            raise UserError(f"{path}: its column names are not UTF-8 text: save it as UTF-8")
        raise UserError(f"{path} has no column {key!r}, which --id-column names")
    lacking = [name for name in features if name not in known]
    if lacking:
        hint = ""
        if len(found) == 1 and any(mark in found[0] for mark in ";\t|"):
            hint = " (its columns seem not to be separated by commas)"
        raise UserError(
            f"{path} lacks {len(lacking)} of the columns that the model needs: {', '.join(map(_shown, lacking))}{hint}"
        )
    repeated = [name for name in dict.fromkeys(wanted) if known[name] > 1]
    if repeated:
        raise UserError(
            f"{path} has more than one column named {', '.join(map(_shown, repeated))}: remove or rename them"
        )


def _shown(name: str) -> str:
    """In quotes where it could not be told otherwise where it begins and ends."""
    return name if name == name.strip() and "," not in name else repr(name)
