"""One XGBoost model whose plain output is a probability: fixed settings, early stopping, the final fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from shared.model.features.definition import FEATURE_NAMES

Features = NDArray[np.float32]
Labels = NDArray[np.bool_]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class FitSettings:
    """How a model is fitted. The defaults are what `benchmarks/tuning.py` is about.

    Chosen on the published protocol moved to earlier weeks (training from 2018-06-27, 07-04 and 07-11, every
    test day before 2018-08-01) and on simulated tables of other seeds, by the sum of AUC ROC, average
    precision and card precision@100. The optimum is flat: 3 to 5 levels, 150 to 300 trees, with or without
    sampling differ by less than weeks do. What lost: leaves of 15 and more (they miss the first frauds at a
    terminal), monotone constraints on all fraud features (a terminal with 28 days of fraud is over it), XGBoost's own
    defaults (too deep and too fast for a week's 600 frauds).
    """

    max_depth: int = 4
    learning_rate: float = 0.05
    min_child_weight: float = 5.0
    """Half the features only say something together with others: a leaf needs a few frauds to be believed."""
    subsample: float = 0.8
    colsample_bytree: float = 0.5
    max_rounds: int = 300
    """Bounds the time to score a row; early stopping ends at 120 to 230 on the tables above."""
    patience: int = 30
    """Rounds without a better log loss of the validation days after which fitting stops."""


def fit_early_stopped(
    features: Features,
    is_fraud: Labels,
    validation_features: Features,
    validation_is_fraud: Labels,
    *,
    seed: int,
    settings: FitSettings,
) -> xgb.Booster:
    """A model of the rounds, up to `max_rounds`, with the best log loss on the validation rows.

    Features have shape (n, 42) with NaN for null, labels (n,). The booster is the slice up to its best
    iteration: a booster predicts with all rounds it was fitted with, the ones after the best included.
    """
    validation = _matrix(validation_features, validation_is_fraud)
    booster = xgb.train(
        _parameters(settings, seed),
        _matrix(features, is_fraud),
        settings.max_rounds,
        evals=[(validation, "validation")],
        early_stopping_rounds=settings.patience,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1]


def fit_rounds(features: Features, is_fraud: Labels, *, rounds: int, seed: int, settings: FitSettings) -> xgb.Booster:
    """A model of exactly this many rounds; features (n, 42) with NaN for null, labels (n,)."""
    return xgb.train(_parameters(settings, seed), _matrix(features, is_fraud), rounds)


def predict(booster: xgb.Booster, features: Features) -> Scores:
    """Probabilities of fraud, shape (n,), of features, shape (n, 42)."""
    probabilities: Scores = booster.predict(xgb.DMatrix(features, feature_names=list(FEATURE_NAMES)))
    return probabilities


def _matrix(features: Features, is_fraud: Labels) -> xgb.DMatrix:
    return xgb.DMatrix(features, is_fraud, feature_names=list(FEATURE_NAMES))


def _parameters(settings: FitSettings, seed: int) -> dict[str, object]:
    return {
        # Log loss on rows as they come, without weights for the rare class: the output is a probability.
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "max_depth": settings.max_depth,
        "learning_rate": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.subsample,
        "colsample_bytree": settings.colsample_bytree,
        "seed": seed,
        # One thread adds up gradients in one order: the same model on a machine with any number of cores.
        "nthread": 1,
    }
