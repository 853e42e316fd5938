"""The features of an imported model: their names, from the model or from a file, and what is known of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.contract.errors import UserError
from shared.contract.wire import FeatureCard
from shared.model.predictor import Rows


class FeatureNote(BaseModel):
    """What `--features FILE.json` tells of one feature."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    description: str = ""
    unit: str = ""
    nullable: bool = True


NOTES: TypeAdapter[list[FeatureNote]] = TypeAdapter(list[FeatureNote])


def read_notes(path: Path) -> list[FeatureNote]:
    """The features a file lists: JSON (names, or objects with name, description, unit, nullable), or a name a line.

    Raises:
        UserError: the file cannot be read or is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{path} cannot be read ({reason}): give a text file with one feature name a line") from None
    if path.suffix.lower() != ".json":
        return [FeatureNote(name=line.strip()) for line in text.splitlines() if line.strip()]
    try:
        listed: Any = json.loads(text)
        if isinstance(listed, list):
            listed = [{"name": item} if isinstance(item, str) else item for item in listed]
        return NOTES.validate_python(listed)
    except (ValueError, RecursionError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else str(error)
        raise UserError(
            f"{path}: {reason}: give a JSON list of names, or of objects with name, description, unit, nullable"
        ) from None


def _first(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, item['loc'])) or 'the document'}: {item['msg']}"


def describe(names: Sequence[str] | None, notes: Sequence[FeatureNote] | None, n_features: int) -> list[FeatureNote]:
    """A note for each feature, in the model's order.

    Args:
        names: as the model has them; None where it was trained on rows without names.
        notes: of the user's file, in any order where the model has names, else in the model's order.

    Raises:
        UserError: there are no names, or they are not one for each feature.
    """
    if notes is not None:
        _refuse_repeated([note.name for note in notes])
    if names is not None:
        _refuse_repeated(names)
        return _by_name(names, notes)
    if notes is None:
        raise UserError(
            f"this model has no feature names: list its {n_features} features in training order, one name a line, and "
            "add --features names.txt"
        )
    if len(notes) != n_features:
        raise UserError(f"this model has {n_features} features, and the --features file lists {len(notes)}: list each")
    return list(notes)


def _by_name(names: Sequence[str], notes: Sequence[FeatureNote] | None) -> list[FeatureNote]:
    if notes is None:
        return [FeatureNote(name=name) for name in names]
    known = {note.name: note for note in notes}
    lacking = [name for name in names if name not in known]
    unknown = [name for name in known if name not in set(names)]
    if lacking or unknown:
        parts = [f"it lacks {_some(lacking)}"] * bool(lacking) + [f"has {_some(unknown)}"] * bool(unknown)
        raise UserError(f"the --features file does not list the model's own features: {', and '.join(parts)}")
    return [known[name] for name in names]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _refuse_repeated(names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(f"feature names must differ, but {_some(repeated)} is there more than once: rename one")


def feature_cards(notes: Sequence[FeatureNote], sample: Rows | None) -> list[FeatureCard]:
    """The cards of the features; observed ranges come from the sample's finite values, shape (n, features)."""
    ranges = [(None, None)] * len(notes) if sample is None else [_range(column) for column in sample.T]
    return [
        FeatureCard(**note.model_dump(), observed_min=low, observed_max=high)
        for note, (low, high) in zip(notes, ranges, strict=True)
    ]


def _range(column: np.ndarray[Any, Any]) -> tuple[float | None, float | None]:
    seen = column[~np.isnan(column)]
    return (float(seen.min()), float(seen.max())) if len(seen) else (None, None)
