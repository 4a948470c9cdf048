"""Inspecting a model: what each layer becomes, and every reason for which one is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import spikewright as sw
from slowly import in_turn, one_of_each
from spikewright.cli import main
from spikewright.errors import ConversionError, DamagedFileError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Affine,
    Convolution,
    ConvolutionTranspose,
    Input,
    Interpolate,
    Layer,
    MatMul,
    Reshape,
    ScaleShift,
    Shape,
)
from spikewright.showing.inspection import inspect
from spikewright.testing.layers import LayerExample, layer_examples

rng = np.random.default_rng(7)
DIGITS = sw.SignedDigits(4, 1)


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
    """Two operators that no layer can stand for, with good ones around them."""
    return model(
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv"),
        helper.make_node("Tanh", ["c"], ["t"], "tanh"),
        helper.make_node("Sign", ["t"], ["a"], "sign"),
        helper.make_node("Relu", ["a"], ["b1"], "relu"),
        helper.make_node("Round", ["c"], ["r"], "round"),
        helper.make_node("Add", ["b1", "r"], ["y"], "sum"),
        output="y",
        **convolution(),
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


def branch(name: str) -> onnx.GraphProto:
    """A branch of control flow that passes on what it reads from outside."""
    node = helper.make_node("Relu", ["x"], [f"{name}_y"], f"{name}_relu")
    made = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
    return helper.make_graph([node], name, [], [made])


def with_control_flow() -> onnx.ModelProto:
    """An LSTM whose direction is of no standard, a branch, sorting: much that cannot be read."""
    size = 6
    one, other = branch("one"), branch("other")
    lstm = helper.make_node(
        "LSTM", ["t", "w", "r"], ["h"], "lstm", hidden_size=3, direction="sideways"
    )
    return model(
        helper.make_node("Relu", ["x"], ["a"], "relu"),
        helper.make_node("Sign", ["a"], ["s"], "sign"),
        helper.make_node("ReduceSum", ["s"], ["total"], "sum", keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["above"], "above"),
        helper.make_node("If", ["above"], ["c"], "if", then_branch=one, else_branch=other),
        helper.make_node("Reshape", ["a", "rows"], ["t"], "rows"),
        lstm,
        helper.make_node("TopK", ["a", "k"], ["best", "at"], "best"),
        helper.make_node("Concat", ["c", "best"], ["joined"], "joined", axis=1),
        helper.make_node("Add", ["joined", "h"], ["y"], "end"),
        output="y",
        zero=np.array(0.0),
        w=rng.normal(size=(1, 12, size)),
        r=rng.normal(size=(1, 12, 3)),
    )  # fmt: skip


@dataclass(frozen=True)
class Clamped(Layer):
    """A layer of someone's own, which no network is known to compute."""

    def output_shape(self, *shapes: Shape) -> Shape:
        """As the input's."""
        return shapes[0]

    def evaluate(self, *values: NDArray) -> NDArray:
        """Between zero and one."""
        return np.clip(values[0], 0.0, 1.0)


def with_own_layers() -> Graph:
    """Two layers of someone's own, neurons before and behind them."""
    return Graph(
        (
            GraphNode("x", Input((4,))),
            GraphNode("first", Activation("tanh"), ("x",), "first", "Tanh"),
            GraphNode("clamp", Clamped(), ("first",), "clamp", "Clamped"),
            GraphNode("dense", Affine(rng.normal(size=(3, 4))), ("clamp",), "dense", "Dense"),
            GraphNode("relu", Activation("relu"), ("dense",), "relu", "ReLU"),
            GraphNode("again", Clamped(), ("relu",), "again", "Clamped"),
        ),
        {"y": "again"},
    )


def test_parts_of_a_layer_are_one_row() -> None:
    """A layer of the source is one row, whatever nodes it is read as; a shift before it another."""
    nodes = (
        GraphNode("x", Input((3,))),
        GraphNode("shift", ScaleShift(shift=np.array([1.0, -2.0, 0.5])), ("x",), "shift", "Shift"),
        GraphNode("dense/linear", Affine(np.eye(3) * 2), ("shift",), "dense", "Dense"),
        GraphNode("dense", Activation("relu"), ("dense/linear",), "dense", "Dense"),
    )
    graph = Graph(nodes, {"y": "dense"})
    rows = {row.name: row for row in inspect(graph).layers}
    assert list(rows) == ["x", "shift", "dense"]
    assert rows["shift"].becomes == "part of dense"
    assert rows["dense"].becomes == "3 IntegrateAndFire neurons"
    assert (rows["dense"].parameters, rows["dense"].operations) == (9, 9)
    assert (rows["shift"].status, rows["dense"].status) == ("exact", "convergent")
    layers = sw.convert(graph).layers
    assert layers["shift"] is layers["dense"]


def test_a_layer_used_twice_is_counted_once() -> None:
    """Its parameters, copies of them too; its operations as often as it computes."""
    weight, bias = rng.normal(size=(3, 3)), np.zeros(3)
    nodes = (
        GraphNode("x", Input((3,))),
        GraphNode("dense", Affine(weight, bias), ("x",), "dense", "Dense"),
        GraphNode("dense_1", Affine(weight.copy(), bias.copy()), ("dense",), "dense", "Dense"),
        GraphNode(
            "other", Affine(rng.normal(size=(2, 3)), np.zeros(2)), ("dense_1",), "other", "Dense"
        ),
    )
    found = inspect(Graph(nodes, {"y": "other"}))
    counts = {row.name: (row.parameters, row.operations) for row in found.layers}
    assert counts == {"x": (0, 0), "dense": (12, 18), "other": (8, 6)}
    assert (found.parameters, found.operations) == (20, 24)


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
    status = {layer.name: layer.status for layer in found.layers}
    assert {name for name, of in status.items() if of == "convergent"} == {"relu", "pool"}
    assert set(status.values()) == {"exact", "convergent"}
    assert found.guarantee == sw.convert(good(), spiking=True).trace.guarantee == "convergent"
    assert kinds["norm"] == "BatchNormalization"


def test_average_in_place_of_max_pooling_is_a_loss() -> None:
    """A policy that is not exact makes the layer, and with it the network, approximated."""
    found = inspect(good(), max_pool="average")
    pool = next(layer for layer in found.layers if layer.name == "pool")
    trace = sw.convert(good(), spiking=True, max_pool="average").trace
    losses = {entry.layer: entry.text for entry in trace.warnings}

    assert "MaxPool" not in pool.becomes
    assert pool.status == found.guarantee == trace.guarantee == "approximated"
    assert losses == {"pool": pool.why} == {"pool": "average pooling in place of max pooling"}


@pytest.mark.parametrize(("model", "layer"), [(good, "relu"), (attentive, "attention")])
def test_a_cap_on_spikes_is_a_loss_where_neurons_send(model: Callable[[], Any], layer: str) -> None:
    """Rectifiers clip, and so do signed neurons behind functions; linear layers lose nothing."""
    found = inspect(model(), max_spikes_per_step=1)
    rows = {row.name: row for row in found.layers}

    assert not found.refusals
    assert rows[layer].status == found.guarantee == "approximated"
    assert rows[layer].why == "at most 1 spike a step, larger values clip"
    lossy = {row.name for row in found.layers if row.status == "approximated"}
    assert lossy == {row.name for row in found.layers if "neurons" in row.becomes}


def test_layers_without_a_form_are_refused_and_the_rest_is_shown() -> None:
    """All of them, by both `inspect` and `convert`."""
    found = inspect(with_own_layers())
    rows = {row.name: row for row in found.layers}

    assert [name for name, row in rows.items() if row.status == "refused"] == ["clamp", "again"]
    assert all("known to compute Clamped" in rows[name].why for name in ("clamp", "again"))
    assert rows["first"].becomes == "4 RunningMeanSpiking neurons"
    assert rows["dense"].becomes == "part of relu"
    assert rows["relu"].becomes == "3 IntegrateAndFire neurons"
    with pytest.raises(ConversionError) as caught:
        sw.convert(with_own_layers())
    assert caught.value.refusals == found.refusals


def test_a_choice_that_does_not_exist_is_an_error() -> None:
    """Not a refused layer."""
    with pytest.raises(ConversionError, match="max_pool"):
        inspect(good(), max_pool="first")  # type: ignore[arg-type]


def test_parameters_are_counted_once() -> None:
    """Weights and biases, as trained; the total has no layer twice."""
    found = inspect(good())
    counts = {layer.name: layer.parameters for layer in found.layers}

    assert counts["conv"] == 3 * 2 * 9 + 3
    assert counts["dense"] == 60
    assert counts["relu"] == 0
    assert counts["norm"] == 4 * 3
    assert found.parameters == sum(n for n in counts.values() if n is not None)


def test_operations_are_products_that_are_summed() -> None:
    """By hand: filters x positions x taps x channels; rows x columns; nothing else."""
    counts = {layer.name: layer.operations for layer in inspect(good()).layers if layer.operations}

    assert counts == {"conv": 3 * (4 * 4) * (3 * 3 * 2), "dense": 12 * 5}


@pytest.mark.parametrize(
    "example",
    one_of_each(layer_examples(), lambda example: (example.layer.kind, example.shapes)),
    ids=lambda example: example.id,
)
def test_operations_are_the_products_of_the_layer_s_equation(example: LayerExample) -> None:
    """Of a layer with weights: as many as its output has derivatives by what they multiply.

    Counted on an input of ones with weights of ones, where a sum is its number of products.
    """
    layer, shapes = example.layer, example.shapes
    found = layer.multiply_accumulates(*shapes)
    if isinstance(layer, Convolution | ConvolutionTranspose | Affine):
        ones = replace(layer, weight=np.ones_like(layer.weight), bias=None)
        inside = ones.evaluate(*(np.ones((1, *shape)) for shape in shapes)).sum()
        padded = isinstance(layer, Convolution | ConvolutionTranspose) and any(
            map(any, layer.padding)
        )
        assert found >= inside if padded else found == inside
    elif isinstance(layer, MatMul):
        assert found == layer.evaluate(*(np.ones((1, *shape)) for shape in shapes)).sum()
    elif isinstance(layer, Interpolate):
        assert found > 0
    else:
        assert found == 0


def test_every_unreadable_layer_is_reported_among_the_others() -> None:
    """Not the first alone: each with name, kind and reason, at its place in the model."""
    found = inspect(unreadable())
    rows = {layer.name: layer for layer in found.layers}

    assert not found.convertible
    assert [refusal.layer for refusal in found.refusals] == ["sign", "round"]
    assert list(rows) == ["x", "conv", "tanh", "sign", "relu", "round", "sum"]
    assert {name for name, row in rows.items() if row.status == "refused"} == {"sign", "round"}
    assert all(rows[name].why and rows[name].shape is None for name in ("sign", "round"))
    assert found.guarantee == "refused"
    assert (found.parameters, found.operations) == (None, None)


def test_what_cannot_be_known_is_empty() -> None:
    """What a layer before a refused one becomes, and all of one behind it; not what is known."""
    rows = {layer.name: layer for layer in inspect(unreadable()).layers}

    assert (rows["conv"].parameters, rows["conv"].shape) == (57, (3, 4, 4))
    assert (rows["conv"].becomes, rows["conv"].status) == ("", "exact")
    assert (rows["tanh"].becomes, rows["tanh"].status) == ("", "")
    assert rows["tanh"].why == "depends on its readers, which cannot be read"
    assert (rows["relu"].shape, rows["relu"].becomes, rows["relu"].status) == (None, "", "")
    assert rows["relu"].why == "reads a layer that could not be read"


def test_control_flow_is_reported_with_every_reason(tmp_path: Path) -> None:
    """A file full of what cannot be read: a table, all reasons, exit code 2, no traceback."""
    path = tmp_path / "model.onnx"
    proto = with_control_flow()
    proto.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([12, -1, 6]), "rows"),
            numpy_helper.from_array(np.array([2]), "k"),
        ]
    )
    path.write_bytes(proto.SerializeToString())
    found = json.loads(_invoke("inspect", str(path), "--json").stdout)
    text = _invoke("inspect", str(path))

    refused = {row["name"] for row in found["layers"] if row["status"] == "refused"}
    assert {"sign", "if", "lstm", "best"} <= refused
    assert refused == {refusal["layer"] for refusal in found["refusals"]}
    assert all(name in text.stdout for name in refused)
    assert "Traceback" not in text.output


def test_a_softmax_inside_the_network_is_sent_as_spikes() -> None:
    """Weights read it, so that neurons carry its value."""
    found = inspect(attentive())
    becomes = {layer.name: layer.becomes for layer in found.layers}

    assert found.convertible
    assert becomes["attention"] == "a Softmax node, 72 SignedIntegrateAndFire neurons"


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

    assert "2 layers refused, for 2 reasons" in text.stdout
    assert "The model cannot be converted as it is." in text.stdout
    assert found["refusals"]
    assert all(r["layer"] and r["kind"] and r["reason"] for r in found["refusals"])


def test_converting_a_refused_model_names_every_layer(tmp_path: Path) -> None:
    """The command `convert` says on standard error what `inspect` lists."""
    path = tmp_path / "model.onnx"
    path.write_bytes(unreadable().SerializeToString())
    message = _invoke("convert", str(path)).stderr

    assert message.startswith("Error: 2 layers cannot be read:")
    assert "'sign' (Sign)" in message
    assert "'round' (Round)" in message
    assert "Traceback" not in message


def _invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    return result


def gated() -> Graph:
    """Two matrices of one value, multiplied, and weights that read the product."""
    dense = [Affine(rng.normal(size=(4, 4)), rng.normal(size=4)) for _ in range(3)]
    nodes = (
        GraphNode("x", Input((4,))),
        GraphNode("first", dense[0], ("x",)),
        GraphNode("act", Activation("relu"), ("first",)),
        GraphNode("gate", dense[1], ("act",)),
        GraphNode("open", Activation("sigmoid"), ("gate",)),
        GraphNode("up", dense[2], ("act",)),
        GraphNode("product", MatMul(transpose_b=True), ("rows", "columns")),
        GraphNode("down", dense[0], ("product",)),
    )
    row, column = Reshape((4, 1)), Reshape((4, 1))
    nodes = (*nodes[:6], GraphNode("rows", row, ("open",)), GraphNode("columns", column, ("up",)),
             *nodes[6:])  # fmt: skip
    return Graph(nodes, {"y": "down"})


def test_places_that_spike_and_products_of_numbers_are_listed() -> None:
    """In both codes: digits send the operand that rates leave a number; spikes meet weights."""
    rates, digits = (inspect(gated(), coding=c) for c in (None, DIGITS))
    assert rates.places == ("act", "open", "product")
    assert digits.places == ("act", "open", "up/spikes", "product")
    for found in (rates, digits):
        analog = {layer.name: layer.analog for layer in found.layers if layer.analog}
        assert analog == {"first": 16, "product": 16}
        assert found.analog == 32 and found.operations == 16 * 4 + 64
    (up,) = (layer for layer in digits.layers if layer.name == "up")
    assert up.becomes == "4 BipolarIntegrateAndFire neurons"


EVERY = [example for example in layer_examples() if example.layer.arity != 0]


@pytest.mark.parametrize(("example", "code"), in_turn(EVERY, (sw.RateCode(), DIGITS)))
def test_inspection_says_what_a_conversion_has(example: LayerExample, code: Any) -> None:
    """The places are the populations of `convert`, for every layer of the registry."""
    read = [f"x{i}" for i in range(len(example.shapes))]
    acts = [f"{name}/act" for name in read]
    nodes = [GraphNode(n, Input(s)) for n, s in zip(read, example.shapes, strict=True)]
    nodes += [GraphNode(a, Activation("sigmoid"), (n,)) for a, n in zip(acts, read, strict=True)]
    nodes.append(GraphNode("layer", example.layer, tuple(acts)))
    nodes.append(GraphNode("end", Activation("relu"), ("layer",)))
    graph = Graph(tuple(nodes), {"y": "end"})
    found = inspect(graph, coding=code)
    if found.convertible:
        scale = dict.fromkeys(found.places, 100.0) or None
        made = sw.convert(graph, spiking=True, coding=code, scale_firing_rates=scale)
        assert set(found.places) == set(made.populations())


def test_the_command_takes_a_code(tmp_path: Path) -> None:
    """The last sentence names places, and layers with their shares."""
    file = tmp_path / "model.onnx"
    onnx.save(good(), file)
    result = CliRunner().invoke(main, ["inspect", str(file), "--coding", "digits:4"])
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "1 place sends spikes: relu." in told
    assert "multiply two numbers, neither of them a spike (conv" in told


def test_it_prints_what_the_command_prints(tmp_path: Path) -> None:
    """The same tables and sentences; `repr` is one line with figures."""
    from spikewright.showing.demo import MODEL

    found = inspect(MODEL)
    printed = CliRunner().invoke(main, ["inspect", str(MODEL)]).stdout
    text = str(found)
    assert " ".join(printed.split()).endswith(" ".join(text.split("\n\n")[-1].split()))
    assert all(layer.name in text for layer in found.layers) and "2 places send spikes" in text
    assert repr(found) == f"<Inspection of {len(found.layers)} layers, convergent>"
    assert max(map(len, text.split("\n\n")[0].splitlines())) <= 80


def test_a_piped_table_is_plain_columns() -> None:
    """Columns are apart by two blanks or more, a row a line, without lines or colours."""
    from spikewright.showing.demo import MODEL

    printed = CliRunner().invoke(main, ["inspect", str(MODEL)]).stdout
    rows = printed.split("\n\n")[0].splitlines()[1:]
    assert printed.isascii()
    assert {len(re.split(r"  +", row)) for row in rows} == {9}, rows
