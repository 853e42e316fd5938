"""What a model's probabilities are worth: ranking, alerts a day, and whether they mean what they say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.model.features.transactions import Ids

Days = NDArray[np.datetime64]
Labels = NDArray[np.bool_]
Scores = NDArray[np.float32]

CARDS_A_DAY = 100
"""Cards a team of investigators can look at in a day, as published."""

RELIABILITY_EDGES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
"""Bins of the reliability table: narrow near 0, where nearly all transactions are."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows with a probability in (lower, upper], the first bin with 0: what was said and what came."""

    lower: float
    upper: float
    rows: int
    mean_probability: float
    fraud_share: float


def card_precision(
    days: Days, cards: Ids, is_fraud: Labels, scores: Scores, *, cards_a_day: int = CARDS_A_DAY
) -> float:
    """Share of compromised cards among those alerted each day, mean over the days.

    A day's alerts are the `cards_a_day` cards with the highest of their scores that day (of equal scores, the
    lower card id); an alert is right if the card has a fraud that day. A card found so is taken out of the
    days after. All arguments have shape (n,). A day with fewer cards still counts as `cards_a_day` alerts.

    Source: Fraud Detection Handbook, "Precision top-k metrics", `card_precision_top_k`.
    """
    names, card = np.unique(cards, return_inverse=True)
    found = np.zeros(len(names), dtype=np.bool_)
    precisions = []
    for day in np.unique(days):
        rows = np.flatnonzero((days == day) & ~found[card])
        highest = np.full(len(names), -np.inf)
        np.maximum.at(highest, card[rows], scores[rows])
        compromised = np.zeros(len(names), dtype=np.bool_)
        compromised[card[rows[is_fraud[rows]]]] = True
        alerted = np.argsort(-highest, kind="stable")[:cards_a_day]
        right = alerted[compromised[alerted]]
        found[right] = True
        precisions.append(len(right) / cards_a_day)
    return float(np.mean(precisions))


def reliability(is_fraud: Labels, probabilities: Scores) -> list[ReliabilityBin]:
    """The reliability table of probabilities, shape (n,), without its empty bins."""
    bins = np.digitize(probabilities, RELIABILITY_EDGES[1:-1], right=True)
    table = []
    for number in np.unique(bins):
        rows = bins == number
        table.append(
            ReliabilityBin(
                lower=RELIABILITY_EDGES[number],
                upper=RELIABILITY_EDGES[number + 1],
                rows=int(rows.sum()),
                mean_probability=float(probabilities[rows].mean(dtype=np.float64)),
                fraud_share=float(is_fraud[rows].mean()),
            )
        )
    return table


def choose_threshold(is_fraud: Labels, probabilities: Scores) -> float:
    """The lowest probability to call fraud, so that F1, the harmonic mean of precision and recall, is largest.

    `is_fraud`, shape (n,), must have a fraud.
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(is_fraud, probabilities)
    best = np.argmax(precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-12))
    return float(thresholds[best])


def evaluate(days: Days, cards: Ids, is_fraud: Labels, probabilities: Scores, threshold: float) -> dict[str, Any]:
    """The evaluation table of test rows, all arguments of shape (n,), with both classes in `is_fraud`.

    Fraud is called at `threshold` and above. Precision is 0 where nothing is called fraud.
    """
    # scikit-learn takes two seconds to import; a command that only shows help must not wait for it.
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    called = probabilities >= threshold
    caught = int((called & is_fraud).sum())
    return {
        "auc_roc": float(roc_auc_score(is_fraud, probabilities)),
        "average_precision": float(average_precision_score(is_fraud, probabilities)),
        f"card_precision_at_{CARDS_A_DAY}": card_precision(days, cards, is_fraud, probabilities),
        "brier": float(brier_score_loss(is_fraud, probabilities)),
        "threshold": threshold,
        "precision": caught / max(int(called.sum()), 1),
        "recall": caught / int(is_fraud.sum()),
        "rows": len(is_fraud),
        "frauds": int(is_fraud.sum()),
        "mean_probability": float(probabilities.mean(dtype=np.float64)),
        "fraud_share": float(is_fraud.mean()),
        "reliability": [asdict(row) for row in reliability(is_fraud, probabilities)],
    }
