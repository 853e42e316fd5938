"""The online features on the published transactions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from shared.model.features.batch import compute_features
from shared.model.features.state import FeatureState
from shared.replay.stream import transactions_of
from shared.training.tables import read_transactions
from tests.conftest import ROOT
from tests.unit.test_feature_state import assert_same_bits, feed

FOLDER = Path(os.environ.get("TWINSCORE_PUBLISHED_DATA", ROOT.parent / "shared" / "data"))
TABLE = FOLDER / "handbook-transactions.parquet"


@pytest.mark.skipif(
    not TABLE.exists(),
    reason=f"needs {TABLE.name}, made from the Fraud Detection Handbook's public repository simulated-data-raw, in the "
    "folder TWINSCORE_PUBLISHED_DATA",
)
def test_a_tenth_of_the_terminals_have_the_bits_of_the_batch() -> None:
    table = read_transactions(TABLE)
    table = table.select(np.flatnonzero(table.terminal_id.astype(np.int64) % 10 == 0))
    online = feed(FeatureState(), list(transactions_of(table)), table.is_fraud.tolist())
    assert len(online) > 50_000
    assert_same_bits(online, compute_features(table))
