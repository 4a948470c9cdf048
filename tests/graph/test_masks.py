"""Masks of padding: which values belong to padding, and which inputs are masks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph import layers as g
from spikewright.graph.masks import masks_of
from spikewright.graph.masks.positions import MaskPlace, Span, places
from spikewright.graph.masks.recognition import counted
from spikewright.testing.layers import LayerExample, layer_examples

LENGTH, WIDTH, ROWS = 6, 4, 9
EXAMPLES = [e for e in layer_examples() if e.shapes and e.shapes[0] and e.shapes[0][0] > 1]


def _reaching(graph: Graph, inputs: dict[str, NDArray], where: NDArray) -> NDArray:
    """Entries of the result that change with the first input's values at some places."""
    rng = np.random.default_rng(1)
    other = 3.0 * rng.normal(size=inputs["0"].shape)
    changed = {**inputs, "0": np.where(where, other, inputs["0"])}
    with np.errstate(all="ignore"):
        before, after = (evaluate_all(graph, x)["y"] for x in (inputs, changed))
    found: NDArray = (~((before == after) | (np.isnan(before) & np.isnan(after)))).any(axis=0)
    return found


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)
def test_values_of_padding_are_those_that_follow_from_padding_alone(example: LayerExample) -> None:
    """What follows from hidden positions alone is padding, and what is padding follows from some.

    So for every layer of the registry, whatever it does with the axis of positions.
    """
    names = tuple(map(str, range(len(example.shapes))))
    nodes = [GraphNode(n, g.Input(s)) for n, s in zip(names, example.shapes, strict=True)]
    graph = Graph((*nodes, GraphNode("y", example.layer, names)), {"y": "y"})
    shape = example.shapes[0]
    real = (np.arange(shape[0]) < (shape[0] + 1) // 2)[None]
    given = {"0": MaskPlace((Span.along(shape, 0, 0),))}
    counts = counted(places(graph, given)["y"].spans, real)[0]
    padding = ~np.broadcast_to(counts, graph.shapes["y"])

    rng = np.random.default_rng(0)
    inputs = {
        n: 3.0 * rng.normal(size=(64, *s)) for n, s in zip(names, example.shapes, strict=True)
    }
    hidden = ~real.reshape(-1, *(1,) * (len(shape) - 1)) & np.ones(shape, bool)
    of_hidden, of_real = (_reaching(graph, inputs, where) for where in (hidden, ~hidden))
    assert not (padding & ~of_hidden).any()
    alone = of_hidden & ~of_real if len(names) == 1 else np.zeros_like(of_hidden)
    assert not (alone & ~padding).any()
    assert of_hidden.any() or example.layer.kind in ("Crop", "Slice", "Take")


def _node(name: str, layer: g.Layer, *inputs: str) -> GraphNode:
    return GraphNode(name, layer, inputs)


def _attention(hides: float, pooling: str, length: int = LENGTH) -> Graph:
    """Tokens that look at each other where a mask of numbers allows it, and a reading of them."""
    rng = np.random.default_rng(0)
    square = [g.Affine(rng.normal(size=(WIDTH, WIDTH))) for _ in range(3)]
    sign = -1e4 if hides == 1 else 1e4
    shift = 0.0 if hides == 1 else -1e4
    nodes = [
        _node("ids", g.Input((length,), whole=True)),
        _node("mask", g.Input((length,), whole=True)),
        _node("x", g.Lookup(rng.normal(size=(ROWS, WIDTH))), "ids"),
        *(_node(n, layer, "x") for n, layer in zip("qkv", square, strict=True)),
        _node("scores", g.MatMul(transpose_b=True), "q", "k"),
        _node("bias", g.ScaleShift(np.array(sign), np.array(shift)), "mask"),
        _node("row", g.Reshape((1, length)), "bias"),
        _node("rows", g.Broadcast((length, length)), "row"),
        _node("masked", g.Add(), "scores", "rows"),
        _node("weights", g.Activation("softmax"), "masked"),
        _node("seen", g.MatMul(), "weights", "v"),
        _node("relu", g.Activation("relu"), "seen"),
    ]
    readings: dict[str, list[GraphNode]] = {
        "all": [],
        "first": [_node("first", g.Take(np.array(0), 0), "relu")],
        "last": [_node("last", g.Take(np.array(-1), 0), "relu")],
        "mean": [_node("mean", g.GlobalAveragePool((0,)), "relu")],
    }
    nodes += readings[pooling]
    return Graph(tuple(nodes), {"y": nodes[-1].name})


@pytest.mark.parametrize("hides", [0.0, 1.0])
@pytest.mark.parametrize("pooling", ["all", "first", "last", "mean"])
def test_a_mask_is_known_by_what_it_hides(hides: float, pooling: str) -> None:
    """Whether zero or one hides is found out, and so is what padding reaches in spite of it.

    Values of hidden positions count for nothing, those that are read out of a single one always.
    """
    masks = masks_of(_attention(hides, pooling))
    (mask,) = masks.found
    assert (mask.node, mask.hides, dict(mask.axes)) == ("mask", hides, {"ids": 0})
    assert mask.reached == (("mean",) if pooling == "mean" else ())
    lengths = np.array([LENGTH, 4, 1])
    seen = np.arange(LENGTH) < lengths[:, None]
    real = masks.real({"mask": np.where(seen, 1 - hides, hides)})
    assert real is not None
    relu, weights = real.of("relu"), real.of("weights")
    assert relu is not None and weights is not None
    assert relu.reshape(3, -1).sum(axis=1).tolist() == lengths.tolist()
    assert weights.reshape(3, -1).sum(axis=1).tolist() == (lengths**2).tolist()
    if pooling != "all":
        assert real.of(pooling) is None


def test_inputs_that_hide_nothing_are_no_masks() -> None:
    """Types of tokens are added to them, and nothing is hidden: all positions count."""
    rng = np.random.default_rng(0)
    nodes = (
        _node("ids", g.Input((LENGTH,), whole=True)),
        _node("mask", g.Input((LENGTH,), whole=True)),
        _node("x", g.Lookup(rng.normal(size=(ROWS, WIDTH))), "ids"),
        _node("types", g.Lookup(rng.normal(size=(2, WIDTH))), "mask"),
        _node("sum", g.Add(), "x", "types"),
        _node("y", g.GlobalAveragePool((0,)), "sum"),
    )
    masks = masks_of(Graph(nodes, {"y": "y"}))
    assert not masks and masks.real({"mask": np.zeros((2, LENGTH))}) is None


STEP = g.Activation("threshold", {"threshold": 1.0, "value": 0.0, "maximum": 1.0})
NOT = g.ScaleShift(np.array(-1.0), np.array(1.0))


def _recurrent(computed: bool) -> Graph:
    """A cell written out, which keeps its state where a mask says so; computed from the tokens."""
    rng = np.random.default_rng(0)
    nodes = [
        _node("ids", g.Input((LENGTH,), whole=True)),
        _node("x", g.Lookup(rng.normal(size=(ROWS, WIDTH))), "ids"),
        _node("mask", g.Input((LENGTH,), whole=True)),
    ]
    if computed:  # ids > 0
        nodes[-1:] = [_node("half", g.ScaleShift(None, np.array(0.5)), "ids"),
                      _node("mask", STEP, "half")]  # fmt: skip
    state = None
    for step in range(LENGTH):
        place = np.array(step)
        nodes += [
            _node(f"x{step}", g.Take(place, 0), "x"),
            _node(f"m{step}", g.Take(place, 0), "mask"),
            _node(f"in{step}", g.Affine(rng.normal(size=(WIDTH, WIDTH))), f"x{step}"),
        ]
        made = f"in{step}"
        if state is not None:
            nodes += [
                _node(f"back{step}", g.Affine(rng.normal(size=(WIDTH, WIDTH))), state),
                _node(f"sum{step}", g.Add(), made, f"back{step}"),
            ]
            made = f"sum{step}"
        nodes += [_node(f"new{step}", g.Activation("tanh"), made),
                  _node(f"kept{step}", g.Multiply(), f"new{step}", f"m{step}")]  # fmt: skip
        if state is None:
            state = f"kept{step}"
            continue
        nodes += [
            _node(f"not{step}", NOT, f"m{step}"),
            _node(f"old{step}", g.Multiply(), state, f"not{step}"),
            _node(f"state{step}", g.Add(), f"kept{step}", f"old{step}"),
        ]
        state = f"state{step}"
    assert state is not None
    return Graph(tuple(nodes), {"y": state})


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_a_state_that_is_kept_over_padding_counts(computed: bool, left: bool) -> None:
    """Of a cell that keeps its state over masked steps the steps are padding, the state is not."""
    graph = _recurrent(computed)
    masks = masks_of(graph)
    (mask,) = masks.found
    assert (mask.node, mask.hides, mask.reached) == ("mask", 0.0, ())
    assert not mask.used
    order = slice(None, None, -1 if left else 1)
    seen = np.array([[True, True, True, True, False, False]])[:, order]
    real = masks.real({"ids": np.where(seen, 3.0, 0.0), "mask": seen.astype(float)})
    assert real is not None
    for step in range(LENGTH):
        counts = real.of(f"new{step}")
        assert (counts is None) == seen[0, step]
        assert step == 0 or real.of(f"state{step}") is None


def test_masks_and_content_change_nothing_where_nothing_is_hidden() -> None:
    """Where all positions are real there is nothing to leave out, and inputs stay as they are."""
    masks = masks_of(_attention(0.0, "mean"))
    inputs = {"ids": np.ones((2, LENGTH)), "mask": np.ones((2, LENGTH))}
    assert masks.real(inputs) is None
    assert np.array_equal(masks.without_content(inputs)["ids"], inputs["ids"])
    inputs["mask"][0, 3:] = 0
    assert masks.without_content(inputs)["ids"].sum() == 2 * LENGTH - 3


def test_a_mask_that_changes_over_the_steps_hides_what_it_never_shows() -> None:
    """Of a run in which the mask changes a position counts if it is real at some step."""
    masks = masks_of(_attention(0.0, "mean"))
    mask = np.zeros((1, 3, LENGTH))
    mask[0, :, 0] = mask[0, 2, 4] = 1
    real = masks.real_at_some_step({"mask": mask})
    assert real is not None
    assert real.positions.tolist() == [[True, False, False, False, True, False]]


def test_masks_of_two_sequences_hide_one_each() -> None:
    """Two sequences with a mask each, of one length: each mask hides its own."""
    first, second = (_attention(0.0, "all") for _ in range(2))

    def named(node: GraphNode, mark: str) -> GraphNode:
        return GraphNode(node.name + mark, node.layer, tuple(n + mark for n in node.inputs))

    nodes = [named(node, mark) for graph, mark in ((first, "_a"), (second, "_b")) for node in graph]
    nodes.append(_node("both", g.Add(), "relu_a", "relu_b"))
    found = masks_of(Graph(tuple(nodes), {"y": "both"})).found
    assert {m.node: dict(m.axes) for m in found} == {
        "mask_a": {"ids_a": 0},
        "mask_b": {"ids_b": 0},
    }
