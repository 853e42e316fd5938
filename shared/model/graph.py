"""The ONNX graph of a booster, changed so that ONNX Runtime adds as XGBoost does and walks the trees fast.

Needs the `train` extra (onnx, onnxmltools); nothing here is imported when serving.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.model.predictor import load_booster

ONNX_OPSET = 15
ML = "ai.onnx.ml"
ML_OPSET = 5
"""The first with `TreeEnsemble`."""
ROWS = "rows"
MODES = {b"BRANCH_LEQ": 0, b"BRANCH_LT": 1, b"BRANCH_GTE": 2, b"BRANCH_GT": 3, b"BRANCH_EQ": 4, b"BRANCH_NEQ": 5}
"""The kinds of nodes by their numbers in `TreeEnsemble`."""
LEAF = 255
SUM, NONE = 1, 0
"""Of `TreeEnsemble`: how the leaves of a row are put together, and what is done with the result."""
Attributes = dict[str, Any]
"""Of the converter's tree node: one value for each node or leaf of all trees, in lists."""


def to_onnx(booster: bytes, n_features: int) -> bytes | None:
    """The booster as an ONNX graph for ONNX Runtime, or None where the converter cannot express it."""
    import onnxmltools
    from onnx import TensorProto, helper
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = load_booster(booster)
    # The converter takes only f0, f1, ...: names are the manifest's business.
    model.feature_names = None
    model.feature_types = None
    try:
        converted = onnxmltools.convert_xgboost(
            model, initial_types=[(ROWS, FloatTensorType([None, n_features]))], target_opset=ONNX_OPSET
        )
    except Exception:
        return None
    attributes = {item.name: helper.get_attribute_value(item) for item in converted.graph.node[0].attribute}
    _add_in_xgboosts_order(attributes)
    mirror = _mirror_missing(attributes, n_features)
    nodes = [*mirror, *_regression(attributes, mirror[-1].output[0] if mirror else ROWS)]
    rows = helper.make_tensor_value_info(ROWS, TensorProto.FLOAT, [None, n_features])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    graph = helper.make_model(
        helper.make_graph(nodes, "trees", [rows], [probabilities]),
        opset_imports=[helper.make_opsetid("", ONNX_OPSET), helper.make_opsetid(ML, ML_OPSET)],
        ir_version=converted.ir_version,
    )
    return bytes(graph.SerializeToString())


def _add_in_xgboosts_order(attributes: Attributes) -> None:
    """Moves the base score into the leaves of the first tree.

    XGBoost starts from the base score and adds tree after tree; ONNX Runtime adds the base score last. Floating-point
    sums depend on the order: so done, the margins are XGBoost's to the bit, and only the last step, the logistic
    function, differs by about one unit in the last place.
    """
    leaves = np.array(attributes["class_weights"], dtype=np.float32)
    leaves[np.array(attributes["class_treeids"]) == 0] += np.float32(attributes["base_values"][0])
    attributes["class_weights"] = leaves.tolist()


def _mirror_missing(attributes: Attributes, n_features: int) -> list[Any]:
    """Lets every missing value go where a comparison that fails goes; gives the nodes that make the trees' input.

    Where missing values go with those below the threshold, ONNX Runtime asks at each node on the way whether the value
    is missing: a sixth of its time for large trees. NaN fails every comparison, so there the node compares the other
    way round, and its branches change places: not `x < t` but `-x <= -t`. For that the rows are followed by their
    negatives. Branches and leaves stay what they were, to the bit.
    """
    from onnx import helper

    mirrored = np.array(attributes["nodes_missing_value_tracks_true"], dtype=bool)
    if not mirrored.any() or set(attributes["nodes_modes"]) != {b"BRANCH_LT", b"LEAF"}:
        return []
    features = np.array(attributes["nodes_featureids"])
    thresholds = np.array(attributes["nodes_values"], dtype=np.float32)
    below = np.array(attributes["nodes_truenodeids"])
    others = np.array(attributes["nodes_falsenodeids"])
    features[mirrored] += n_features
    # `-x <= -t` is `-x < ` the number after -t.
    thresholds[mirrored] = np.nextafter(-thresholds[mirrored], np.float32(np.inf))
    attributes["nodes_featureids"] = features.tolist()
    attributes["nodes_values"] = thresholds.tolist()
    attributes["nodes_truenodeids"] = np.where(mirrored, others, below).tolist()
    attributes["nodes_falsenodeids"] = np.where(mirrored, below, others).tolist()
    del attributes["nodes_missing_value_tracks_true"]
    return [
        helper.make_node("Neg", [ROWS], ["negatives"]),
        helper.make_node("Concat", [ROWS, "negatives"], ["mirrored"], axis=1),
    ]


def _regression(attributes: Attributes, source: str) -> list[Any]:
    """The same trees and logistic function, to the bit, in two nodes that read `source`.

    `TreeEnsembleClassifier` looks for the best class of each row as it walks the trees: a third of its time for small
    trees, a tenth for large ones.
    """
    from onnx import helper

    # Not `Sigmoid`, which is vectorized: a row's bits could depend on its place in the batch on some processor.
    logistic = helper.make_node(
        "LinearClassifier",
        ["margin"],
        ["label", "probabilities"],
        domain=ML,
        coefficients=[1.0],
        intercepts=[0.0],
        classlabels_ints=[0, 1],
        post_transform=attributes["post_transform"],
    )
    return [_ensemble(attributes, source), logistic]


def _ensemble(attributes: Attributes, source: str) -> Any:
    """The trees as a `TreeEnsemble`, which has thresholds and weights in arrays and keeps leaves apart from nodes.

    The converter's older form writes a word for the kind of each node: two and a half times the size for 500 trees of
    depth 8, 14 ms more to read (128 without), and 24 MB more memory afterwards.
    """
    from onnx import helper, numpy_helper

    columns = ("treeids", "nodeids", "truenodeids", "falsenodeids", "featureids")
    trees, ids, below, others, features = (np.array(attributes[f"nodes_{name}"]) for name in columns)
    modes = np.array([MODES.get(mode, LEAF) for mode in attributes["nodes_modes"]], dtype=np.uint8)
    branching = modes != LEAF
    # A node is numbered among those that branch, a leaf among the leaves.
    number = np.where(branching, branching.cumsum(), (~branching).cumsum()) - 1
    width = int(ids.max()) + 1
    places = trees * width + ids
    order = places.argsort()

    def at(tree: Any, node: Any) -> Any:
        """Where in the converter's lists."""
        return order[places.searchsorted(np.asarray(tree) * width + node, sorter=order)]

    weights = np.zeros(len(ids), dtype=np.float32)
    weights[at(attributes["class_treeids"], np.array(attributes["class_nodeids"]))] = attributes["class_weights"]
    roots = at(np.unique(trees), 0)
    # A tree that is one leaf gets a root, both of whose branches lead to it.
    lone = roots[~branching[roots]]
    root_numbers = number[roots]
    root_numbers[~branching[roots]] = branching.sum() + np.arange(len(lone))
    true = np.concatenate([at(trees, below)[branching], lone])
    false = np.concatenate([at(trees, others)[branching], lone])

    def of_nodes(values: Any, filler: float) -> Any:
        values = np.asarray(values)[branching]
        return np.concatenate([values, np.full(len(lone), filler, dtype=values.dtype)])

    optional = {}
    if "nodes_missing_value_tracks_true" in attributes:
        tracks = of_nodes(attributes["nodes_missing_value_tracks_true"], 0)
        optional["nodes_missing_value_tracks_true"] = tracks.tolist()
    thresholds = np.array(attributes["nodes_values"], dtype=np.float32)
    return helper.make_node(
        "TreeEnsemble",
        [source],
        ["margin"],
        domain=ML,
        n_targets=1,
        aggregate_function=SUM,
        post_transform=NONE,
        tree_roots=root_numbers.tolist(),
        nodes_featureids=of_nodes(features, 0).tolist(),
        nodes_modes=numpy_helper.from_array(of_nodes(modes, MODES[b"BRANCH_LT"]), "modes"),
        nodes_splits=numpy_helper.from_array(of_nodes(thresholds, 0.0), "splits"),
        nodes_truenodeids=number[true].tolist(),
        nodes_trueleafs=(~branching[true]).astype(int).tolist(),
        nodes_falsenodeids=number[false].tolist(),
        nodes_falseleafs=(~branching[false]).astype(int).tolist(),
        leaf_targetids=[0] * int((~branching).sum()),
        leaf_weights=numpy_helper.from_array(weights[~branching], "weights"),
        **optional,
    )
