"""From a table of transactions to a trained model with all that its package says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from shared.model.features.batch import compute_features
from shared.model.features.transactions import Transactions
from shared.training.evaluate import choose_threshold, evaluate, reliability
from shared.training.fit import FitSettings, fit_early_stopped, fit_rounds, predict
from shared.training.profile import ScoreDistribution, golden_rows, observed_range, score_distribution
from shared.training.split import Protocol, Rows, Split, choose_protocol, split

Progress = Callable[[str, float], None]
"""Called with the step that begins and the share of the whole that is done, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model and what a package says about it."""

    booster: xgb.Booster
    """All its rounds are the model; its plain output is the probability."""
    protocol: Protocol
    evaluation: dict[str, Any]
    """JSON-ready; see `evaluate` for its figures."""
    decision_threshold: float
    """Probability from which on to call fraud, chosen on the validation days."""
    observed_min: NDArray[np.float32]
    """Smallest training value of each feature, shape (42,); NaN where every value is missing."""
    observed_max: NDArray[np.float32]
    score_distribution: ScoreDistribution
    """Of the model's probabilities on the training rows."""
    golden_rows: NDArray[np.float32]
    """Shape (g, 42), NaN for null: test rows over the whole range of scores, some with values left out."""


def train_model(
    transactions: Transactions,
    *,
    train_start: date | None = None,
    train_days: int = 7,
    delay_days: int = 7,
    test_days: int = 7,
    seed: int = 0,
    progress: Progress | None = None,
    settings: FitSettings | None = None,
) -> TrainedModel:
    """Fit on the training days, evaluate on the test days; the same table and seed give the same bytes.

    The number of rounds and the decision threshold come from the last third of the training days; the model
    is then fitted once more on all of them. Without `train_start` the test days are the table's last.

    Raises:
        UserError: the days do not fit the table, or a part has no transactions, no fraud or only fraud.
    """
    report = progress or _silent
    settings = settings or FitSettings()
    protocol = choose_protocol(
        transactions,
        train_start=train_start,
        train_days=train_days,
        delay_days=delay_days,
        test_days=test_days,
    )
    # Features never look ahead, so what comes after the last test day is work for nothing.
    transactions = transactions.select(transactions.timestamp < np.datetime64(protocol.test_end))
    parts = split(transactions, protocol)

    report("computing features", 0.0)
    features = compute_features(transactions)
    is_fraud = transactions.is_fraud

    report("finding the number of rounds", 0.3)
    stopped = fit_early_stopped(
        features[parts.learn],
        is_fraud[parts.learn],
        features[parts.validation],
        is_fraud[parts.validation],
        seed=seed,
        settings=settings,
    )
    threshold = choose_threshold(is_fraud[parts.validation], predict(stopped, features[parts.validation]))

    report("fitting on all training days", 0.6)
    rounds = stopped.num_boosted_rounds()
    train = features[parts.train]
    booster = fit_rounds(train, is_fraud[parts.train], rounds=rounds, seed=seed, settings=settings)

    report("evaluating", 0.9)
    low, high = observed_range(train)
    trained = TrainedModel(
        booster=booster,
        protocol=protocol,
        evaluation=_evaluation(transactions, features, booster, protocol, parts, threshold),
        decision_threshold=threshold,
        observed_min=low,
        observed_max=high,
        score_distribution=score_distribution(predict(booster, train)),
        golden_rows=golden_rows(features[parts.test], predict(booster, features[parts.test])),
    )
    report("done", 1.0)
    return trained


def _evaluation(
    transactions: Transactions,
    features: NDArray[np.float32],
    booster: xgb.Booster,
    protocol: Protocol,
    parts: Split,
    threshold: float,
) -> dict[str, Any]:
    """The figures of the test rows, and how they came about."""

    def days_and_rows(start: date, end: date, rows: Rows) -> dict[str, Any]:
        return {
            "first_day": start.isoformat(),
            "last_day": (end - timedelta(1)).isoformat(),
            "rows": len(rows),
            "frauds": int(transactions.is_fraud[rows].sum()),
        }

    test = parts.test
    everyone = parts.test_all_cards
    all_cards = reliability(transactions.is_fraud[everyone], predict(booster, features[everyone]))
    figures = evaluate(
        transactions.timestamp[test].astype("datetime64[D]"),
        transactions.customer_id[test],
        transactions.is_fraud[test],
        predict(booster, features[test]),
        threshold,
    )
    return figures | {
        "reliability_all_cards": [asdict(row) for row in all_cards],
        "rounds": booster.num_boosted_rounds(),
        "train": days_and_rows(protocol.train_start, protocol.train_end, parts.train),
        "validation": days_and_rows(protocol.validation_start, protocol.train_end, parts.validation),
        "test": days_and_rows(protocol.test_start, protocol.test_end, test),
        "protocol": (
            f"train {protocol.train_days} days, skip {protocol.delay_days}, test {protocol.test_days} days "
            "without the cards known by then to be compromised (Fraud Detection Handbook)"
        ),
    }


def _silent(step: str, share: float) -> None:
    """Progress for callers that do not show any."""
