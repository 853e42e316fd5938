"""Our default training against the figures the Fraud Detection Handbook published, by its protocol."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from shared.model.features.transactions import Transactions
from shared.training.split import Protocol, split
from shared.training.tables import read_transactions
from shared.training.train import train_model

BESIDE_THE_CHECKOUT = Path(__file__).parents[2].parent / "shared" / "data"
FOLDER = Path(os.environ.get("TWINSCORE_PUBLISHED_DATA", BESIDE_THE_CHECKOUT))
TRANSACTIONS = FOLDER / "handbook-transactions.parquet"

pytestmark = pytest.mark.skipif(
    not TRANSACTIONS.exists(),
    reason=f"needs {TRANSACTIONS.name}, made from the Fraud Detection Handbook's public repository "
    "simulated-data-raw, in the folder TWINSCORE_PUBLISHED_DATA",
)

TRAIN_START = date(2018, 7, 25)

BEST_PUBLISHED = {"auc_roc": 0.871, "average_precision": 0.658, "card_precision_at_100": 0.291}
"""Of any model: AUC ROC and card precision of logistic regression, average precision of the random forest."""


@pytest.fixture(scope="module")
def transactions() -> Transactions:
    return read_transactions(TRANSACTIONS)


def test_the_split_has_the_published_counts(transactions: Transactions) -> None:
    parts = split(transactions, Protocol(TRAIN_START))
    assert (len(parts.train), len(parts.test)) == (67_240, 58_264)


@pytest.mark.parametrize("seed", [0, 1])
def test_default_training_reaches_the_best_published_figures(transactions: Transactions, seed: int) -> None:
    evaluation = train_model(transactions, train_start=TRAIN_START, seed=seed).evaluation
    short = {name: evaluation[name] for name, least in BEST_PUBLISHED.items() if evaluation[name] < least}
    assert short == {}
