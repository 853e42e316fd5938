"""What a contender predicts with: the `predict_proba` people use, or the predictor of our services."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MODEL_VARIABLE = "BENCH_MODEL"
"""Folder of the model package."""
PREDICTOR_VARIABLE = "BENCH_PREDICTOR"

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]
"""Rows, shape (n, features), to probabilities, shape (n,)."""


def load() -> Predict:
    """The predictor that the environment asks for.

    Raises:
        KeyError: BENCH_MODEL or BENCH_PREDICTOR is not set: contenders are started by `twinscore bench`.
    """
    folder = Path(os.environ[MODEL_VARIABLE])
    if os.environ[PREDICTOR_VARIABLE] == "ours":
        from shared.model.package import load_package

        return load_package(folder).predictor
    import xgboost

    model = xgboost.XGBClassifier()
    model.load_model(folder / "model.ubj")
    return lambda rows: model.predict_proba(rows)[:, 1]
