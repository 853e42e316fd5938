"""From a model file to a model package, or to a reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.contract.errors import UserError
from shared.importing.candidate import Candidate, examine
from shared.importing.features import describe, feature_cards, read_notes
from shared.importing.sample import read_sample
from shared.importing.trees import threshold_rows
from shared.importing.unpickle import read_model
from shared.model.compile import MAX_GOLDEN_ROWS, Contents, write_package
from shared.model.manifest import Manifest, check_identity
from shared.model.predictor import Rows, XgboostPredictor

PROBE_ROWS = 2048
"""Rows around the trees' thresholds on which the packaged model is compared with the user's own."""


@dataclass(frozen=True)
class Imported:
    """What was read and what was written."""

    candidate: Candidate
    manifest: Manifest
    directory: Path
    probes: int
    """Rows on which the package gives the very bits that the user's object gives."""


def import_file(
    path: Path,
    *,
    name: str,
    version: str,
    out: Path,
    trust: bool,
    features: Path | None = None,
    sample: Path | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Imported:
    """Packages the model in a file as `out/name/version`, all or nothing.

    Args:
        trust: allows unpickling (see `unpickle.read_model`).
        features: a file of feature names, or of names with descriptions and units.
        sample: a table of rows: the golden rows and the observed ranges come from it, else from the trees' thresholds.
        tell: is called with a line before each step.

    Raises:
        UserError: a file or an option cannot be used, or the model cannot be served exactly; nothing is written.
    """
    directory = out / name / version
    check_identity(name, version)
    if directory.exists():
        raise UserError(f"{directory} exists already: choose another --version, or remove it first")
    notes = None if features is None else read_notes(features)
    tell(f"reading {path}")
    candidate = examine(read_model(path, trust=trust))
    described = describe(candidate.feature_names, notes, candidate.n_features)
    rows = None if sample is None else read_sample(sample, [note.name for note in described])
    probes = threshold_rows(candidate.booster, candidate.n_features, PROBE_ROWS)
    tell(f"comparing {candidate.trees} rounds of trees over {candidate.n_features} features with your own object")
    if rows is not None:
        probes = np.concatenate([_spread(rows), probes])
    _check_equal(candidate, probes)
    tell("compiling and checking the package")
    manifest = write_package(
        candidate.booster,
        Contents(features=feature_cards(described, rows), golden_rows=probes),
        name=name,
        version=version,
        directory=directory,
    )
    return Imported(candidate, manifest, directory, len(probes))


def _spread(rows: Rows) -> Rows:
    """As many rows as a package keeps, from all over the sample."""
    picked = np.linspace(0, len(rows) - 1, min(len(rows), MAX_GOLDEN_ROWS)).astype(np.int64)
    return rows[picked]


def _check_equal(candidate: Candidate, probes: Rows) -> None:
    """Raises UserError unless the packaged booster gives the user's own probabilities, to the bit."""
    own = candidate.predict(probes)
    packaged = XgboostPredictor(candidate.booster)(probes)
    if own.shape != packaged.shape or own.dtype != packaged.dtype or own.tobytes() != packaged.tobytes():
        worst = np.max(np.abs(own.astype(np.float64) - packaged)) if own.shape == packaged.shape else np.nan
        raise UserError(
            f"this {candidate.kind} predicts otherwise than the trees in it (by up to {worst:.2g}), so it cannot be "
            "served exactly: train it without dart, without a subclass that changes predict_proba"
        )
