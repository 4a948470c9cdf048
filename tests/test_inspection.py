"""Inspecting a model: what each layer becomes, and every reason for which one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

import spikewright as sw
from spikewright.cli import main
from spikewright.errors import DamagedFileError
from spikewright.graph import Graph, Node
from spikewright.graph.layers import Activation, Affine, Input, ScaleShift
from spikewright.inspection import inspect

rng = np.random.default_rng(7)


def model(*nodes: onnx.NodeProto, output: str, **weights: np.ndarray) -> onnx.ModelProto:
    """A model of one input `x`, (batch, 2, 6, 6)."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 6, 6])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def convolution() -> dict[str, np.ndarray]:
    """Weights of three 3 x 3 filters."""
    return {"w": rng.normal(size=(3, 2, 3, 3)), "b": rng.normal(size=3)}


def good() -> onnx.ModelProto:
    """Convolution, ReLU, max pooling, batch normalisation, sum, softmax."""
    norm = {f"n{i}": rng.uniform(0.5, 2.0, 3) for i in range(4)}
    return model(
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["p", *norm], ["n"], "norm"),
        helper.make_node("Flatten", ["n"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "v"], ["d"], "dense"),
        helper.make_node("Softmax", ["d"], ["s"], "softmax"),
        output="s",
        **convolution(),
        **norm,
        v=rng.normal(size=(12, 5)),
    )


def unreadable() -> onnx.ModelProto:
    """Two operators that no layer can stand for, with a good one between them."""
    return model(
        helper.make_node("Sin", ["x"], ["a"], "wave"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("CumSum", ["b", "axis"], ["c"], "running"),
        output="c",
        axis=np.array(1),
    )


def attentive() -> onnx.ModelProto:
    """A softmax inside the network."""
    return model(
        helper.make_node("Flatten", ["x"], ["f"], "flatten"),
        helper.make_node("Softmax", ["f"], ["s"], "attention"),
        helper.make_node("Gemm", ["s", "v"], ["d"], "dense"),
        output="d",
        v=rng.normal(size=(72, 5)),
    )


def test_a_layer_folded_into_a_part_of_another_is_reported_as_such():
    """A shift before a layer with an activation of its own is part of it, not nothing."""
    nodes = (
        Node("x", Input((3,))),
        Node("shift", ScaleShift(shift=np.array([1.0, -2.0, 0.5])), ("x",), "shift", "Shift"),
        Node("dense/linear", Affine(np.eye(3) * 2), ("shift",), "dense", "Dense"),
        Node("dense", Activation("relu"), ("dense/linear",), "dense", "Dense"),
    )
    graph = Graph(nodes, {"y": "dense"})
    rows = {row.name: row.becomes for row in inspect(graph).layers}
    assert rows["shift"] == rows["dense/linear"] == "part of dense"
    layers = sw.convert(graph).layers
    assert layers["shift"] is layers["dense"]


def test_what_each_layer_becomes() -> None:
    """Neurons, a part of what follows, a node of its own, or an activation of what is read out."""
    found = inspect(good())
    becomes = {layer.name: layer.becomes for layer in found.layers}
    kinds = {layer.name: layer.kind for layer in found.layers}

    assert found.convertible
    assert becomes["x"] == "the input"
    assert becomes["conv"] == "part of relu"
    assert becomes["relu"] == f"{3 * 4 * 4} IntegrateAndFire neurons"
    assert becomes["pool"] == "a MaxPool node"
    assert becomes["softmax"] == "softmax of what is read out"
    assert all(becomes.values())
    assert kinds["norm"] == "BatchNormalization"


def test_average_in_place_of_max_pooling() -> None:
    """The policy is the one that `convert` would be given."""
    found = inspect(good(), max_pool="average")
    becomes = {layer.name: layer.becomes for layer in found.layers}

    assert "MaxPool" not in becomes["pool"]


def test_parameters_are_counted_once() -> None:
    """Weights and biases, as trained; the total has no layer twice."""
    found = inspect(good())
    counts = {layer.name: layer.parameters for layer in found.layers}

    assert counts["conv"] == 3 * 2 * 9 + 3
    assert counts["dense"] == 60
    assert counts["relu"] == 0
    assert found.parameters == sum(n for n in counts.values() if n is not None)


def test_every_unreadable_layer_is_reported() -> None:
    """Not the first alone: each with name, kind and reason."""
    found = inspect(unreadable())

    assert not found.convertible
    assert [(layer.name, layer.kind) for layer in found.layers] == [
        ("wave", "Sin"),
        ("running", "CumSum"),
    ]
    assert all(layer.refused for layer in found.layers)
    assert found.parameters is None


def test_a_softmax_inside_the_network_is_sent_as_spikes() -> None:
    """Weights read it, so that neurons carry its value."""
    found = inspect(attentive())
    becomes = {layer.name: layer.becomes for layer in found.layers}

    assert found.convertible
    assert becomes["attention"] == "72 SignedIntegrateAndFire neurons"


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    """There is nothing to report on."""
    path = tmp_path / "cut.onnx"
    path.write_bytes(good().SerializeToString()[:300])

    with pytest.raises(DamagedFileError, match=r"cut\.onnx"):
        inspect(path)


def test_the_command_lists_refusals_and_exits_with_2(tmp_path: Path) -> None:
    """The table is printed all the same, on standard output, as is the JSON document."""
    path = tmp_path / "model.onnx"
    path.write_bytes(unreadable().SerializeToString())
    text = _invoke("inspect", str(path))
    found = json.loads(_invoke("inspect", str(path), "--json").stdout)

    assert "refused: " in text.stdout
    assert "the model cannot be converted as it is." in text.stdout
    assert found["refusals"]
    assert all(r["layer"] and r["kind"] and r["reason"] for r in found["refusals"])


def test_converting_a_refused_model_names_every_layer(tmp_path: Path) -> None:
    """The command `convert` says on standard error what `inspect` lists."""
    path = tmp_path / "model.onnx"
    path.write_bytes(unreadable().SerializeToString())
    message = _invoke("convert", str(path)).stderr

    assert message.startswith("Error: 2 layers cannot be read:")
    assert "'wave' (Sin)" in message
    assert "'running' (CumSum)" in message
    assert "Traceback" not in message


def _invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    return result
