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
    """How a model is fitted.

    Chosen on training days alone: the published protocol moved to earlier weeks (training from 2018-06-27,
    07-04 and 07-11, every test day before 2018-08-01) and simulated tables, by the mean over the tables of AUC
    ROC + average precision + card precision@100, and by log loss. `python -m benchmarks.tuning TABLE` compares
    these with their alternatives on the earlier weeks of a table.
    """

    max_depth: int = 4
    """3 and 5 levels do no better; XGBoost's own 6 at rate 0.3 lose 0.18 of average precision."""
    learning_rate: float = 0.05
    min_child_weight: float = 5.0
    """Evidence that makes a leaf; 15 lose 0.02 of average precision."""
    gamma: float = 3.0
    """Log loss a split must save. Ranks no better than 0, but probabilities near 0 mean more what they say."""
    colsample_bytree: float = 0.5
    max_bin: int = 2048
    """Fraud begins at amounts so rare that the usual 256 quantiles have no edge near: they lose 0.02."""
    max_rounds: int = 300
    """Bounds the time to score a row; early stopping usually ends below."""
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
        "gamma": settings.gamma,
        "max_bin": settings.max_bin,
        "colsample_bytree": settings.colsample_bytree,
        "seed": seed,
        # One thread adds up gradients in one order: the same model on a machine with any number of cores.
        "nthread": 1,
    }
