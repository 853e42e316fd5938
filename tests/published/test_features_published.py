"""Our features against those the authors of the Fraud Detection Handbook published for 2018-08-08."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from shared.model.features.batch import compute_features
from shared.model.features.definition import FEATURE_NAMES
from shared.training.tables import read_transactions

BESIDE_THE_CHECKOUT = Path(__file__).parents[2].parent / "shared" / "data"
FOLDER = Path(os.environ.get("TWINSCORE_PUBLISHED_DATA", BESIDE_THE_CHECKOUT))
TRANSACTIONS = FOLDER / "handbook-transactions.parquet"
FEATURES = FOLDER / "handbook-features-2018-08-08.parquet"

pytestmark = pytest.mark.skipif(
    not (TRANSACTIONS.exists() and FEATURES.exists()),
    reason=f"needs {TRANSACTIONS.name} and {FEATURES.name}, made from the Fraud Detection Handbook's public "
    "repositories simulated-data-raw and simulated-data-transformed, in the folder TWINSCORE_PUBLISHED_DATA",
)

AUTHORS = {"amount": "TX_AMOUNT", "is_weekend": "TX_DURING_WEEKEND", "is_night": "TX_DURING_NIGHT"} | {
    ours.format(days): theirs.format(days)
    for days in (1, 7, 30)
    for ours, theirs in {
        "customer_tx_count_{}d": "CUSTOMER_ID_NB_TX_{}DAY_WINDOW",
        "customer_amount_mean_{}d": "CUSTOMER_ID_AVG_AMOUNT_{}DAY_WINDOW",
        "terminal_tx_count_{}d": "TERMINAL_ID_NB_TX_{}DAY_WINDOW",
        "terminal_fraud_rate_{}d": "TERMINAL_ID_RISK_{}DAY_WINDOW",
    }.items()
}


def test_the_authors_features_are_ours_for_every_row_of_the_day() -> None:
    """Equal but for rounding; where we have null for want of history, theirs is 0."""
    transactions = read_transactions(TRANSACTIONS)
    table = pq.read_table(FEATURES)
    authors = {name: table.column(name).to_numpy() for name in table.column_names}
    assert len(authors["TRANSACTION_ID"]) > 9_000
    rows_by_id = {number: row for row, number in enumerate(transactions.transaction_id.tolist())}
    rows = np.array([rows_by_id[number] for number in authors["TRANSACTION_ID"].tolist()])

    features = np.nan_to_num(compute_features(transactions)[rows], nan=0.0)
    for ours, theirs in AUTHORS.items():
        column = features[:, FEATURE_NAMES.index(ours)]
        np.testing.assert_allclose(column, authors[theirs], rtol=1e-6, err_msg=ours)
