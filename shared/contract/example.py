"""A real exchange, for documents to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A row that the model has scored."""

    row: Sequence[float | None]
    probability: float
    model_version: str
