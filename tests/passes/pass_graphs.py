"""Graphs for the tests of passes: by hand, around every layer, and at random."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.graph import Graph, GraphNode, evaluate, evaluate_all, unique_name
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    BatchNormalization,
    Concatenate,
    Convolution,
    Identity,
    Input,
    Layer,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    ZeroPad,
)
from spikewright.passes import Pass, PassResult
from spikewright.testing.layers import LayerExample

BOUND = 1e-9
"""The bound that every standard pass states, relative to the largest magnitude along the way."""

Step = tuple[str, Layer] | tuple[str, Layer, tuple[str, ...]]


def chain(
    shape: Shape, *steps: Step, outputs: Mapping[str, str] | None = None, **aliases: str
) -> Graph:
    """An input `x` and one node a step, each reading the one before unless it says otherwise."""
    nodes = [GraphNode("x", Input(shape), source="x")]
    for name, layer, *inputs in steps:
        reads = inputs[0] if inputs else (nodes[-1].name,)
        nodes.append(GraphNode(name, layer, reads, name, f"Source{layer.kind}"))
    return Graph(tuple(nodes), outputs or {"y": nodes[-1].name}, aliases)


def kinds(graph: Graph) -> dict[str, str]:
    """Kind of every node but inputs, by name, in order."""
    return {n.name: n.layer.kind for n in graph if not isinstance(n.layer, Input)}


def inputs_of(graph: Graph, seed: int = 0) -> dict[str, NDArray]:
    """Random inputs for a graph, a batch of four."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(4, *graph.shapes[name])) for name in graph.inputs}


def assert_same_outputs(before: Graph, after: Graph) -> None:
    """Both graphs compute the same outputs, within the bound."""
    values = inputs_of(before)
    scale = max(float(np.abs(v).max()) for v in evaluate_all(before, values).values())
    expected, found = evaluate(before, values), evaluate(after, values)

    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert float(np.abs(found[name] - value).max()) <= BOUND * scale, name


def assert_names_lead_somewhere(before: Graph, after: Graph) -> None:
    """Every name and every source of the graph before is a node or an alias after."""
    names = {n.name for n in before} | {n.source for n in before if n.source} | {*before.aliases}

    for name in names:
        assert name in after or after.aliases[name] in after, name


def assert_untouched(before: Graph, copy: Sequence[bytes]) -> None:
    """The arrays of a graph are what they were."""
    assert list(copy) == fingerprint(before)


def fingerprint(graph: Graph) -> list[bytes]:
    """The bytes of every array of a graph."""
    return [array.tobytes() for node in graph for array in node.layer.arrays().values()]


def apply(step: Pass, graph: Graph) -> PassResult:
    """Run one pass and check all that holds for any pass that claims to be exact."""
    copy = fingerprint(graph)
    result = step(graph)

    assert_untouched(graph, copy)
    assert_same_outputs(graph, result.graph)
    assert_names_lead_somewhere(graph, result.graph)
    assert all(note.exact for note in result.notes)
    return result


# --- layers around a layer ------------------------------------------------------------------------


def like(shape: Shape, rng: np.random.Generator) -> Layer:
    """A layer with weights that keeps the shape; a padded convolution where there are axes."""
    if not shape:
        return ScaleShift(rng.normal(size=()), rng.normal(size=()))
    if len(shape) == 1:
        n = shape[0]
        return Affine(rng.normal(size=(n, n)), rng.normal(size=n))
    rank, n = len(shape) - 1, shape[0]
    one = (1,) * rank
    weight = rng.normal(size=(n, n, *(3,) * rank))
    return Convolution(weight, rng.normal(size=n), one, ((1, 1),) * rank, one)


def contexts(example: LayerExample) -> Iterator[tuple[str, Graph]]:
    """The layer alone, after and before weights, before an activation, and read twice."""
    if isinstance(example.layer, Input):
        yield "alone", Graph((GraphNode("a", example.layer),), {"y": "a"})
        return
    rng = np.random.default_rng(11)
    relu = Activation("relu")
    raw = [GraphNode(f"x{i}", Input(shape)) for i, shape in enumerate(example.shapes)]
    before = [
        GraphNode(f"before{i}", like(s, rng), (f"x{i}",)) for i, s in enumerate(example.shapes)
    ]
    alone = GraphNode("a", example.layer, tuple(node.name for node in raw), "a")
    later = GraphNode("a", example.layer, tuple(node.name for node in before), "a")
    made = example.layer.output_shape(*example.shapes)
    after = GraphNode("after", like(made, rng), ("a",), "after")
    other = GraphNode("other", like(made, rng), ("a",), "other")
    act, joined = GraphNode("act", relu, ("a",)), GraphNode("joined", Add(), ("after", "other"))

    yield "alone", Graph((*raw, alone), {"y": "a"})
    yield "after weights", Graph((*raw, *before, later), {"y": "a"})
    yield "before weights", Graph((*raw, alone, after), {"y": "after"})
    yield "between weights", Graph((*raw, *before, later, after), {"y": "after"})
    yield "before an activation", Graph((*raw, *before, later, act), {"y": "act"})
    yield "output and read", Graph((*raw, *before, later, after), {"y": "after", "z": "a"})
    yield "read twice", Graph((*raw, *before, later, after, other, joined), {"y": "joined"})
    seen = {"y": "a", **{f"z{i}": node.name for i, node in enumerate(before)}}
    yield "after weights that are outputs", Graph((*raw, *before, later), seen)


# --- graphs at random -----------------------------------------------------------------------------


MERGING = Affine | BatchNormalization | Convolution | ScaleShift


def _norm(rng: np.random.Generator, n: int, axis: int) -> BatchNormalization:
    gamma, beta, mean = rng.normal(size=(3, n))
    return BatchNormalization(gamma, beta, mean, rng.uniform(0.5, 2.0, n), 1e-3, axis)


def _choices(shape: Shape, rng: np.random.Generator) -> list[Layer]:
    """Layers of every sort that the passes care about, on an input of this shape."""
    rank, axis = len(shape), int(rng.integers(len(shape)))
    trailing = (1,) * (rank - 1 - axis)
    n = shape[axis]
    same: list[Layer] = [
        Identity(),
        Activation("linear"),
        Activation("relu"),
        Reshape(shape),
        Reshape((math.prod(shape),)),
        Permute(tuple(int(i) for i in rng.permutation(rank))),
        ZeroPad(((0, 0),) * rank),
        _norm(rng, n, axis),
        _norm(rng, shape[0], 0),
        ScaleShift(rng.normal(size=(n, *trailing)), rng.normal(size=(n, *trailing))),
        ScaleShift(scale=rng.normal(size=(shape[0], *(1,) * (rank - 1)))),
        ScaleShift(rng.normal(size=()), rng.normal(size=shape)),
        Affine(rng.normal(size=(int(rng.integers(1, 5)), shape[-1])), None),
        like((shape[-1],), rng),
    ]
    if rank >= 2:
        size, pad = int(rng.integers(1, 3)), int(rng.integers(2))
        spatial = rank - 1
        last = bool(rng.integers(2)) and rank > 2
        channels = shape[-1] if last else shape[0]
        groups = 2 if channels % 2 == 0 and rng.integers(2) else 1
        out = 2 * int(rng.integers(1, 3))
        extent = shape[:-1] if last else shape[1:]
        if min(extent) + 2 * pad >= size:
            one = (1,) * spatial
            kernel = rng.normal(size=(out, channels // groups, *(size,) * spatial))
            bias = rng.normal(size=out) if rng.integers(2) else None
            same.append(Convolution(kernel, bias, one, ((pad, pad),) * spatial, one, groups, last))
    return same


@st.composite
def random_graphs(draw: st.DrawFn, layers: int = 9) -> Graph:
    """A small graph with branches, joins, several outputs, and names that are sources or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(3,), (4, 3), (2, 3, 4), (4, 3, 2)]))
    nodes = [GraphNode("x", Input(shape), (), "x")]
    shapes: dict[str, Shape] = {"x": shape}
    for i in range(draw(st.integers(1, layers))):
        back = draw(st.sampled_from([1, 1, 1, 2, 3]))
        read = nodes[-min(back, len(nodes))].name
        twins = [name for name, other in shapes.items() if other == shapes[read]]
        join = draw(st.sampled_from(["", "", "", "add", "concatenate"]))
        if join:
            inputs = tuple(draw(st.lists(st.sampled_from(twins), min_size=1, max_size=3)))
            layer: Layer = Add() if join == "add" else Concatenate(0)
        else:
            choices = _choices(shapes[read], rng)
            if rng.integers(2):  # layers that merge with one another, more often
                choices = [c for c in choices if isinstance(c, MERGING)]
            inputs, layer = (read,), choices[rng.integers(len(choices))]  # evenly
        made = layer.output_shape(*(shapes[name] for name in inputs))
        if math.prod(made) > 400:
            continue
        name = unique_name(f"n{i}", shapes)
        nodes.append(
            GraphNode(name, layer, inputs, draw(st.sampled_from([name, f"s{i // 2}", ""])))
        )
        shapes[name] = made
    seen = draw(st.lists(st.sampled_from(list(shapes)), max_size=2))
    outputs = {f"y{i}": name for i, name in enumerate([nodes[-1].name, *seen])}
    return Graph(tuple(nodes), outputs, {"gone": nodes[-1].name})
