"""What a free or fixed batch means, and how things are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_helpers import agrees, close, feed_of, model, node, random, reference

from spikewright.errors import ReadError
from spikewright.frontends.onnx import OnnxNode, read, reads
from spikewright.graph import IMPORTED, evaluate, evaluate_all
from spikewright.graph.layers import Add, Affine, Identity, Input, ScaleShift

WEIGHT = random(4, 3, 3, 3)


@pytest.mark.parametrize(
    ("declared", "batch"), [(["n", 3, 4, 5], 1), ([None, 3, 4, 5], 3), ([-1, 3, 4, 5], 3)]
)
def test_free_batch(declared: list[Any], batch: int) -> None:
    """A symbolic, missing or negative first extent leaves the batch size free."""
    proto = model([node("Flatten", "x", "y")], {"x": declared}, ["y"])
    assert agrees(proto, batch=batch).graph.shapes["y"] == (60,)


@pytest.mark.parametrize(("fixed", "batch"), [(1, 1), (1, 3), (2, 2), (2, 5)])
def test_fixed_batch(fixed: int, batch: int) -> None:
    """A batch size fixed in the file, in shapes and in Reshape targets, holds for no run."""
    nodes = [node("Reshape", "x target", "flat"), node("Gemm", "flat w", "y")]
    weights = {"target": np.array([fixed, 12]), "w": random(12, 5)}
    proto = model(nodes, {"x": [fixed, 3, 4]}, ["y"], weights)
    source = agrees(proto, batch=batch, independent=fixed == batch)
    feed = feed_of(source, batch)
    expected = feed["x"].reshape(batch, 12) @ weights["w"]
    close(source.activations(feed)["y"], expected)


def test_example_input_gives_open_extents() -> None:
    """Axes that the model leaves open are taken from the example; its batch size is not."""
    nodes = [node("GlobalAveragePool", "x", "p"), node("Flatten", "p", "y")]
    proto = model(nodes, {"x": ["n", 3, "height", "width"]}, ["y"])
    for example in (random(7, 3, 4, 5), (random(1, 3, 4, 5),), {"x": random(2, 3, 4, 5)}):
        assert agrees(proto, example).graph.shapes["x"] == (3, 4, 5)
    with pytest.raises(ReadError, match=r"input 'x'.*axes \[2, 3\].*example_input"):
        read(proto)
    with pytest.raises(ReadError, match=r"'x' is \['n', 3, 'height', 'width'\].*\(1, 4, 4, 4\)"):
        read(proto, random(1, 4, 4, 4))


def test_input_without_a_shape() -> None:
    """A model that states no input shape at all is read with an example."""
    proto = model([node("Relu", "x", "y")], {"x": [1]}, ["y"])
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    assert agrees(proto, random(1, 2, 3)).graph.shapes["y"] == (2, 3)
    with pytest.raises(ReadError, match=r"'x' has no shape.*example_input"):
        read(proto)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ((random(1, 3), random(1, 3)), r"holds 2 arrays; the model's inputs are \['x'\]"),
        ({"z": random(1, 3)}, r"inputs are \['x'\], got \['z'\]"),
        (np.zeros((1, 0), np.float32), "hold something"),
        (np.float32(1), "batch axis"),
    ],
)
def test_example_inputs_that_do_not_fit(example: Any, message: str) -> None:
    """An example of the wrong number, name or size is named."""
    proto = model([node("Relu", "x", "y")], {"x": ["n", "features"]}, ["y"])
    with pytest.raises(ReadError, match=message):
        read(proto, example)


def test_names_are_those_of_the_model() -> None:
    """Nodes keep their names as they are, unnamed ones take their output's; inputs and outputs
    keep theirs.
    """
    nodes = [
        node("Conv", "pixels w", "a", "/features/0/Conv"),
        node("Relu", "a", "/features/1/Relu_output_0"),
        node("Flatten", "/features/1/Relu_output_0", "logits", "flat"),
    ]
    source = agrees(model(nodes, {"pixels": ["n", 3, 6, 6]}, ["logits"], {"w": WEIGHT}))
    graph = source.graph
    assert [n.name for n in graph] == [
        "pixels", "/features/0/Conv", "/features/1/Relu_output_0", "flat",
    ]  # fmt: skip
    assert all(n.source == n.name for n in graph)
    assert [n.source_kind for n in graph][1:] == ["Conv", "Relu", "Flatten"]
    assert graph.outputs == {"logits": "flat"}
    assert graph.inputs == ("pixels",)
    IMPORTED.check(graph)


def test_equal_names_are_kept_apart() -> None:
    """Names that the model uses twice, or that a helper node would take, stay unique."""
    nodes = [
        node("Sub", "x x2", "a", "same"),
        node("Relu", "a", "b", "same"),
        node("Tanh", "b", "y", "same:negative"),
    ]
    graph = agrees(model(nodes, {"x": ["n", 3], "x2": ["n", 3]}, ["y"])).graph
    assert [n.name for n in graph if not isinstance(n.layer, Input)] == [
        "same:negative_1", "same", "same_1", "same:negative",
    ]  # fmt: skip


def test_a_node_named_like_an_input() -> None:
    """An input keeps its name; a node of that name gets another."""
    graph = agrees(model([node("Relu", "x", "y", "x")], {"x": ["n", 3]}, ["y"])).graph
    assert (graph.inputs, graph.outputs) == (("x",), {"y": "x_1"})


def test_steps_on_the_way_belong_to_their_node() -> None:
    """A node that takes several layers gives its name to the last; all say where they are from."""
    source = agrees(model([node("Sub", "a b", "y", "diff")], {"a": ["n", 3], "b": ["n", 3]}, ["y"]))
    layers = [n for n in source.graph if n.source == "diff"]
    assert [type(n.layer) for n in layers] == [ScaleShift, Add]
    assert [n.name for n in layers] == ["diff:negative", "diff"]
    assert "diff:negative" not in source.activations(feed_of(source))


def test_several_inputs_and_outputs() -> None:
    """Inputs and outputs are told apart by their names; one value may be two outputs."""
    nodes = [
        node("Add", "a b", "s"),
        node("Split", "s", "left right", axis=1, num_outputs=2),
        node("Relu", "right", "r"),
    ]
    proto = model(nodes, {"a": ["n", 4], "b": ["n", 4]}, ["left", "r", "s"])
    source = agrees(proto)
    assert source.graph.inputs == ("a", "b")
    assert source.graph.outputs == {"left": "left", "r": "r", "s": "s"}
    right = source.activations(feed_of(source))["left:1"]
    close(right, reference(proto, feed_of(source))["right"])


def test_what_no_output_needs_is_not_read() -> None:
    """An operator without a reader is no obstacle where nothing depends on it."""
    nodes = [node("Relu", "x", "y"), node("Erf", "y", "unused")]
    assert [n.name for n in agrees(model(nodes, {"x": ["n", 3]}, ["y"])).graph] == ["x", "y"]


def test_double_precision() -> None:
    """A double model is read and evaluated in double precision."""
    nodes, weights = [node("MatMul", "x w", "y")], {"w": random(3, 2).astype(np.float64) / 3}
    proto = model(nodes, {"x": ["n", 3]}, ["y"], weights, element=TensorProto.DOUBLE)
    source = read(proto)
    feed = feed_of(source)
    activations = source.activations(feed)["y"]
    assert activations.dtype == np.float64
    close(evaluate(source.graph, feed)["y"], activations, rtol=1e-12)


@pytest.mark.parametrize("element", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_is_widened(element: int) -> None:
    """Half-precision weights are exact in single precision, in the graph and in activations."""
    weights = [
        helper.make_tensor(name, element, value.shape, value.ravel())
        for name, value in (("w", random(3, 4)), ("b", random(4)))
    ]
    constant = helper.make_node(
        "Constant", [], ["c"], value=helper.make_tensor("c", element, [], [3])
    )
    nodes = [
        constant,
        node("MatMul", "x w", "h"),
        node("Add", "h b", "a"),
        node("Add", "a c", "e"),
        node("Cast", "e", "y", to=element),
    ]
    proto = model(nodes, {"x": ["n", 3]}, ["y"], element=element)
    proto.graph.initializer.extend(weights)
    source = read(proto)
    feed = feed_of(source)
    activations = source.activations(feed)
    assert activations["y"].dtype == np.float32
    for name, value in activations.items():
        close(evaluate_all(source.graph, feed)[name], value, rtol=1e-6)
    expected = numpy_helper.to_array(weights[0]).astype(np.float32)
    np.testing.assert_array_equal(source.graph["h"].layer.arrays()["weight"], expected.T)


def test_functions_of_the_model_are_inlined() -> None:
    """A function that the model defines is read as the nodes that it stands for."""
    function = helper.make_function(
        "mine", "Block", ["a"], ["b"],
        [node("Relu", "a", "r"), node("Neg", "minus", "n"), node("Mul", "r n", "b")],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    function.node.insert(0, helper.make_node("Constant", [], ["minus"], value_float=2.0))
    block = helper.make_node("Block", ["x"], ["y"], domain="mine")
    proto = model([block], {"x": ["n", 3]}, ["y"], domains=["mine"])
    proto.functions.append(function)
    source = agrees(proto)
    assert [n.source_kind for n in source.graph][1:] == ["Relu", "Mul"]


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, r"inputs are \['x'\]; missing \['x'\]"),
        ({"x": random(2, 3), "z": random(2, 3)}, r"unknown \['z'\]"),
        ({"x": random(2, 4)}, r"must be \(batch, 3\), got shape \(2, 4\)"),
        ({"x": random(0, 3)}, r"no sample: 'x' of shape \(0, 3\)"),
    ],
)
def test_activations_check_their_inputs(feed: dict[str, Any], message: str) -> None:
    """Missing, unknown and misshapen inputs are named."""
    source = read(model([node("Relu", "x", "y")], {"x": ["n", 3]}, ["y"]))
    with pytest.raises(ReadError, match=message):
        source.activations(feed)


def test_activations_need_one_batch_size() -> None:
    """Inputs of different batch sizes are refused."""
    source = read(model([node("Add", "a b", "y")], {"a": ["n", 3], "b": ["n", 3]}, ["y"]))
    with pytest.raises(ReadError, match=r"differ in their batch size: .*'a': 2, 'b': 3"):
        source.activations({"a": random(2, 3), "b": random(3, 3)})


def test_users_register_their_own_readers() -> None:
    """An operator of a domain of one's own is read and evaluated once it has a reader."""
    from onnx.reference.op_run import OpRun

    class Triple(OpRun):
        op_domain = "spikewright.test"

        def _run(self, x: Any) -> Any:
            return (3 * x,)

    @reads("Triple", domain="spikewright.test", evaluator=Triple)
    def triple(view: OnnxNode) -> str:
        return view.add(ScaleShift(np.array(3.0)), view.signal(0))

    block = helper.make_node("Triple", ["x"], ["y"], domain="spikewright.test")
    proto = model([block], {"x": ["n", 3]}, ["y"], domains=["spikewright.test"])
    agrees(proto, independent=False)
    with pytest.raises(ValueError, match=r"'Triple'.*has a reader"):
        reads("Triple", domain="spikewright.test")(triple)
    reads("Triple", domain="spikewright.test", replace=True)(triple)


def test_the_long_name_of_the_standard_domain() -> None:
    """The domain "ai.onnx" is the standard one."""
    proto = model([node("Shape", "x", "s"), node("Reshape", "x s", "y")], {"x": ["n", 3]}, ["y"])
    for entry in (*proto.opset_import, *proto.graph.node):
        entry.domain = "ai.onnx"
    agrees(proto, independent=False)


def test_kinds_of_layers_made() -> None:
    """The usual operators become the layers that passes expect, not longer ones."""
    nodes = [node("Gemm", "x w", "g"), node("Dropout", "g", "d mask"), node("Add", "d b", "y")]
    graph = agrees(model(nodes, {"x": ["n", 3]}, ["y"], {"w": random(3, 4), "b": random(4)})).graph
    assert [type(n.layer) for n in graph] == [Input, Affine, Identity, ScaleShift]
