"""Splitting by time, and training on simulated transactions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import xgboost as xgb

from shared.contract.errors import UserError
from shared.model.features.batch import compute_features
from shared.model.features.definition import FEATURE_NAMES
from shared.model.features.transactions import Transactions
from shared.training.evaluate import CARDS_A_DAY
from shared.training.fit import FitSettings, fit_early_stopped
from shared.training.profile import golden_rows, observed_range, score_distribution
from shared.training.simulator import simulate
from shared.training.split import Protocol, choose_protocol, split
from shared.training.train import TrainedModel, train_model

START = date(2024, 1, 1)


def _table(rows: list[tuple[int, int, bool]]) -> Transactions:
    """Transactions from (day, customer, fraud), a minute apart within the table."""
    minutes = np.arange(len(rows)).astype("timedelta64[m]")
    days = np.array([day for day, _, _ in rows]).astype("timedelta64[D]")
    return Transactions.from_columns(
        transaction_id=np.arange(len(rows)),
        timestamp=np.datetime64(START, "us") + days + minutes,
        customer_id=np.array([customer for _, customer, _ in rows]),
        terminal_id=np.zeros(len(rows), dtype=np.int64),
        amount=np.full(len(rows), 10.0),
        is_fraud=np.array([fraud for _, _, fraud in rows]),
    )


SMALL = _table(
    [
        (0, 1, False),  # before training
        (0, 9, True),  # before training: forgotten
        (1, 1, True),  # training
        (1, 2, False),
        (2, 2, False),  # validation
        (2, 3, True),
        (3, 4, True),  # delay: known two days later
        (4, 5, True),  # delay: known two days later, too late for day 5
        (5, 1, False),  # test, cards 1 and 3 known from training, 4 from day 3
        (5, 3, True),
        (5, 4, False),
        (5, 5, True),
        (5, 6, False),
        (5, 9, False),
        (6, 5, True),  # test, card 5 known from day 4
        (6, 6, False),
        (6, 7, True),
        (7, 7, True),  # after
    ]
)
SMALL_PROTOCOL = Protocol(START + timedelta(1), train_days=2, delay_days=2, test_days=2)


def test_split_leaves_out_the_cards_known_by_the_test_day() -> None:
    parts = split(SMALL, SMALL_PROTOCOL)
    assert parts.learn.tolist() == [2, 3]
    assert parts.validation.tolist() == [4, 5]
    assert parts.train.tolist() == [2, 3, 4, 5]
    assert parts.test_all_cards.tolist() == [8, 9, 10, 11, 12, 13, 14, 15, 16]
    # On day 5 labels up to day 2 count, on day 6 those of day 3: cards 4 and 5 are not known by then.
    assert parts.test.tolist() == [10, 11, 12, 13, 14, 15, 16]


def test_split_learns_of_cards_during_the_delay() -> None:
    parts = split(SMALL, Protocol(START + timedelta(1), train_days=2, delay_days=1, test_days=3))
    # Test days 4 to 6; on day 5 the fraud of day 3 is known (card 4), on day 6 that of day 4 (card 5).
    assert parts.test.tolist() == [7, 11, 12, 13, 15, 16]


def test_default_protocol_ends_with_the_last_day() -> None:
    table = _table([(day, day, False) for day in range(30)])
    protocol = choose_protocol(table)
    assert protocol.train_start == START + timedelta(9)
    assert protocol.test_end == START + timedelta(30)
    assert protocol.validation_start == protocol.train_end - timedelta(2)


def test_default_protocol_may_take_the_whole_table() -> None:
    table = _table([(day, day, False) for day in range(21)])
    assert choose_protocol(table).train_start == START
    assert choose_protocol(table, train_start=START).train_start == START


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_days": 1}, "--train-days is 1; give at least 2"),
        ({"delay_days": -1}, "--delay-days is -1; give at least 0"),
        ({"test_days": 0}, "--test-days is 0; give at least 1"),
        ({"train_days": 20}, "the table covers 30 days .* but training needs 34"),
        ({"train_start": date(2023, 12, 31)}, "--train-start 2023-12-31 .* from 2024-01-01 to 2024-01-10"),
        ({"train_start": date(2024, 1, 11)}, "--train-start 2024-01-11 .* from 2024-01-01 to 2024-01-10"),
    ],
)
def test_days_that_do_not_fit_are_refused(options: dict[str, int | date], message: str) -> None:
    table = _table([(day, day, False) for day in range(30)])
    with pytest.raises(UserError, match=message) as caught:
        choose_protocol(table, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_empty_table_is_refused() -> None:
    with pytest.raises(UserError, match="no transactions"):
        train_model(SMALL.select(slice(0, 0)))


@pytest.mark.parametrize(
    ("day", "fraud", "message"),
    [
        (1, False, "training days 2024-01-02 to 2024-01-02 have no fraud"),
        (1, True, "training days .* have nothing but fraud"),
        (2, False, "validation days 2024-01-03 to 2024-01-03 have no fraud"),
        (6, False, "test days 2024-01-06 to 2024-01-07 have no fraud on cards not yet known"),
    ],
)
def test_days_of_one_class_are_refused(day: int, fraud: bool, message: str) -> None:
    days = (SMALL.timestamp.astype("datetime64[D]") - np.datetime64(START)).astype(int)
    changed = days >= 5 if day == 6 else days == day
    table = replace(SMALL, is_fraud=np.where(changed, fraud, SMALL.is_fraud))
    with pytest.raises(UserError, match=message):
        split(table, SMALL_PROTOCOL)


def test_days_without_transactions_are_refused() -> None:
    days = (SMALL.timestamp.astype("datetime64[D]") - np.datetime64(START)).astype(int)
    with pytest.raises(UserError, match=r"validation days .* have no transactions"):
        split(SMALL.select(days != 2), SMALL_PROTOCOL)


def test_golden_rows_span_the_scores_and_miss_every_feature_once() -> None:
    scores = np.geomspace(0.001, 0.5, 5_000).astype(np.float32)
    scores[-3:] = (0.6, 0.9, 0.99)
    features = np.column_stack([scores, np.arange(5_000)]).astype(np.float32)
    golden = golden_rows(features, scores)
    complete = golden[:-3]
    assert 200 < len(golden) < 300
    assert complete[0, 0] == scores[0]
    assert set(scores[-3:].tolist()) <= set(complete[:, 0].tolist())
    assert np.isnan(golden[-3:]).tolist() == [[True, False], [False, True], [True, True]]
    assert len(golden_rows(features[:1], scores[:1])) == 4


def test_observed_range_ignores_missing_values() -> None:
    features = np.array([[1, np.nan, np.nan], [3, 5, np.nan]], dtype=np.float32)
    low, high = observed_range(features)
    np.testing.assert_array_equal(low, [1, 5, np.nan])
    np.testing.assert_array_equal(high, [3, 5, np.nan])


def test_score_distribution_counts_upper_edges() -> None:
    distribution = score_distribution(np.array([0, 0.25, 0.5, 0.5, 1], dtype=np.float32))
    assert len(distribution.edges) == len(distribution.counts) + 1
    counted = {upper: count for upper, count in zip(distribution.edges[1:], distribution.counts, strict=True) if count}
    assert counted == {0.001: 1, 0.3: 1, 0.5: 2, 1.0: 1}


@pytest.fixture(scope="module")
def transactions() -> Transactions:
    return simulate(customers=1_000, terminals=1_000, days=65, seed=3)


@pytest.fixture(scope="module")
def trained(transactions: Transactions) -> TrainedModel:
    return train_model(transactions, seed=7)


def test_same_data_and_seed_give_the_same_bytes(transactions: Transactions, trained: TrainedModel) -> None:
    again = train_model(transactions, seed=7)
    assert again.booster.save_raw("ubj") == trained.booster.save_raw("ubj")
    assert again.golden_rows.tobytes() == trained.golden_rows.tobytes()
    assert again.evaluation == trained.evaluation


def test_later_days_do_not_change_the_model(transactions: Transactions, trained: TrainedModel) -> None:
    """What follows the test days is never looked at."""
    shorter = transactions.timestamp < transactions.timestamp[-1] - np.timedelta64(3, "D")
    start = trained.protocol.train_start - timedelta(4)
    whole = train_model(transactions, train_start=start)
    assert whole.booster.save_raw("ubj") == train_model(
        transactions.select(shorter), train_start=start
    ).booster.save_raw("ubj")


def test_early_stopping_keeps_the_rounds_up_to_the_best() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4_000, len(FEATURE_NAMES))).astype(np.float32)
    is_fraud = features[:, 0] + rng.normal(size=4_000) > 1.5
    settings = FitSettings(learning_rate=0.3)
    learn, rest = slice(0, 2_000), slice(2_000, None)
    booster = fit_early_stopped(
        features[learn], is_fraud[learn], features[rest], is_fraud[rest], seed=0, settings=settings
    )
    losses: list[float] = []
    validation = xgb.DMatrix(features[rest], is_fraud[rest], feature_names=list(FEATURE_NAMES))
    for rounds in range(1, booster.num_boosted_rounds() + 1):
        losses.append(float(booster[:rounds].eval(validation).rsplit(":", 1)[1]))
    assert 1 < booster.num_boosted_rounds() < settings.max_rounds
    assert min(losses) == losses[-1]


def test_the_model_is_the_rounds_found(trained: TrainedModel) -> None:
    assert 1 < trained.booster.num_boosted_rounds() == trained.evaluation["rounds"] <= FitSettings().max_rounds


def test_probabilities_mean_what_they_say(transactions: Transactions, trained: TrainedModel) -> None:
    """On the test days, for every card; the tolerance is what some 100 frauds allow."""
    rows = split(transactions, trained.protocol).test_all_cards
    features = compute_features(transactions)[rows]
    probabilities = trained.booster.inplace_predict(features).astype(np.float64)
    frauds = int(transactions.is_fraud[rows].sum())
    assert probabilities.sum() == pytest.approx(frauds, rel=0.25)
    certain = probabilities > 0.8
    assert certain.sum() > 20
    assert transactions.is_fraud[rows][certain].mean() == pytest.approx(probabilities[certain].mean(), abs=0.1)


def test_evaluation_says_how_it_came_about(trained: TrainedModel) -> None:
    evaluation = trained.evaluation
    assert evaluation["auc_roc"] > 0.75
    assert evaluation["average_precision"] > 0.4
    assert evaluation[f"card_precision_at_{CARDS_A_DAY}"] > 0
    assert evaluation["threshold"] == trained.decision_threshold
    assert 0 < evaluation["precision"] <= 1
    assert sum(row["rows"] for row in evaluation["reliability"]) == evaluation["rows"] == evaluation["test"]["rows"]
    assert sum(trained.score_distribution.counts) == evaluation["train"]["rows"]
    first, last = evaluation["test"]["first_day"], evaluation["test"]["last_day"]
    assert date.fromisoformat(last) - date.fromisoformat(first) == timedelta(6)


def test_progress_rises_to_the_end_and_the_seed_counts(transactions: Transactions, trained: TrainedModel) -> None:
    shares: list[float] = []
    other = train_model(transactions, seed=8, progress=lambda step, share: shares.append(share))
    assert other.booster.save_raw("ubj") != trained.booster.save_raw("ubj")
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert shares == sorted(shares)
