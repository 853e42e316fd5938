"""The trees of a booster, and rows that walk through them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from shared.model.predictor import Rows, load_booster

MISSING_SHARE = 0.1


def read_trees(model: bytes) -> list[dict[str, Any]]:
    """The trees of a model in XGBoost's JSON format."""
    booster = json.loads(model)["learner"]["gradient_booster"]
    trees: list[dict[str, Any]] = booster.get("gbtree", booster)["model"]["trees"]
    return trees


def threshold_rows(booster: bytes, n_features: int, count: int, *, seed: int = 0) -> Rows:
    """Shape (count, n_features): rows on, just below and around the thresholds that the trees split at.

    A fifth of the values are thresholds themselves, a fifth the float32 before one, since `<` tells those two apart;
    the rest lie between two thresholds of their feature or just outside all of them. One value in ten is missing. A
    feature that no tree uses gets numbers from a standard normal distribution.
    """
    rng = np.random.default_rng(seed)
    thresholds = _thresholds(bytes(load_booster(booster).save_raw("json")), n_features)
    rows = np.empty((count, n_features), dtype=np.float32)
    for feature, found in enumerate(thresholds):
        rows[:, feature] = _values(found, count, rng) if len(found) else rng.normal(size=count)
    rows[rng.random(rows.shape) < MISSING_SHARE] = np.nan
    return rows


def _values(thresholds: np.ndarray[Any, Any], count: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    low, high = float(thresholds[0]), float(thresholds[-1])
    margin = 0.1 * (high - low) or max(1.0, abs(low))
    with np.errstate(over="ignore"):
        edges = np.concatenate([[low - margin], thresholds, [high + margin]]).astype(np.float32)
    edges = np.nan_to_num(edges)
    left = rng.integers(0, len(edges) - 1, size=count)
    share = rng.random(count)
    between = (edges[left] * (1 - share) + edges[left + 1] * share).astype(np.float32)
    exact = rng.choice(thresholds, size=count)
    below = np.nextafter(exact, np.float32(-np.inf))
    kind = rng.random(count)
    return np.where(kind < 0.2, exact, np.where(kind < 0.4, np.nan_to_num(below), between))


def _thresholds(model: bytes, n_features: int) -> list[np.ndarray[Any, Any]]:
    """Per feature, its distinct thresholds in ascending order, as float32."""
    features, values = [], []
    for tree in read_trees(model):
        inner = np.array(tree["left_children"]) != -1
        features.append(np.array(tree["split_indices"], dtype=np.int64)[inner])
        values.append(np.array(tree["split_conditions"], dtype=np.float32)[inner])
    feature, value = np.concatenate(features), np.concatenate(values)
    return [np.unique(value[feature == index]) for index in range(n_features)]
