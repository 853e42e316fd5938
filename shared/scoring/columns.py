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
    lacking = [name for name in wanted if name not in known]
    if lacking:
        hint = ""
        if len(found) == 1 and any(mark in found[0] for mark in ";\t|"):
            hint = " (its columns seem not to be separated by commas)"
        raise UserError(f"{path} lacks {len(lacking)} of the columns that the model needs: {', '.join(lacking)}{hint}")
    repeated = [name for name in dict.fromkeys(wanted) if known[name] > 1]
    if repeated:
        raise UserError(f"{path} has more than one column named {', '.join(repeated)}: remove or rename them")
