"""The models that are served, and the rows that are sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import CACHE
from benchmarks.contenders.catalog import Row
from shared.contract.errors import UserError
from shared.model.locate import DEFAULT_ROOT, latest_package
from shared.model.manifest import read_manifest

TREES = {"deep": (500, 8), "huge": (2000, 8)}
"""Trees and their depth; `packaged` is the latest package under models/."""

NAMES = ("packaged", *TREES)


def package(name: str, tell: Callable[[str], None]) -> Path:
    """The folder of a model's package; the larger ones are fitted once and kept.

    Raises:
        UserError: there is no such model, or none has been trained yet.
    """
    if name == "packaged":
        return latest_package().resolve()
    if name not in TREES:
        raise UserError(f"no model {name}: use {', '.join(NAMES)}")
    directory = CACHE / "models" / f"bench_{name}" / "1.0.0"
    if not directory.exists():
        tell(f"fitting {TREES[name][0]} trees of depth {TREES[name][1]}, once")
        _fit(name, directory)
    return directory


def _fit(name: str, directory: Path) -> None:
    """Fits the trees on rows drawn around the packaged model's golden ones: the cost counts here, not the accuracy."""
    import xgboost

    from shared.model.compile import Contents, write_package

    manifest = read_manifest(latest_package(DEFAULT_ROOT))
    golden = np.array(manifest.golden.rows, dtype=np.float32)
    rng = np.random.default_rng(0)
    rows = np.resize(golden, (60_000, golden.shape[1]))
    rows *= rng.uniform(0.5, 1.5, rows.shape).astype(np.float32)
    # Labels that every feature has a say in, so that trees grow to their full depth.
    centred = np.nan_to_num((rows - np.nanmean(rows, axis=0)) / (np.nanstd(rows, axis=0) + 1e-6))
    margin = np.sin(2 * centred) @ rng.normal(size=rows.shape[1]) + rng.normal(size=len(rows))
    trees, depth = TREES[name]
    parameters = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.05, "tree_method": "hist", "seed": 0}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, margin > 0), trees)
    contents = Contents(features=manifest.features, golden_rows=golden, evaluation={"trees": trees, "depth": depth})
    write_package(bytes(booster.save_raw("ubj")), contents, name=f"bench_{name}", version="1.0.0", directory=directory)


def sample(directory: Path) -> list[tuple[Row, float]]:
    """Rows and their probabilities: the golden ones without missing values, which not every contender can take."""
    golden = read_manifest(directory).golden
    pairs = zip(golden.rows, golden.probabilities, strict=True)
    complete = [
        ([float(str(np.float32(value))) for value in row if value is not None], probability)
        for row, probability in pairs
        if None not in row
    ]
    if not complete:
        raise UserError(f"{directory}: every golden row has a missing value; train the model again")
    return complete
