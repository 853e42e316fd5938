"""What a package remembers of the data: ranges, the distribution of scores, rows to check the model with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.model.scores import SCORE_EDGES

Features = NDArray[np.float32]
Scores = NDArray[np.float32]

GOLDEN_ROWS = 256


@dataclass(frozen=True)
class ScoreDistribution:
    """`counts[i]` scores lie in (edges[i], edges[i + 1]], a score of 0 in the first."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def observed_range(features: Features) -> tuple[Features, Features]:
    """Smallest and largest value of each column, shape (k,), missing ones ignored; NaN where all are missing.

    `features` has shape (n, k).
    """
    return np.fmin.reduce(features, axis=0), np.fmax.reduce(features, axis=0)


def score_distribution(scores: Scores) -> ScoreDistribution:
    """Histogram of probabilities, shape (n,), over `SCORE_EDGES`."""
    bins = np.digitize(scores, SCORE_EDGES[1:-1], right=True)
    counts = np.bincount(bins, minlength=len(SCORE_EDGES) - 1)
    return ScoreDistribution(SCORE_EDGES, tuple(counts.tolist()))


def golden_rows(features: Features, scores: Scores) -> Features:
    """Rows that show whether a model still answers as it did: `GOLDEN_ROWS` or all, and some with gaps.

    Half are evenly spaced by rank of their score, half by the log-odds of it, which reaches the few high
    scores. After them come a row with each single value left out and one with nothing at all, so that every
    feature's way with a missing value is tried.

    Args:
        features: shape (n, k), n at least 1, NaN for null.
        scores: the model's probabilities of these rows, shape (n,).

    Returns:
        Shape (g, k), lowest score first among the unchanged rows.
    """
    order = np.argsort(scores, kind="stable")
    ranks = np.linspace(0, len(order) - 1, GOLDEN_ROWS // 2).round().astype(np.int64)
    odds = np.log(np.clip(scores[order].astype(np.float64), 1e-9, 1 - 1e-9))
    odds -= np.log1p(-np.exp(odds))
    even = np.searchsorted(odds, np.linspace(odds[0], odds[-1], GOLDEN_ROWS // 2)).clip(0, len(order) - 1)
    rows = features[order[np.unique(np.concatenate([ranks, even]))]]

    width = features.shape[1]
    gaps = rows[np.linspace(0, len(rows) - 1, width + 1).round().astype(np.int64)]
    gaps[np.arange(width), np.arange(width)] = np.nan
    gaps[width] = np.nan
    return np.concatenate([rows, gaps])
