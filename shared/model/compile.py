"""Writing a model package: the booster in XGBoost's own format, its compiled form, and a manifest that ties them.

Needs the `train` extra (onnx, onnxmltools); nothing here is imported when serving.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from shared.contract.errors import UserError
from shared.contract.wire import FeatureCard
from shared.model.graph import to_onnx
from shared.model.manifest import (
    BOOSTER_FILE,
    MANIFEST_FILE,
    ONNX_FILE,
    FileDigest,
    Golden,
    Histogram,
    Manifest,
    check_identity,
)
from shared.model.package import TOLERANCE, load_package
from shared.model.predictor import OnnxPredictor, Rows, XgboostPredictor

MAX_GOLDEN_ROWS = 512
LIBRARIES = ("xgboost-cpu", "xgboost", "onnxruntime", "onnxmltools", "numpy")


@dataclass(frozen=True)
class Contents:
    """What a package is made of besides the booster."""

    features: Sequence[FeatureCard]
    golden_rows: Rows
    """Shape (g, features): rows the model will see, missing values among them."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    decision_threshold: float | None = None
    score_distribution: Histogram | None = None


def write_package(booster: bytes, contents: Contents, *, name: str, version: str, directory: Path) -> Manifest:
    """Writes the package folder `directory`, all or nothing, and loads it once to prove it.

    Args:
        booster: `model.ubj`, XGBoost's own format, sliced to its best iteration; its plain output must be the
            probability of fraud.
        directory: must not exist yet.

    Raises:
        UserError: the folder exists, the name or version cannot be used, or the model cannot be served exactly.
    """
    check_identity(name, version)
    if directory.exists():
        raise UserError(f"{directory} exists already: choose another --version, or remove it first")
    n_features = len(contents.features)
    if contents.golden_rows.shape[1:] != (n_features,):
        raise UserError(f"the golden rows do not have {n_features} features")
    probes = _probe_rows(contents)
    reference = XgboostPredictor(booster)
    expected = reference(probes)
    files = {BOOSTER_FILE: booster}
    deviations = {"xgboost": 0.0}
    backend = "xgboost"
    onnx_model = to_onnx(booster, n_features)
    if onnx_model is not None:
        deviation = _deviation(OnnxPredictor(onnx_model), probes, expected)
        if deviation is not None and deviation <= TOLERANCE:
            files[ONNX_FILE] = onnx_model
            deviations["onnxruntime"] = deviation
            backend = "onnxruntime"
    golden = contents.golden_rows[:MAX_GOLDEN_ROWS]
    manifest = Manifest(
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        features=list(contents.features),
        backend=backend,
        deviations=deviations,
        files={
            file: FileDigest(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for file, data in files.items()
        },
        libraries=_library_versions(),
        evaluation=contents.evaluation,
        decision_threshold=contents.decision_threshold,
        score_distribution=contents.score_distribution,
        golden=Golden(
            rows=[[None if np.isnan(value) else float(value) for value in row] for row in golden],
            probabilities=[float(p) for p in reference(golden)],
        ),
    )
    manifest = manifest.model_copy(update={"sha256": manifest.digest()})
    files[MANIFEST_FILE] = json.dumps(manifest.model_dump(mode="json"), indent=1).encode()
    _write_atomically(files, directory)
    return manifest


def _probe_rows(contents: Contents) -> Rows:
    """Rows to measure the deviation on: the golden ones, and 4,096 within and around the observed ranges."""
    rng = np.random.default_rng(0)
    low = np.array([0.0 if f.observed_min is None else f.observed_min for f in contents.features])
    high = np.array([1.0 if f.observed_max is None else f.observed_max for f in contents.features])
    span = high - low
    rows = rng.uniform(low - 0.1 * span, high + 0.1 * span, size=(4096, len(low)))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    with np.errstate(over="ignore"):
        return np.concatenate([contents.golden_rows, rows.astype(np.float32)])


def _deviation(predictor: OnnxPredictor, rows: Rows, expected: np.ndarray[Any, Any]) -> float | None:
    """Largest difference from `expected`, or None where a row's bits depend on its batch."""
    together = predictor(rows)
    for start, size in ((0, 1), (1, 2), (3, 7), (10, 64), (74, 128)):
        if predictor(rows[start : start + size]).tobytes() != together[start : start + size].tobytes():
            return None
    return float(np.max(np.abs(together.astype(np.float64) - expected)))


def _library_versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _write_atomically(files: dict[str, bytes], directory: Path) -> None:
    """Fills a hidden folder beside `directory`, proves that it loads, then renames it."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise UserError(f"{directory} cannot be written: {error.strerror}; give another --out") from None
    try:
        for name, data in files.items():
            with (scratch / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        scratch.chmod(0o755)
        load_package(scratch)
        scratch.rename(directory)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
