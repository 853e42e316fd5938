"""A model package with faults: rows with certain amounts make its predictor slow, or its answer no number.

It is the default package with a few more nodes in its ONNX graph. All other rows, the golden ones among them, get the
same bits as before, so it passes every check that a package must pass.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.model.manifest import ONNX_FILE, read_manifest

SLOW_AMOUNT = 1234.5
FAILING_AMOUNT = 2345.5

AMOUNT_COLUMN = 0
MATRIX = 896
"""The slow branch multiplies square matrices of this size: some tens of milliseconds each."""


def write_faulty_package(source: Path, target: Path) -> Path:
    """Writes the package `source`, with the faults, to the folder `target`, which is returned."""
    manifest = read_manifest(source)
    assert manifest.feature_names[AMOUNT_COLUMN] == "amount"
    model = _with_faults(onnx.load(source / ONNX_FILE)).SerializeToString()
    target.mkdir(parents=True)
    for name in manifest.files:
        (target / name).write_bytes(model if name == ONNX_FILE else (source / name).read_bytes())
    digest = manifest.files[ONNX_FILE].model_copy(
        update={"sha256": hashlib.sha256(model).hexdigest(), "size": len(model)}
    )
    manifest = manifest.model_copy(update={"files": {**manifest.files, ONNX_FILE: digest}})
    manifest = manifest.model_copy(update={"sha256": manifest.digest()})
    (target / "manifest.json").write_text(manifest.model_dump_json())
    return target


def _with_faults(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    rows, output = graph.input[0].name, graph.output[-1].name
    last = next(node for node in graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "tree_probabilities"

    constants = {
        "amount_column": np.array(AMOUNT_COLUMN, dtype=np.int64),
        "slow_amount": np.array(SLOW_AMOUNT, dtype=np.float32),
        "failing_amount": np.array(FAILING_AMOUNT, dtype=np.float32),
        "one": np.array(1, dtype=np.float32),
        "square": np.array([MATRIX, MATRIX], dtype=np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Gather", [rows, "amount_column"], ["amounts"], axis=1),
            *_any_equal("failing_amount", "failing"),
            *_any_equal("slow_amount", "slow"),
            # p / 1 is p, to the bit; p / 0 is infinite.
            helper.make_node("Sub", ["one", "failing"], ["divisor"]),
            helper.make_node("Div", ["tree_probabilities", "divisor"], ["divided"]),
            helper.make_node("Cast", ["slow"], ["is_slow"], to=TensorProto.BOOL),
            helper.make_node("If", ["is_slow"], ["nothing"], then_branch=_slow(), else_branch=_fast()),
            helper.make_node("Add", ["divided", "nothing"], [output]),
        ]
    )
    model.opset_import.append(helper.make_opsetid("", 17))
    model.ir_version = min(model.ir_version, 9)
    onnx.checker.check_model(model)
    return model


def _any_equal(constant: str, name: str) -> list[onnx.NodeProto]:
    """1.0 in `name` where one of the amounts equals the constant, else 0.0."""
    return [
        helper.make_node("Equal", ["amounts", constant], [f"{name}_rows"]),
        helper.make_node("Cast", [f"{name}_rows"], [f"{name}_flags"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", [f"{name}_flags"], [name], keepdims=0),
    ]


def _slow() -> onnx.GraphProto:
    """Zero, after much work. It begins with an input of the model, or it would be done once, when the model is loaded."""
    nodes = [
        helper.make_node("ConstantOfShape", ["square"], ["zeros"]),
        helper.make_node("Add", ["zeros", "slow"], ["product_0"]),
        *(helper.make_node("MatMul", [f"product_{i}", f"product_{i}"], [f"product_{i + 1}"]) for i in range(2)),
        helper.make_node("ReduceMin", ["product_2"], ["least"], keepdims=0),
        helper.make_node("Sub", ["least", "least"], ["slow_nothing"]),
    ]
    return helper.make_graph(nodes, "slow", [], [_scalar("slow_nothing")])


def _fast() -> onnx.GraphProto:
    nodes = [helper.make_node("Sub", ["one", "one"], ["fast_nothing"])]
    return helper.make_graph(nodes, "fast", [], [_scalar("fast_nothing")])


def _scalar(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [])
