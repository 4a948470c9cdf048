"""Where the batch is in ONNX models, layouts, and samples that are mixed."""

from __future__ import annotations

import io
import warnings
from itertools import cycle
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import strategies as st
from onnx_helpers import agrees, close, feed_of, model, node, random, single
from test_mixing_models import ALIKE, MIXING, Body, Function, _example

import spikewright as sw
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.onnx import OnnxNode, read, reads
from spikewright.frontends.reading.call import Value
from spikewright.graph import evaluate
from spikewright.graph.layers import Identity, Sum

LAST = 2**63 - 1


def ints(*values: int) -> np.ndarray:
    """An int64 vector."""
    return np.array(values, np.int64)


def whole(start: int, end: int, *more: np.ndarray) -> tuple[str, dict[str, Any]]:
    """A slice of axis 0."""
    return "Slice", {"operands": [ints(start), ints(end), *more]}


WHOLE: list[tuple[str, dict[str, Any]]] = [
    whole(0, 1_000_000_000),
    whole(0, 2**31 - 1),
    whole(0, LAST),
    whole(0, 100, ints(0)),
    whole(0, LAST, ints(0), ints(1)),
    whole(0, LAST, ints(-3)),
    whole(-LAST, LAST),
    whole(-(2**31), 10**9),
    ("Slice", {"operands": [ints(0, 1), ints(10**9, 3), ints(0, 2)]}),
    ("Slice", {"starts": [0, 0], "ends": [10**9, 2], "opset": 9}),
    ("Split", {"axis": 0, "num_outputs": 1}),
    ("Squeeze", {}),
    ("Concat", {"axis": 0}),
    ("Tile", {"operands": [ints(1, 2, 1)]}),
    ("Tile", {"operands": [ints(2, 1, 1)]}),
    ("Pad", {"operands": [ints(0, 0, 0, 0, 0, 0)]}),
    ("Pad", {"operands": [ints(0, 1, 0, 0, 0, 2)]}),
    ("Expand", {"operands": [ints(1, 1, 1)]}),
    ("Reshape", {"operands": [ints(0, -1)]}),
    ("Reshape", {"operands": [ints(0, 0, 2, 2)]}),
    ("Reshape", {"operands": [ints(-1, 12)]}),
    ("Unsqueeze", {"operands": [ints(0)]}),
    ("Unsqueeze", {"operands": [ints(1)]}),
    ("Unsqueeze", {"operands": [ints(-4, 2)]}),
]


@pytest.mark.parametrize(
    ("operator", "options", "batch"),
    [(*case, batch) for case, batch in zip(WHOLE, cycle(["n", 1, 3]), strict=False)],
)
def test_what_keeps_every_sample_is_read(
    operator: str, options: dict[str, Any], batch: Any
) -> None:
    """Whether the batch is free or fixed, and where other axes are cut beside it."""
    agrees(single(operator, (3, 4), batch=batch, **options), independent=False)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_a_gather_of_all_samples(batch: Any) -> None:
    """In order, every one, by indices that are counted from the shape: the samples as they are."""
    nodes = [
        node("Shape", "x", "rows", start=0, end=1),
        node("Squeeze", "rows", "count"),
        node("Range", "zero count one", "all"),
        node("Gather", "x all", "y", "it", axis=0),
    ]
    weights = {"zero": np.array(0), "one": np.array(1)}
    source = agrees(model(nodes, {"x": [batch, 3, 4]}, ["y"], weights), independent=False)
    assert batch == 1 or isinstance(source.graph["it"].layer, Identity)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_a_merged_axis_is_whole_too(batch: Any) -> None:
    """An axis of samples and values side by side is not cut by an end beyond it."""
    nodes = [node("Reshape", "x flat", "f"), node("Slice", "f zero end", "y", "it")]
    weights = {"flat": ints(-1, 4), "zero": ints(0), "end": ints(10**9)}
    agrees(model(nodes, {"x": [batch, 3, 4]}, ["y"], weights), independent=False)


NO_FILES = ("statistics of the batch",)
"""Functions that the exporter does not write."""
OTHERWISE = ("one expert a token", "squeezed")
"""A comparison of real numbers; a file that no program runs on one sample."""


def exported(function: Function, batch: object = "n") -> onnx.ModelProto:
    """A function behind a layer, as PyTorch writes it, with a free batch or that of the example."""
    buffer = io.BytesIO()
    free = {"x": {0: "n"}} if batch == "n" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Body(function, True).eval(), (_example(),), buffer, dynamo=False, opset_version=18,
            input_names=["x"], output_names=["y"], dynamic_axes=free,
        )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["n", 3])
@pytest.mark.parametrize("name", [name for name in MIXING if name not in NO_FILES])
def test_a_model_that_mixes_samples_is_refused(name: str, batch: object) -> None:
    """Whether the batch is free or fixed: the model's own call shows it."""
    with pytest.raises(UnsupportedLayerError, match=r"sample|batch|does not fit|data"):
        read(exported(MIXING[name], batch))


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["n", 3])
@pytest.mark.parametrize("name", [n for n in ALIKE if n not in OTHERWISE])
def test_a_model_that_keeps_samples_apart_is_read(name: str, batch: object) -> None:
    """However it arranges its batch on the way; every sample is computed as the model does."""
    source = read(exported(ALIKE[name], batch))
    x = _example().numpy()
    (found,), (own,) = evaluate(source.graph, {"x": x}).values(), source.call({"x": x}).values()
    with torch.no_grad():
        expected = Body(ALIKE[name], True).eval()(_example()).numpy()
    close(found, expected, 1e-4)
    close(own, expected, 1e-4)


def test_the_node_that_mixes_samples_is_named() -> None:
    """The first whose inputs hold one value a sample, and whose result does not."""
    nodes = [
        node("Reshape", "x rows", "flat", "rows"),
        node("Tanh", "flat", "h", "tanh"),
        node("ReduceMean", "h axis", "mean", "mean of all"),
        node("Sub", "h mean", "less", "less"),
        node("Reshape", "less back", "y", "back"),
    ]
    weights = {"rows": np.array([-1, 4]), "axis": np.array([0]), "back": np.array([-1, 3, 4])}
    with pytest.raises(UnsupportedLayerError, match=r"'mean of all' \(ReduceMean\).*mixes"):
        read(model(nodes, {"x": ["n", 3, 4]}, ["y"], weights))


def test_a_fixed_number_of_rows_is_refused() -> None:
    """`reshape(6, -1)` has a row a sample for six samples only."""
    proto = model([node("Reshape", "x s", "y", "it")], {"x": ["n", 24]}, ["y"],
                  {"s": np.array([6, -1])})  # fmt: skip
    with pytest.raises(UnsupportedLayerError, match=r"'it' \(Reshape\).*mixes the samples"):
        read(proto)


def test_a_model_that_cannot_be_run_says_so() -> None:
    """Its samples cannot be compared: the trace of the conversion has a note."""

    @reads("Same", domain="spikewright.mixing")
    def same(view: OnnxNode) -> Value:
        return view.add(Identity(), view.signal(0))

    own = node("Same", "x", "y", "own", domain="spikewright.mixing")
    proto = model([own], {"x": ["n", 3]}, ["y"], domains=["spikewright.mixing"])
    (note,) = read(proto).notes
    assert note.layer == "own"
    assert "not known whether two samples at once" in note.text
    assert "not known whether" in str(sw.convert(proto).trace)


def test_samples_that_lie_behind_other_values_of_an_output() -> None:
    """Rows of all samples as one axis, time first: the call gives each sample its own."""
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Reshape", "t rows", "y", "rows")]
    source = read(model(nodes, {"x": ["n", 3, 4]}, ["y"], {"rows": np.array([-1, 4])}))
    x = random(5, 3, 4)
    np.testing.assert_array_equal(source.call({"x": x})["y"], x)
    np.testing.assert_array_equal(evaluate(source.graph, {"x": x})["y"], x)


def test_a_file_that_no_program_runs_is_read_with_a_note() -> None:
    """It fails on one sample and on several: nothing says that it mixes them, and the note says
    that nothing is known.
    """
    even = node("LRN", "x", "y", "even", size=4)  # onnxruntime takes odd sizes alone
    (note,) = read(model([even], {"x": ["n", 5, 3, 2]}, ["y"])).notes
    assert note.layer == "even"
    assert "not known whether two samples at once" in note.text


def attention_nodes(sequence_first: bool) -> list[Any]:
    """Two heads over 5 tokens of 6 values; torch's `MultiheadAttention` works sequence first."""
    nodes = [
        node("Transpose", "x", "s", "sequence", perm=[1, 0, 2]),
        node("MatMul", "s w", "qkv", "in"),
        node("Split", "qkv", "q k v", "split", axis=2, num_outputs=3),
    ]
    for name in "qkv":
        nodes += [
            node("Reshape", f"{name} merged", f"{name}m", f"{name} merged"),
            node("Transpose", f"{name}m", f"{name}h", f"{name} heads", perm=[1, 0, 2]),
        ]
    return [
        *nodes,
        node("Transpose", "kh", "kt", "turned", perm=[0, 2, 1]),
        node("MatMul", "qh kt", "products", "products"),
        node("Mul", "products scale", "scores", "scores"),
        node("Add", "scores mask", "masked", "masked"),
        node("Softmax", "masked", "weights", "weights", axis=-1),
        node("MatMul", "weights vh", "mixed", "mixed"),
        node("Transpose", "mixed", "back", "back", perm=[1, 0, 2]),
        node("Reshape", "back rows", "flat", "flat"),
        node("Gemm", "flat out bias", "o", "out"),
        node("Reshape", "o tokens", "y1", "tokens"),
        *([] if sequence_first else [node("Transpose", "y1", "y", "y", perm=[1, 0, 2])]),
    ]


def attention(batch: Any, sequence_first: bool = False) -> Any:
    """The model; the merged axis holds batch x heads, the flat one tokens x batch."""
    shapes = {"merged": [5, -1, 3], "rows": [-1, 6], "tokens": [5, -1, 6]}
    weights = {
        "w": random(6, 18), "scale": np.float32(3**-0.5), "out": random(6, 6, seed=1),
        "bias": random(6), "mask": np.triu(np.full((5, 5), -np.inf, np.float32), 1),
        **{name: np.array(shape, np.int64) for name, shape in shapes.items()},
    }  # fmt: skip
    output = "y1" if sequence_first else "y"
    return model(attention_nodes(sequence_first), {"x": [batch, 5, 6]}, [output], weights)


@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_attention_sequence_first(batch: Any) -> None:
    """The batch is followed through axis 1, merged with the heads, merged with the tokens."""
    proto = attention(batch)
    source = agrees(proto, independent=batch != 1)
    assert source.graph.shapes[source.graph.outputs["y"]] == (5, 6)
    if batch == "n":
        assert source.graph.shapes["q heads"] == (2, 5, 3)
        assert source.graph.shapes["flat"] == (5, 6)


def test_an_output_sequence_first() -> None:
    """An output keeps its axes, but for the batch, which comes first as in every graph."""
    source = agrees(attention("n", sequence_first=True), independent=False)
    assert source.graph.shapes[source.graph.outputs["y1"]] == (5, 6)
    assert "masked" not in source.activations(feed_of(source))  # minus infinity has no number here


def test_merged_axes_with_constants() -> None:
    """A constant along a merged axis is the same for every sample, or it is refused."""
    nodes = [node("Reshape", "x s", "m"), node("Add", "m c", "y", "add")]
    weights = {"s": np.array([-1, 4]), "c": random(1, 4)}
    agrees(model(nodes, {"x": ["n", 3, 4]}, ["y"], weights), independent=False)
    tiled = np.tile(random(3, 4), (2, 1))
    agrees(
        model(nodes, {"x": [2, 3, 4]}, ["y"], {**weights, "c": tiled}), batch=2, independent=False
    )
    for c, reason in (
        (random(6, 4), "differs from sample to sample"),
        (random(3, 4), "fails on one"),
    ):
        with pytest.raises(ReadError, match=reason):
            read(model(nodes, {"x": [2, 3, 4]}, ["y"], {**weights, "c": c}))


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Softmax", {"axis": 0}),
        ("ReduceMean", {"keepdims": 0}),
        ("Flatten", {"axis": 1}),
        ("Squeeze", {}),
        ("LayerNormalization", {"axis": 0}),
    ],
)
def test_one_sample_without_a_batch_axis(operator: str, attributes: dict[str, Any]) -> None:
    """Where the file fixes the batch to one, no operation can mix samples, whatever its axes."""
    inputs = "s w" if operator == "LayerNormalization" else "s"
    nodes = [node("Squeeze", "x zero", "s"), node(operator, inputs, "y", "it", **attributes)]
    weights = {"zero": np.array([0]), "w": np.ones(4, np.float32)}
    source = agrees(model(nodes, {"x": [1, 3, 4]}, ["y"], weights), independent=False)
    ((name, x),) = feed_of(source).items()
    alone = [evaluate(source.graph, {name: x[i : i + 1]})["y"] for i in range(3)]
    close(evaluate(source.graph, {name: x})["y"], np.concatenate(alone))
    free = model(nodes, {"x": ["n", 3, 4]}, ["y"], weights)
    with pytest.raises(UnsupportedLayerError, match=r"'s'.*fails on several at once"):
        read(free)


@pytest.mark.parametrize(
    ("operator", "sides", "transposed"),
    [
        *(("Gemm", sides, True) for sides in ((0, 1), (0,), (1,))),
        *((operator, (0, 1), False) for operator in ("Gemm", "MatMul", "Einsum")),
    ],
)
def test_products_of_one_sample(operator: str, sides: tuple[int, ...], transposed: bool) -> None:
    """Matrices of one sample are multiplied, constant or not, turned or not."""
    a, b = ((4, 3), (5, 4)) if transposed else ((3, 4), (4, 5))
    attributes: dict[str, Any] = {"equation": "ij,jk->ik"} if operator == "Einsum" else {}
    if transposed:
        attributes = {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}
    nodes = [node("Squeeze", f"x{i} zero", "ab"[i]) for i in sides]
    nodes += [node(operator, "a b c" if transposed else "a b", "y", "it", **attributes)]
    weights = {"zero": np.array([0]), "c": random(5)}
    weights |= {"ab"[i]: random(*(a, b)[i]) for i in range(2) if i not in sides}
    inputs = {f"x{i}": [1, *(a, b)[i]] for i in sides}
    agrees(model(nodes, inputs, ["y"], weights), independent=False)


def test_attention_with_a_cache_is_refused() -> None:
    """Keys and values of earlier calls are state, which a graph has not."""
    shape = ["n", 2, 3, 4]
    nodes = [node("Attention", "q k v - p p", "y", "it")]
    inputs = dict.fromkeys(("q", "k", "v", "p"), shape)
    with pytest.raises(UnsupportedLayerError, match="earlier calls"):
        read(model(nodes, inputs, ["y"], opset=23))


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[int], list[Any], dict[str, Any]]:
    """A full shape and up to six operators that move axes about or work along one."""
    batch = draw(st.sampled_from([1, 2, 5]))
    shape = [batch, *draw(st.lists(st.sampled_from([1, 2, 3]), min_size=2, max_size=3))]
    first, nodes, weights = shape, [], {}
    for i in range(draw(st.integers(1, 6))):
        operator = draw(
            st.sampled_from(["Transpose", "Reshape", "Softmax", "ReduceSum", "Add", "MatMul"])
        )
        axis = draw(st.integers(0, len(shape) - 1))
        attributes: dict[str, Any] = {}
        second = f" w{i}"
        if operator == "Transpose":
            order = draw(st.permutations(range(len(shape))))
            attributes, second, shape = {"perm": order}, "", [shape[k] for k in order]
        elif operator == "Reshape":
            shape = draw(st.sampled_from(regroupings(shape)))
            weights[f"w{i}"] = np.array(shape)
        elif operator == "Softmax":
            attributes, second = {"axis": axis}, ""
        elif operator == "ReduceSum":
            weights[f"w{i}"] = np.array([axis])
            shape = [1 if k == axis else n for k, n in enumerate(shape)]
        elif operator == "Add":
            weights[f"w{i}"] = random(*[n if k == axis else 1 for k, n in enumerate(shape)], seed=i)
        else:
            weights[f"w{i}"] = random(shape[-1], 2, seed=i)
            shape = [*shape[:-1], 2]
        nodes.append(node(operator, f"v{i}{second}", f"v{i + 1}", f"{operator} {i}", **attributes))
    return first, nodes, weights


def regroupings(shape: list[int]) -> list[list[int]]:
    """The shape with two neighbours joined, or with an axis of one in front, or flat."""
    joined = [[*shape[:k], shape[k] * shape[k + 1], *shape[k + 2 :]] for k in range(len(shape) - 1)]
    split = [[*shape[:k], 2, n // 2, *shape[k + 1 :]] for k, n in enumerate(shape) if n % 2 == 0]
    return [*joined, *split, [1, *shape], [int(np.prod(shape))]]


def test_readers_of_ones_own_and_the_batch() -> None:
    """A reader that asks for a view gets its input wherever the batch is; one that asks for a
    signal has it on axis 0, or is not asked.
    """

    @reads("Total", domain="spikewright.layouts")
    def total(view: OnnxNode) -> Value:
        given = view.view(0, -1)
        return view.add(Sum((given.axis(-1),), keepdims=True), given)

    @reads("Plain", domain="spikewright.layouts")
    def plain(view: OnnxNode) -> Value:
        return view.add(Identity(), view.signal(0))

    def proto(operator: str, batch: Any) -> Any:
        own = node(operator, "t", "y", "own", domain="spikewright.layouts")
        nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), own]
        return model(nodes, {"x": [batch, 3, 4]}, ["y"], domains=["spikewright.layouts"])

    assert read(proto("Total", "n")).graph.shapes["own"] == (3, 1, 1)
    with pytest.raises(UnsupportedLayerError, match=r"'own'.*batch is not axis 0"):
        read(proto("Plain", "n"))
    with pytest.raises(UnsupportedLayerError, match=r"'own'.*batch is not axis 0"):
        read(proto("Plain", 1))
