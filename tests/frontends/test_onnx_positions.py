"""Values put elsewhere by constant positions, and guards against what is no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_helpers import agrees, model, node, random, single

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import read
from spikewright.graph import evaluate
from spikewright.graph.layers import Concatenate, Take
from spikewright.testing.frontends import check_call

RNG = np.random.default_rng(0)


def positions(extent: int, *shape: int) -> np.ndarray:
    """Seeded positions along an axis, from either end."""
    return RNG.integers(-extent, extent, shape)


COUNT = [
    node("Shape", "x", "batch", start=0, end=1),
    node("Squeeze", "batch", "count"),
    node("Range", "zero count one", "samples"),
    node("Unsqueeze", "samples axes", "column"),
    node("Mul", "p zero", "nothing"),
    node("Add", "column nothing", "first"),
    node("Mul", "column zero", "none"),
    node("Add", "none p", "others"),
    node("Concat", "first others", "all", axis=-1),
]
"""The numbers of samples along axis 0, and beside them positions `p`, the same for all."""
COUNTING = {"zero": np.array(0), "one": np.array(1), "axes": np.array([1, 2])}


@pytest.mark.parametrize(("batch", "shared"), [("n", 0), (3, 1), (1, 0)])
def test_positions_that_count_samples(batch: Any, shared: int) -> None:
    """GatherND by the number of the sample and another position, or by that alone."""
    weights = {**COUNTING, "p": positions(4, 1, 5, 1)}
    last = node("GatherND", "x others" if shared else "x all", "y", "it", batch_dims=shared)
    nodes = [*COUNT, last]
    source = agrees(model(nodes, {"x": [batch, 4, 3]}, ["y"], weights), independent=False)
    assert source.graph.shapes[source.graph.outputs["y"]] == (5, 3)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_values_put_where_samples_are_counted(batch: Any) -> None:
    """ScatterND, as exporters write the assignment to a slice: data and constants, and of both."""
    nodes = [
        *COUNT,
        node("Slice", "x zeros twos ones", "part"),
        node("Neg", "part", "negative"),
        node("ScatterND", "x all negative", "f", "signals"),
        node("Shape", "part", "wide"),
        node("Expand", "c wide", "numbers"),
        node("ScatterND", "f all numbers", "y", "constants"),
    ]
    weights = {
        **COUNTING, "p": np.array([[[0], [2]]]), "zeros": np.array([0]), "twos": np.array([2]),
        "ones": np.array([1]), "c": random(1, 2, 3),
    }  # fmt: skip
    agrees(model(nodes, {"x": [batch, 4, 3]}, ["y"], weights), independent=False)


def alike(indices: np.ndarray, batch: int) -> np.ndarray:
    """The same positions for every sample."""
    return np.broadcast_to(indices, (batch, *indices.shape)).copy()


@pytest.mark.parametrize(
    ("operator", "axis", "batch"),
    [("GatherElements", 1, 3), ("GatherElements", -1, 1), ("ScatterElements", -1, 3)],
)
def test_positions_along_an_axis(operator: str, axis: int, batch: int) -> None:
    """A value for every position, of fewer entries than there are along other axes."""
    indices = alike(np.array([[1, 0], [2, 3]]) % (4 if axis == 1 else 3), batch)
    operands = [indices] if operator == "GatherElements" else [indices, random(batch, 2, 2)[:1] + 0]
    if operator == "ScatterElements":
        operands[1] = np.repeat(operands[1], batch, 0)
        indices[...] = alike(np.array([[1, 0], [2, 1]]), batch)
    proto = single(operator, (4, 3), operands, batch=batch, axis=axis)
    source = agrees(proto, batch=batch, independent=False)
    assert any(isinstance(n.layer, Take) for n in source.graph)
    both = any(isinstance(n.layer, Concatenate) for n in source.graph)
    assert both is (operator == "ScatterElements")


def test_strides_of_many_values() -> None:
    """PyTorch's exporter counts all values of a batch, in arrays of thousands of numbers."""
    nodes = [
        node("Reshape", "x minus", "flat"),
        node("Shape", "x", "batch", start=0, end=1),
        node("Squeeze", "batch", "count"),
        node("Range", "zero count one", "samples"),
        node("Mul", "samples size", "starts"),
        node("Unsqueeze", "starts axes", "columns"),
        node("Add", "columns inside", "all"),
        node("Gather", "flat all", "y", "it"),
    ]
    weights = {
        "minus": np.array([-1]), "zero": np.array(0), "one": np.array(1), "size": np.array(320),
        "axes": np.array([1, 2, 3]), "inside": RNG.permutation(320).reshape(1, 320, 1, 1),
    }  # fmt: skip
    source = agrees(model(nodes, {"x": ["n", 320, 1, 1]}, ["y"], weights), independent=False)
    assert source.graph.shapes[source.graph.outputs["y"]] == (320, 1, 1)


MIXED: list[tuple[str, dict[str, Any], str]] = [
    ("GatherND", {"operands": [np.array([[1], [0]])]}, "do not fit"),
    ("GatherElements", {"operands": [np.zeros((3, 4, 3), np.int64)], "axis": 0}, "mixes"),
    ("GatherElements", {"operands": [positions(4, 3, 4, 3)], "axis": 1}, "from sample to sample"),
    ("GatherND", {"operands": [np.array([[0, 9]])]}, "do not fit"),
    ("GatherND", {"operands": [np.float32([[0, 1]])]}, "not integers"),
    (
        "ScatterElements",
        {"operands": [np.zeros((3, 4, 3), np.int64), random(3, 4, 3)], "axis": 1,
         "reduction": "add"},
        r"combines new values with old ones \(add\)|from sample to sample",
    ),
    (
        "ScatterElements",
        {"operands": [np.zeros((3, 1, 3), np.int64), random(3, 1, 3)], "axis": 1},
        "from sample to sample",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "options", "message"), MIXED)
def test_positions_of_other_samples_are_refused(
    operator: str, options: dict[str, Any], message: str
) -> None:
    """Values of other samples, other values of other samples, positions that are not there."""
    with pytest.raises(UnsupportedLayerError, match=rf"'it'.*({message})"):
        read(single(operator, (4, 3), batch=3, **options))


# --- guards --------------------------------------------------------------------------------------

CAUSAL = np.triu(np.full((4, 4), -np.inf, np.float32), 1)


def guarded(mask: np.ndarray, guard: str = "IsNaN") -> Any:
    """A softmax of masked scores whose rows without any value are zero."""
    nodes = [
        node("Add", "x mask", "scores"),
        node("Softmax", "scores", "s", "soft", axis=-1),
        node(guard, "s", "none", "it"),
        node("Where", "none zero s", "y", "safe"),
    ]
    weights = {"mask": mask, "zero": np.float32(0)}
    return model(nodes, {"x": ["n", 4, 4]}, ["y"], weights, opset=20)


@pytest.mark.parametrize("guard", ["IsNaN", "IsInf"])
def test_a_guard_of_a_softmax_is_nothing(guard: str) -> None:
    """What exporters put behind attention for rows that are masked everywhere, if none is."""
    source = agrees(guarded(CAUSAL, guard), independent=False)
    assert len(source.graph) == 4
    assert sw.convert(source.graph, spiking=True).trace.guarantee == "convergent"


def _blind() -> np.ndarray:
    """A mask under which the third row sees nothing."""
    mask = CAUSAL.copy()
    mask[2] = -np.inf
    return mask


def test_a_guard_puts_zeros_where_a_softmax_has_no_value() -> None:
    """A row that a constant masks everywhere is the guard's, in every sample of a batch."""
    source = read(guarded(_blind()))
    x = random(3, 4, 4)
    (found,) = evaluate(source.graph, {"x": x}).values()
    shares = np.exp(x + _blind())
    expected = shares / np.maximum(shares.sum(-1, keepdims=True), 1e-30)
    assert not found[:, 2].any()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    check_call(source, {"x": x}, 1e-5)


def test_a_guard_that_has_something_to_do_is_refused() -> None:
    """Rows that are moved before they are looked at; a function that has no value somewhere."""
    proto = guarded(_blind())
    moved = node("Transpose", "s", "t", perm=[0, 2, 1])
    proto.graph.node.insert(2, moved)
    proto.graph.node[3].input[0] = "t"
    with pytest.raises(UnsupportedLayerError, match=r"'it'.*masked everywhere"):
        read(proto)
    for operator in ("Log", "Sqrt", "Reciprocal"):
        nodes = [
            node(operator, "x", "f"),
            node("Identity", "f", "g"),
            node("IsNaN", "g", "none", "it"),
            node("Where", "none zero g", "y"),
        ]
        with pytest.raises(UnsupportedLayerError, match=f"'it'.*{operator.lower()} has no value"):
            read(model(nodes, {"x": ["n", 4]}, ["y"], {"zero": np.float32(0)}))


def test_truth_of_numbers() -> None:
    """A cast to truth values is true but at zero, as in a guard of a sum of probabilities."""
    nodes = [
        node("Relu", "x", "r"),
        node("ReduceSum", "r ones", "total"),
        node("Cast", "total", "some", to=9),
        node("Not", "some", "none"),
        node("Cast", "none", "one", to=1),
        node("Add", "total one", "safe"),
        node("Div", "r safe", "y"),
    ]
    proto = model(nodes, {"x": ["n", 3]}, ["y"], {"ones": np.array([1])})
    source = agrees(proto, transform=lambda x: np.float32(x - 2))
    x = np.float32([[-1, -2, -3], [1, -1, 3]])
    np.testing.assert_allclose(
        source.activations({"x": x})[source.graph.outputs["y"]], [[0, 0, 0], [0.25, 0, 0.75]]
    )


# --- constants -----------------------------------------------------------------------------------

FOLDED: list[tuple[Any, dict[str, Any]]] = [
    (node("Conv", "c k", "made", "it", pads=[1, 1, 1, 1]),
     {"c": random(1, 3, 5, 5), "k": random(4, 3, 3, 3)}),
    (node("BatchNormalization", "c g b m v", "made - -", "it", training_mode=1),
     {"c": random(1, 4, 5, 5), "g": random(4), "b": random(4, seed=1), "m": random(4, seed=2),
             "v": np.ones(4, np.float32)}),
    (node("Resize", "c - f", "made", "it", mode="linear"),
     {"c": random(1, 4, 5, 3), "f": np.float32([1, 1, 1, 2])[[0, 1, 2, 3]]}),
    (node("LayerNormalization", "c g", "made", "it"), {"c": random(4, 5, 5), "g": random(5)}),
    (node("Gelu", "c", "made", "it"), {"c": random(4, 5, 5)}),
    (node("MaxPool", "c", "made", "it", kernel_shape=[2, 2]), {"c": random(1, 4, 6, 6)}),
]  # fmt: skip


@pytest.mark.parametrize(("made", "weights"), FOLDED)
def test_layers_of_constants_are_constants(made: Any, weights: dict[str, Any]) -> None:
    """Positions through a convolution, weights that are normalised, embeddings that are resized:
    computed once, and nothing of them is left.
    """
    if made.op_type == "Resize":
        weights = {**weights, "c": random(1, 4, 5, 5), "f": np.float32([1, 1, 1, 1])}
    nodes = [made, node("Add", "x made", "y", "sum")]
    proto = model(nodes, {"x": ["n", 4, 5, 5]}, ["y"], weights, opset=20)
    source = agrees(proto, independent=False)
    assert [n.name for n in source.graph] == ["x", "sum"]


@pytest.mark.parametrize(
    ("made", "weights"),
    [
        (node("Resize", "c - f", "m", "it"), {"f": np.float32([1, 1, 1e5, 1e5])}),
        (node("Conv", "c k", "m", "it", pads=[10**6] * 4), {"k": random(4, 4, 1, 1)}),
        (node("Einsum", "c c c", "m", "it", equation="abcd,efgh,ijkl->abcdefghijkl"), {}),
        (node("Pad", "c p", "m", "it"), {"p": np.array([0, 0, 0, 0, 0, 0, 10**9, 10**9])}),
    ],
)
def test_a_small_file_makes_no_large_constant(made: Any, weights: dict[str, Any]) -> None:
    """What the rules of shapes foresee is refused before it is computed."""
    nodes = [made, node("ReduceSum", "m", "t"), node("Add", "x t", "y")]
    proto = model(nodes, {"x": ["n", 4]}, ["y"], {"c": random(1, 4, 30, 30), **weights}, opset=18)
    with pytest.raises(UnsupportedLayerError, match=r"'it'.*values.*more than the 1 GiB"):
        read(proto)
