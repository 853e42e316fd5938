"""A model package on disk: written atomically, verified whole before anything is served from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.contract.errors import UserError
from shared.contract.wire import ModelCard
from shared.model.files import read_files
from shared.model.manifest import Golden, Manifest, read_manifest
from shared.model.memory import give_back
from shared.model.predictor import Predictor, Probabilities, Rows, make_predictor

TOLERANCE = 2e-6
"""Largest difference from XGBoost's probability that a faster backend may show."""


@dataclass(frozen=True)
class ModelPackage:
    """A verified package with the predictor that serves it."""

    directory: Path
    manifest: Manifest
    predictor: Predictor

    @property
    def card(self) -> ModelCard:
        return self.manifest.card(self.predictor.backend)

    @property
    def golden_rows(self) -> Rows:
        """Shape (g, features): rows to warm up and to check with."""
        return golden_rows(self.manifest.golden)


def load_package(directory: Path, backend: str | None = None) -> ModelPackage:
    """Loads a package: checks the manifest, every digest, then scores the golden rows.

    Args:
        directory: the package's folder.
        backend: `onnxruntime`, `xgboost` or `cuda`; None takes the packaged default.

    Raises:
        UserError: naming the file and the reason, if anything is missing, damaged, swapped or foreign.
    """
    manifest = read_manifest(directory)
    files = read_files(directory, manifest)
    chosen = backend or manifest.backend
    try:
        predictor = make_predictor(chosen, files)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{directory}: {chosen} cannot load the model: {error}") from error
    if chosen not in manifest.deviations:
        manifest = manifest.model_copy(update={"deviations": {**manifest.deviations, chosen: 0.0}})
    _check_golden(directory, manifest, predictor)
    del files
    give_back()
    return ModelPackage(directory, manifest, predictor)


def golden_rows(golden: Golden) -> Rows:
    return np.array(golden.rows, dtype=np.float32)


def _check_golden(directory: Path, manifest: Manifest, predictor: Predictor) -> None:
    rows = golden_rows(manifest.golden)
    if rows.shape[1:] != (len(manifest.features),):
        raise UserError(f"{directory}: the golden rows do not have {len(manifest.features)} features")
    expected: Probabilities = np.array(manifest.golden.probabilities, dtype=np.float32)
    try:
        together = predictor(rows)
    except Exception as error:
        raise UserError(f"{directory}: {predictor.backend} cannot score the golden rows: {error}") from error
    worst = float(np.max(np.abs(together.astype(np.float64) - expected)))
    if not worst <= TOLERANCE:
        raise UserError(
            f"{directory}: {predictor.backend} gives a golden row a probability {worst:.2g} away from the packaged one "
            f"({TOLERANCE:g} is allowed); the model is not the one that was packaged, or a library changed"
        )
    alone = np.concatenate([predictor(row[np.newaxis]) for row in rows[:8]])
    if alone.tobytes() != together[:8].tobytes():
        raise UserError(f"{directory}: {predictor.backend} gives a row other bits alone than in a batch")
