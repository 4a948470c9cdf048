"""Graphs around one layer, for the tests of what layers become, and their errors over time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from slowly import one_of_each
from spikewright._base.equations import CURVES
from spikewright.graph import Graph, GraphNode, evaluate
from spikewright.graph.integer_inputs import random_inputs
from spikewright.graph.layers import Activation, Affine, Divide, Input, Layer, Reshape, Shape
from spikewright.testing.layers import CURVE_PARAMETERS, LayerExample, layer_examples

STEPS = np.array([16, 32, 64, 128, 256, 512, 1024])
SCALE = 200.0


class Case(NamedTuple):
    """A layer under a name, its inputs' shapes, and whether these must be above zero."""

    id: str
    layer: Layer
    shapes: tuple[Shape, ...]
    positive: bool


def cases() -> list[Case]:
    """Every example of every layer, and every activation that is defined above zero alone."""
    found = [_case(e) for e in layer_examples() if e.layer.arity != 0]
    for name, curve in CURVES.items():
        if curve.domain == "above zero":
            layer = Activation(name, CURVE_PARAMETERS.get(name, {}))
            found.append(Case(f"activation-{name}", layer, ((4, 7, 6),), True))
    return found


def kinds() -> list[Case]:
    """One case of every kind of layer, and of every activation."""
    return one_of_each(cases(), lambda case: (case.layer.kind, getattr(case.layer, "function", "")))


def _case(example: LayerExample) -> Case:
    layer = example.layer
    pole = isinstance(layer, Divide) or (
        isinstance(layer, Activation) and layer.function == "reciprocal"
    )
    return Case(example.id, layer, example.shapes, pole)


def graph_of(case: Case, behind_spikes: bool) -> Graph:
    """The layer between inputs, or neurons that spike, and weights."""
    rng = np.random.default_rng(3)
    nodes: list[GraphNode] = []
    reads: list[str] = []
    for i, shape in enumerate(case.shapes):
        nodes.append(GraphNode(f"x{i}", Input(shape)))
        if behind_spikes:
            leaky = Activation("leaky_relu", {"negative_slope": 0.5})
            neurons = Activation("softplus") if case.positive else leaky
            nodes.append(GraphNode(f"cells{i}", neurons, (f"x{i}",)))
        reads.append(nodes[-1].name)
    size = int(np.prod(case.layer.output_shape(*case.shapes)))
    weight = rng.normal(size=(7, size)) / np.sqrt(size)
    nodes += [
        GraphNode("layer", case.layer, tuple(reads), "layer", "Kind"),
        GraphNode("flat", Reshape((size,)), ("layer",), "flat"),
        GraphNode("end", Affine(weight), ("flat",), "end"),
    ]
    return Graph(tuple(nodes), {"y": "end"})


def inputs_of(graph: Graph, positive: bool, batch: int = 4) -> dict[str, NDArray]:
    """Random inputs; a function that needs values above zero and reads them gets such."""
    x = random_inputs(graph, 0, batch)
    above = positive and "cells0" not in graph
    return {name: np.abs(value) + 0.5 for name, value in x.items()} if above else x


def errors_over_time(
    conversion: sw.Conversion, x: dict[str, NDArray], engine: str = "auto"
) -> NDArray:
    """Relative error of the outputs' means after each of `STEPS`."""
    (truth,) = evaluate(conversion.graph, x).values()
    run = conversion.run(x, steps=int(STEPS[-1]), engine=engine, progress=False)
    means = run.predict_at_every_step("mean")
    assert isinstance(means, np.ndarray)
    apart = [float(np.linalg.norm(means[:, t - 1] - truth)) for t in STEPS]
    return np.array(apart) / max(float(np.linalg.norm(truth)), 1e-3)


def slope(errors: NDArray) -> float:
    """Of the line through the logarithms of errors and steps."""
    return float(np.polyfit(np.log(STEPS), np.log(errors), 1)[0])


def two_layers(reach: float = 1.0) -> Graph:
    """Two layers of neurons behind random weights; currents are of the size of `reach`."""
    rng = np.random.default_rng(5)

    def affine(n: int, m: int, size: float) -> Layer:
        weight = size * rng.normal(size=(m, n)) / np.sqrt(n)
        return Affine(weight.astype(np.float32), (size * rng.normal(size=m)).astype(np.float32))

    return Graph(
        (
            GraphNode("x", Input((9,))),
            GraphNode("first", affine(9, 12, reach), ("x",)),
            GraphNode("inner", Activation("relu"), ("first",)),
            GraphNode("second", affine(12, 10, 1.0), ("inner",)),
            GraphNode("outer", Activation("relu"), ("second",)),
            GraphNode("last", affine(10, 3, 1.0), ("outer",)),
        ),
        {"y": "last"},
    )
