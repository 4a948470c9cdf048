"""Constants that are computed while a model is read, and control flow that they decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper
from onnx_helpers import NEWEST, agrees, close, model, node, random

import spikewright as sw
from spikewright.errors import GraphError, UnsupportedLayerError
from spikewright.frontends.onnx import read
from spikewright.graph import evaluate
from spikewright.graph.layers import Reshape

WEIGHT, BIAS = random(4, 3, 3, 3), random(4)


def conv_model(*before: Any, weights: dict[str, Any]) -> onnx.ModelProto:
    """One convolution whose weights `w` come from the given nodes or weights."""
    nodes = [*before, node("Conv", "x w b", "y")]
    return model(nodes, {"x": ["n", 3, 6, 6]}, ["y"], {"b": BIAS, **weights})


def test_initialisers_that_are_also_inputs_are_weights() -> None:
    """Up to IR version 3 every initialiser is listed among the inputs; it is no data."""
    proto = conv_model(weights={"w": WEIGHT})
    for name, value in (("w", WEIGHT), ("b", BIAS)):
        proto.graph.input.append(helper.make_tensor_value_info(name, 1, value.shape))
    proto.ir_version = 3
    assert agrees(proto).graph.inputs == ("x",)


def test_weights_as_constant_nodes() -> None:
    """A Constant node's tensor is as good as an initialiser."""
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHT))
    source = agrees(conv_model(constant, weights={}))
    np.testing.assert_array_equal(source.graph["y"].layer.arrays()["weight"], WEIGHT)


def test_weights_behind_identities_and_small_subgraphs() -> None:
    """Constants are followed through operators that can be computed beforehand."""
    before = [
        node("Identity", "w0", "w1"),
        node("Transpose", "w1", "w2", perm=[3, 2, 0, 1]),
        node("Mul", "w2 half", "w3"),
        node("Cast", "w3", "w", to=TensorProto.FLOAT),
    ]
    weights = {"w0": WEIGHT.transpose(2, 3, 1, 0), "half": np.array(0.5, np.float32)}
    source = agrees(conv_model(*before, weights=weights))
    close(source.graph["y"].layer.arrays()["weight"], WEIGHT / 2)
    assert len(source.graph) == 2  # nothing of the constant part is left


def view_chain(opset: int) -> list[Any]:
    """A flatten as the exporters write `x.view(x.size(0), -1)`."""
    axes = {"axes": [0]} if opset < 13 else {}
    more = "" if opset < 13 else " zero1"
    return [
        node("Relu", "x", "r"),
        node("Shape", "r", "shape"),
        node("Gather", "shape zero", "first", axis=0),
        node("Unsqueeze", "first" + more, "first1", **axes),
        node("Unsqueeze", "minus" + more, "minus1", **axes),
        node("Concat", "first1 minus1", "target", axis=0),
        node("Reshape", "r target", "y"),
    ]


CHAIN_WEIGHTS = {"zero": np.array(0), "minus": np.array(-1), "zero1": np.array([0])}


@pytest.mark.parametrize("opset", [9, 11, 13, NEWEST])
def test_flatten_by_shape_arithmetic(opset: int) -> None:
    """Shape, Gather, Unsqueeze, Concat, Reshape with a free batch is a plain Reshape."""
    proto = model(view_chain(opset), {"x": ["n", 3, 4, 5]}, ["y"], CHAIN_WEIGHTS, opset)
    source = agrees(proto)
    assert source.graph["y"].layer == Reshape((60,))
    assert agrees(proto, batch=1).graph.shapes == source.graph.shapes


def test_reshape_to_a_computed_number_of_features() -> None:
    """What follows from the free batch size by arithmetic is computed as well."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Slice", "shape zero one", "batch"),
        node("Size", "x", "size"),
        node("Div", "size batch", "features"),
        node("Concat", "batch features", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    weights = {"zero": np.array([0]), "one": np.array([1])}
    source = agrees(model(nodes, {"x": ["n", 3, 4, 5]}, ["y"], weights))
    assert source.graph.shapes["y"] == (60,)


def test_constant_expanded_to_the_batch() -> None:
    """A constant repeated for every sample is one constant."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Expand", "c shape", "all"),
        node("Add", "x all", "y"),
    ]
    source = agrees(model(nodes, {"x": ["n", 3, 4]}, ["y"], {"c": random(1, 3, 1)}))
    assert source.graph["y"].layer.arrays()["shift"].shape == (3, 4)


def test_nan_weights_are_a_graph_error() -> None:
    """Parameters that are not finite are reported with the layer's name."""
    weight = WEIGHT.copy()
    weight[0, 0, 0, :2] = np.nan
    with pytest.raises(GraphError, match=r"'y' \(Convolution\): 2 of 108 values of its weight"):
        read(conv_model(weights={"w": weight}))


def test_outputs_that_are_left_out() -> None:
    """An output without a name shifts no other, of constants and of signals; and an input that is
    not given needs no node that leaves an output out.
    """
    nodes = [
        node("Unique", "x", "u -", "unused"),
        node("Split", "c sizes", "- right", axis=0),
        node("Split", "x sizes", "- second", axis=1),
        node("Resize", "second - - target", "same"),
        node("Add", "same right", "y"),
    ]
    weights = {"c": random(5), "sizes": np.array([2, 3])}
    weights["target"] = np.array([3, 3])
    source = agrees(model(nodes, {"x": [3, 5]}, ["y"], weights), independent=False)
    shift = source.graph["y"].layer.arrays()["shift"]
    np.testing.assert_array_equal(shift, weights["c"][2:])
    assert [n.name for n in source.graph] == ["x", "second:1", "same", "y"]


TYPES = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "on": TensorProto.BOOL}


def body(inputs: str, outputs: str, *nodes: Any, **weights: ArrayLike) -> onnx.GraphProto:
    """A subgraph; the names `i`, `go` and `on` are a count and truth values."""

    def value(name: str) -> onnx.ValueInfoProto:
        kind = TYPES.get(name.rstrip("2"), TensorProto.FLOAT)
        shape = [] if name.rstrip("2") in TYPES else None
        return helper.make_tensor_value_info(name, kind, shape)

    made = [numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items()]
    return helper.make_graph(
        list(nodes),
        "body",
        list(map(value, inputs.split())),
        list(map(value, outputs.split())),
        made,
    )


def loop(inputs: str, outputs: str, graph: onnx.GraphProto, name: str = "again") -> Any:
    """A Loop."""
    return node("Loop", inputs, outputs, name, body=graph)


WEIGHTS = {"times": np.array(3), "w": random(4, 4) / 2, "go0": np.array(True)}
ON = node("Identity", "go", "on")
STEP = (ON, node("MatMul", "v w", "m", "product"), node("Tanh", "m", "vv", "bend"))


def small(*nodes: Any, outputs: str = "y", shape: tuple[Any, ...] = ("n", 4), **more: Any) -> Any:
    """A model of one input `x`, with the weights that its nodes read."""
    opset = more.pop("opset", 18)
    weights = {**WEIGHTS, **more}
    text = "".join(str(n) for n in nodes)
    used = {name: value for name, value in weights.items() if f'"{name}"' in text}
    return model(nodes, {"x": shape}, outputs.split(), used, opset)


@pytest.mark.parametrize(("opset", "batch"), [(11, "n"), (13, 1), (18, 3)])
def test_a_loop_of_constant_length(opset: int, batch: Any) -> None:
    """Every run of the body is layers of its own, with the weights around it shared; what it puts
    together run by run lies along a new axis.
    """
    graph = body("i go v", "on vv kept", *STEP, node("Relu", "vv", "kept"))
    nodes = [
        loop("times go0 x", "last all", graph),
        node("Transpose", "all", "rows", "rows", perm=[1, 0, 2]),
        node("Add", "last x", "y", "sum"),
    ]
    source = agrees(
        small(*nodes, outputs="y rows", shape=(batch, 4), opset=opset), independent=False
    )
    assert source.graph.shapes[source.graph.outputs["rows"]] == (3, 4)
    assert {f"again/{k}/bend" for k in range(3)} <= {n.name for n in source.graph}
    assert sw.convert(source.graph, spiking=True).trace.guarantee == "convergent"


def test_the_number_of_a_run_counts() -> None:
    """A body that takes the row of its number reads another one in every run."""
    graph = body(
        "i go v", "on vv", ON, node("Gather", "x i", "row", axis=1), node("Add", "v row", "s"),
        node("Relu", "s", "vv"),
    )  # fmt: skip
    start = node("ReduceMean", "x", "start", axes=[1], keepdims=0)
    proto = small(start, loop("times - start", "y", graph), shape=("n", 3, 4), opset=13)
    agrees(proto, independent=False)


def test_a_loop_that_a_constant_condition_ends() -> None:
    """The condition may be computed, from the number of the run or from what is carried."""
    graph = body(
        "i go v", "on vv", node("MatMul", "v w", "vv"), node("Less", "i two", "on"), two=np.array(2)
    )
    source = agrees(small(loop("- go0 x", "y", graph)), independent=False)
    assert sum(n.source_kind == "MatMul" for n in source.graph) == 3


def test_a_loop_as_long_as_an_axis() -> None:
    """How often it runs may come from a shape that is fixed."""
    nodes = [
        node("Shape", "x", "extents", start=1, end=2),
        node("Squeeze", "extents", "count"),
        node("ReduceMax", "x", "start", axes=[1], keepdims=0),
        loop("count - start", "y", body("i go v", "on vv", *STEP)),
    ]
    source = agrees(small(*nodes, shape=("n", 5, 4), opset=15), independent=False)
    assert {"again/4/bend"} <= {n.name for n in source.graph} and "again/5/bend" not in source.graph


def test_loops_and_branches_inside_each_other() -> None:
    """A loop in a loop, and a branch in that, each with names of its own."""
    then = body("", "t", node("Relu", "m2", "t"))
    other = body("", "u", node("Tanh", "m2", "u"))
    inner = body(
        "i2 go2 v2", "on2 vv2", node("Identity", "go2", "on2"), node("MatMul", "v2 w", "m2"),
        node("Less", "i2 one", "small"),
        node("If", "small", "vv2", "choice", then_branch=then, else_branch=other),
        one=np.array(1),
    )  # fmt: skip
    outer = body("i go v", "on vv", ON, loop("two - v", "vv", inner, "inner"), two=np.array(2))
    source = agrees(small(loop("two2 - x", "y", outer), two2=np.array(2)), independent=False)
    kinds = [n.layer.function for n in source.graph if n.layer.kind == "Activation"]
    assert kinds == ["relu", "tanh", "relu", "tanh"]


def test_a_loop_that_never_runs() -> None:
    """What it carries comes out as it went in; what it would have put together is missing."""
    graph = body("i go v", "on vv kept", *STEP, node("Relu", "vv", "kept"))
    nodes = [loop("none - x", "last all", graph), node("Relu", "last", "y")]
    agrees(small(*nodes, none=np.array(0)), independent=False)
    with pytest.raises(UnsupportedLayerError, match="it never runs"):
        read(small(*nodes, node("ReduceSum", "all", "z"), outputs="y z", none=np.array(0)))


SCAN = body("h e", "hh kept", node("Add", "h e", "s"), node("MatMul", "s w", "m"),
            node("Tanh", "m", "hh"), node("Relu", "hh", "kept"))  # fmt: skip


@pytest.mark.parametrize(("backwards", "turned", "axis"), [(0, 0, 1), (1, 0, -2), (1, 1, 1)])
def test_a_scan_along_a_sequence(backwards: int, turned: int, axis: int) -> None:
    """A recurrent network as a scan: state carried, entries taken from either end, results put
    together along any axis.
    """
    nodes = [
        node("ReduceMean", "x", "start", axes=[1], keepdims=0),
        node(
            "Scan", "start x", "last y", "over", body=SCAN, num_scan_inputs=1,
            scan_input_axes=[axis], scan_input_directions=[backwards],
            scan_output_axes=[1], scan_output_directions=[turned],
        ),
    ]  # fmt: skip
    source = agrees(small(*nodes, outputs="last y", shape=("n", 5, 4), opset=13), independent=False)
    assert source.graph.shapes[source.graph.outputs["y"]] == (5, 4)


def test_a_scan_of_constants_beside_the_data() -> None:
    """Several sequences at once, one of them constant."""
    graph = body("e c", "kept", node("Mul", "e c", "kept"))
    nodes = [
        node("Scan", "x table", "y", "over", body=graph, num_scan_inputs=2,
             scan_input_axes=[1, 0], scan_output_axes=[1]),
    ]  # fmt: skip
    agrees(small(*nodes, shape=("n", 3, 4), table=random(3, 4)), independent=False)


def test_what_is_written_out_is_not_observed_inside() -> None:
    """Values in a body have no name outside, so the source's activations leave them out, and the
    loop's own results are there.
    """
    source = agrees(
        small(loop("times - x", "y", body("i go v", "on vv", *STEP))), independent=False
    )
    assert set(source.activations({"x": random(2, 4)})) == {"x", "again/2/bend"}


REFUSED: list[tuple[list[Any], str]] = [
    (
        [node("ReduceMax", "x", "top", keepdims=0), node("Greater", "top two", "above"),
         node("If", "above", "y", "it", then_branch=body("", "t", node("Relu", "x", "t")),
              else_branch=body("", "u", node("Tanh", "x", "u")))],
        "'it'.*condition is computed from the data",
    ),
    (
        [node("Greater", "x two", "above"),
         node("If", "above", "y", "it", then_branch=body("", "t", node("Relu", "x", "t")),
              else_branch=body("", "u", node("Tanh", "x", "u")))],
        "'it'.*condition is computed from the data",
    ),
    (
        [node("Loop", "x go0 x", "y", "it", body=body("i go v", "on vv", *STEP))],
        "'it'.*how often it runs is computed from the data",
    ),
    (
        [node("Shape", "x", "all", start=0, end=1), node("Squeeze", "all", "rows"),
         loop("rows - x", "y", body("i go v", "on vv", *STEP), "it")],
        "'it'.*mixes the samples of a batch",
    ),
    (
        [loop("many - x", "y", body("i go v", "on vv", *STEP), "it")],
        "'it'.*16384 nodes in all are the limit",
    ),
    (
        [loop("- - x", "y", body("i go v", "on vv", *STEP), "it")],
        "'it'.*16384 nodes in all are the limit",
    ),
    (
        [node("Scan", "start x", "last y", "it", num_scan_inputs=1,
              body=body("s e", "t kept", node("Add", "s e", "t"), node("Relu", "t", "kept")))],
        "'it'.*mixes the samples of a batch",
    ),
    (
        [loop("times - x", "y", body("i go v", "on vv", ON, node("Floor", "v", "vv", "odd")))],
        r"Floor \(again/0/odd.*jumps",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "message"), REFUSED)
def test_what_the_data_decide_is_refused(nodes: list[Any], message: str) -> None:
    """By name: conditions and lengths from the data or the batch, endless loops, the batch as a
    sequence; and what cannot be read inside, in the run that it is met in.
    """
    more = {"two": np.float32(2), "many": np.array(2**40), "start": np.zeros(4, np.float32)}
    with pytest.raises(UnsupportedLayerError, match=message):
        read(small(*nodes, **more))


def test_a_loop_is_the_network_without_one() -> None:
    """Layers of a loop that is written out are those of the same network without a loop."""
    graph = body("i go v", "on vv", *STEP)
    looped = read(small(loop("times - x", "y", graph))).graph
    plain = [n for k in range(3) for n in (
        node("MatMul", f"{'xab'[k]} w", f"m{k}"), node("Tanh", f"m{k}", "aby"[k])
    )]  # fmt: skip
    straight = read(small(*plain)).graph
    x = {"x": random(5, 4)}
    close(evaluate(looped, x)["y"], evaluate(straight, x)["y"])
    assert [n.layer.kind for n in looped] == [n.layer.kind for n in straight]
