"""The graph for ONNX Runtime takes XGBoost's branch for every value: at a threshold, beside it, and where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import xgboost

from shared.model.graph import to_onnx
from shared.model.package import TOLERANCE
from shared.model.predictor import OnnxPredictor, XgboostPredictor

N_FEATURES = 4


def fitted(*, missing_below: bool) -> bytes:
    """Trees of which some take a missing value for a low one, or none does."""
    rng = np.random.default_rng(3)
    # Few values, 0 among them, so that thresholds are values of rows.
    rows = rng.integers(-3, 4, (4000, N_FEATURES)).astype(np.float32)
    target = rows[:, 0] + rows[:, 1] * rows[:, 2] > 1
    missing = rng.random(rows.shape) < 0.2
    # What is missing is like low values for some features, like high ones for others.
    target |= missing[:, 3]
    if missing_below:
        target &= ~missing[:, 0]
        rows[missing] = np.nan
    parameters = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.3, "nthread": 1}
    return bytes(xgboost.train(parameters, xgboost.DMatrix(rows, target), 20).save_raw("ubj"))


def thresholds(booster: bytes) -> Iterator[float]:
    for tree in xgboost.Booster(model_file=bytearray(booster)).get_dump(dump_format="json"):
        waiting = [json.loads(tree)]
        while waiting:
            node = waiting.pop()
            if "children" in node:
                yield node["split_condition"]
                waiting.extend(node["children"])


@pytest.mark.parametrize("missing_below", [True, False])
def test_every_value_takes_xgboosts_branch(missing_below: bool) -> None:
    booster = fitted(missing_below=missing_below)
    at = np.unique(np.array(list(thresholds(booster)), dtype=np.float32))
    beside = [np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))]
    largest = np.finfo(np.float32).max
    values = np.concatenate([at, -at, *beside, [0.0, -0.0, np.nan, largest, -largest]]).astype(np.float32)
    rows = np.random.default_rng(4).choice(values, (20_000, N_FEATURES))
    graph = to_onnx(booster, N_FEATURES)
    assert graph is not None
    predictor = OnnxPredictor(graph)
    np.testing.assert_allclose(predictor(rows), XgboostPredictor(booster)(rows), rtol=0, atol=TOLERANCE)
    assert predictor(rows[:1]).tobytes() == predictor(rows)[:1].tobytes()


def test_no_node_asks_whether_a_value_is_missing() -> None:
    kinds = {}
    for missing_below in (True, False):
        graph = to_onnx(fitted(missing_below=missing_below), N_FEATURES)
        assert graph is not None
        nodes = onnx.load_from_string(graph).graph.node
        kinds[missing_below] = [node.op_type for node in nodes]
        trees = next(node for node in nodes if node.op_type == "TreeEnsemble")
        asked = [a.ints for a in trees.attribute if a.name == "nodes_missing_value_tracks_true"]
        assert not any(any(nodes) for nodes in asked)
    assert kinds[False] == ["TreeEnsemble", "LinearClassifier"]
    assert kinds[True] == ["Neg", "Concat", *kinds[False]]


def test_trees_of_one_leaf() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(2000, N_FEATURES)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    parameters = {
        "objective": "binary:logistic",
        "max_depth": 4,
        "eta": 0.7,
        "gamma": 5,
        "base_score": 0.3,
        "nthread": 1,
    }
    model = xgboost.train(parameters, xgboost.DMatrix(rows, np.nan_to_num(rows[:, 0]) > 1), 40)
    lone = sum('"children"' not in tree for tree in model.get_dump(dump_format="json"))
    assert 0 < lone < 40
    booster = bytes(model.save_raw("ubj"))
    graph = to_onnx(booster, N_FEATURES)
    assert graph is not None
    predictor = OnnxPredictor(graph)
    np.testing.assert_allclose(predictor(rows), XgboostPredictor(booster)(rows), rtol=0, atol=TOLERANCE)
    assert predictor(rows[:1]).tobytes() == predictor(rows)[:1].tobytes()
