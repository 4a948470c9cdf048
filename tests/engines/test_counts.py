"""Between populations of one spike height, what is pooled, moved or added stays a count."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from spikewright.engines import compile_network
from spikewright.engines.operators import Linear
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    Concatenate,
    Input,
    Layer,
    Permute,
    Reshape,
)


def graph_with(between: list[tuple[str, Layer, tuple[str, ...]]], size: int) -> Graph:
    """Two populations `a` and `b` of shape (2, 4), something between, a dense layer `out`."""
    weight = np.random.default_rng(0).normal(size=(3, size))
    nodes = [GraphNode("x", Input((2, 4)))]
    nodes += [GraphNode(name, Activation("relu"), ("x",)) for name in ("a", "b")]
    nodes += [GraphNode(name, layer, inputs) for name, layer, inputs in between]
    last = between[-1][0]
    nodes += [
        GraphNode("flat", Reshape((size,)), (last,)),
        GraphNode("out", Affine(weight), ("flat",)),
    ]
    return Graph(tuple(nodes), {"y": "out"})


BETWEEN = {
    "average pool": ([("p", AveragePool((2,), (2,), ((0, 0),)), ("a",))], 4),
    "permutation": ([("p", Permute((1, 0)), ("a",))], 8),
    "concatenation": ([("c", Concatenate(0), ("a", "b"))], 16),
    "sum": ([("s", Add(), ("a", "b")), ("again", Add(), ("s", "s"))], 8),
    "pool of a concatenation": (
        [("c", Concatenate(0), ("a", "b")), ("p", AveragePool((4,), (4,), ((0, 0),)), ("c",))],
        4,
    ),
}


def values_before_dense(graph: Graph, scales: dict[str, float]) -> tuple[np.ndarray, float]:
    """The signal that the dense layer reads, as the program computes it, and its factor."""
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=scales)
    program = compile_network(conversion.network, 0.1, 0, "float64", [])
    (dense,) = [
        op
        for op in program.operators
        if isinstance(op, Linear) and type(op.transform).__name__ == "Dense"
    ]
    with conversion.network:
        probe = sw.Probe(conversion.layers["flat"])
    with sw.Simulator(conversion.network, dt=0.1, batch_size=2, engine="reference") as sim:
        x = np.random.default_rng(1).uniform(0, 9, (2, 2, 4))
        sim.run_steps(20, {conversion.inputs["x"]: x})
    return sim.data[probe] / dense.factor, dense.factor


@pytest.mark.parametrize("between", BETWEEN)
def test_counts_stay_counts(between):
    """With one scale (0.3: a height that is no binary fraction) the dense layer reads counts."""
    layers, size = BETWEEN[between]
    graph = graph_with(layers, size)
    counts, factor = values_before_dense(graph, {"a": 0.3, "b": 0.3})
    assert factor != 1.0
    assert counts.any()
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)


def test_counts_of_different_heights_are_values():
    """Populations of different heights meet as values; the result is the same function."""
    layers, size = BETWEEN["concatenation"]
    _, factor = values_before_dense(graph_with(layers, size), {"a": 0.3, "b": 0.7})
    assert factor == 1.0


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("scales", [{"a": 0.3, "b": 0.3}, {"a": 3.0, "b": 0.7}])
def test_the_mean_output_is_the_sources(between, scales):
    """Carrying factors aside never changes what a network computes."""
    layers, size = BETWEEN[between]
    graph = graph_with(layers, size)
    x = np.random.default_rng(1).uniform(0, 9, (2, 2, 4))
    truth = sw.convert(graph).run(x, steps=1, engine="reference").predict()
    spiking = sw.convert(graph, spiking=True, scale_firing_rates=scales)
    found = spiking.run(x, steps=2000, dt=1.0, engine="reference").predict()
    np.testing.assert_allclose(found, truth, atol=0.02)


def test_a_loop_of_junctions_has_values():
    """Junctions that lead back to themselves through a synapse keep plain values."""
    with sw.Network(seed=0) as net:
        source = sw.Node(1.0)
        neurons = sw.Ensemble(
            1, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0,
            rate_scale=3.0, initial_voltage="zero",
        )  # fmt: skip
        first, second = sw.Node(size_in=1), sw.Node(size_in=1)
        sw.Connection(source, neurons.neurons, synapse=None)
        sw.Connection(neurons.neurons, first, synapse=None)
        sw.Connection(first, second, synapse=0)
        sw.Connection(second, first, synapse=None, transform=0.5)
        probe, spikes = sw.Probe(first), sw.Probe(neurons.neurons)
    with sw.Simulator(net, dt=0.1, engine="reference") as sim:
        sim.run_steps(30)
    expected = np.zeros(30)
    for t in range(30):
        expected[t] = sim.data[spikes][t, 0] + (0.5 * expected[t - 1] if t else 0.0)
    np.testing.assert_allclose(sim.data[probe][:, 0], expected, rtol=1e-6)
