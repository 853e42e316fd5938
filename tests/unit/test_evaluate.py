"""The figures of an evaluation, on tables small enough to work them out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shared.training.evaluate import card_precision, choose_threshold, evaluate, reliability

MONDAY, TUESDAY = np.datetime64("2024-01-01"), np.datetime64("2024-01-02")


def _columns(
    rows: list[tuple[np.datetime64, str, bool, float]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    days, cards, is_fraud, scores = zip(*rows, strict=True)
    return np.array(days), np.array(cards), np.array(is_fraud), np.array(scores, dtype=np.float32)


def test_card_precision_ranks_cards_by_their_highest_score() -> None:
    rows = [
        (MONDAY, "a", False, 0.9),
        (MONDAY, "a", True, 0.1),  # not the row that raised the alert, but the card is compromised
        (MONDAY, "b", False, 0.8),
        (MONDAY, "c", True, 0.7),
    ]
    assert card_precision(*_columns(rows), cards_a_day=1) == 1.0
    assert card_precision(*_columns(rows), cards_a_day=2) == 0.5
    assert card_precision(*_columns(rows), cards_a_day=4) == 0.5  # three cards, but four could be looked at


def test_card_precision_takes_found_cards_out_of_later_days() -> None:
    rows = [
        (MONDAY, "a", True, 0.9),
        (MONDAY, "b", True, 0.1),
        (TUESDAY, "a", True, 0.9),  # found on Monday: its alert goes to the next card
        (TUESDAY, "b", True, 0.8),  # missed on Monday: still there
        (TUESDAY, "c", False, 0.7),
    ]
    assert card_precision(*_columns(rows), cards_a_day=1) == 1.0
    # Monday finds both, so that of Tuesday's two alerts only c's is used, for nothing.
    assert card_precision(*_columns(rows), cards_a_day=2) == 0.5


def test_card_precision_keeps_a_card_that_was_alerted_for_nothing() -> None:
    rows = [(MONDAY, "a", False, 0.9), (TUESDAY, "a", True, 0.9), (TUESDAY, "b", False, 0.1)]
    assert card_precision(*_columns(rows), cards_a_day=1) == 0.5


def test_card_precision_breaks_ties_by_card_not_by_row() -> None:
    rows = [(MONDAY, "b", True, 0.5), (MONDAY, "a", False, 0.5)]
    assert card_precision(*_columns(rows), cards_a_day=1) == 0.0
    assert card_precision(*_columns(rows[::-1]), cards_a_day=1) == 0.0


def test_reliability_bins_include_their_upper_edge() -> None:
    is_fraud = np.array([False, False, True, True])
    table = reliability(is_fraud, np.array([0.0, 0.5, 0.5, 1.0]).astype(np.float32))
    assert [(row.lower, row.upper, row.rows) for row in table] == [(0.0, 0.002, 1), (0.4, 0.6, 2), (0.95, 1.0, 1)]
    assert [row.mean_probability for row in table] == [0.0, 0.5, 1.0]
    assert [row.fraud_share for row in table] == [0.0, 0.5, 1.0]


def test_threshold_has_the_best_f1() -> None:
    is_fraud = np.array([True, True, False, True, False, False])
    probabilities = np.array([0.9, 0.75, 0.5, 0.25, 0.125, 0.1], dtype=np.float32)
    # From 0.75: precision 1, recall 2/3, F1 0.8; from 0.25: 3/4, 1, F1 0.857.
    assert choose_threshold(is_fraud, probabilities) == 0.25


def test_evaluation_figures() -> None:
    rows = [
        (MONDAY, "a", True, 0.75),
        (MONDAY, "b", False, 0.5),
        (MONDAY, "c", True, 0.25),
        (MONDAY, "d", False, 0.0),
    ]
    figures = evaluate(*_columns(rows), threshold=0.5)
    assert figures["auc_roc"] == pytest.approx(3 / 4)  # of the four pairs, only c and b are the wrong way round
    assert figures["average_precision"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert figures["card_precision_at_100"] == pytest.approx(2 / 100)
    assert figures["brier"] == pytest.approx((0.25**2 + 0.5**2 + 0.75**2 + 0) / 4)
    assert (figures["precision"], figures["recall"], figures["threshold"]) == (0.5, 0.5, 0.5)
    assert (figures["rows"], figures["frauds"], figures["fraud_share"]) == (4, 2, 0.5)
    assert figures["mean_probability"] == pytest.approx(0.375)


def test_nothing_called_fraud_has_no_precision() -> None:
    rows = [(MONDAY, "a", True, 0.2), (MONDAY, "b", False, 0.1)]
    figures = evaluate(*_columns(rows), threshold=0.5)
    assert (figures["precision"], figures["recall"]) == (0.0, 0.0)
