"""Quantised networks simulated in Python's integers and NumPy's int64, from weights in a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    Convolution,
    GlobalAveragePool,
    Input,
    MaxPool,
    Reshape,
)

DT = 0.001
ROUNDING = 2.0**-12 + 2.0**-16


def dense(seed: int) -> Graph:
    """Input 6 -> 12 -> 8 -> 4, all with neurons."""
    rng = np.random.default_rng(seed)
    nodes = [GraphNode("x", Input((6,)))]
    last, width = "x", 6
    for i, size in enumerate((12, 8, 4)):
        weight, bias = rng.normal(size=(size, width)) / np.sqrt(width) * 1.5, rng.normal(size=size)
        nodes.append(GraphNode(f"fc{i}", Affine(weight, bias / 8), (last,)))
        nodes.append(GraphNode(f"relu{i}", Activation("relu"), (f"fc{i}",)))
        last, width = f"relu{i}", size
    return Graph(tuple(nodes), {"output": last})


def convolution(
    rng: np.random.Generator, out: int, inner: int, stride: int = 1, groups: int = 1
) -> Convolution:
    """Random weights of 3 x 3, and biases."""
    weight = rng.normal(size=(out, inner // groups, 3, 3)) / np.sqrt(3 * inner / groups)
    bias = rng.normal(size=out) / 8
    return Convolution(weight, bias, (stride,) * 2, ((1, 1), (1, 1)), (1, 1), groups)


def pooled(seed: int, largest: bool = False) -> Graph:
    """Two convolutions with a mean (or a maximum) over windows between, and a dense layer."""
    rng = np.random.default_rng(seed)
    pool: Any = AveragePool((2, 2), (2, 2), ((0, 0), (0, 0)))
    if largest:
        pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    nodes = [
        GraphNode("x", Input((2, 8, 6))),
        GraphNode("conv0", convolution(rng, 4, 2), ("x",)),
        GraphNode("relu0", Activation("relu"), ("conv0",)),
        GraphNode("pool", pool, ("relu0",)),
        GraphNode("conv1", convolution(rng, 6, 4, 2, groups=2), ("pool",)),
        GraphNode("relu1", Activation("relu"), ("conv1",)),
        GraphNode("flat", Reshape((24,)), ("relu1",)),
        GraphNode("fc2", Affine(rng.normal(size=(5, 24)) / 3, rng.normal(size=5) / 8), ("flat",)),
        GraphNode("relu2", Activation("relu"), ("fc2",)),
    ]
    return Graph(tuple(nodes), {"output": "relu2"})


def residual(seed: int) -> Graph:
    """A shortcut as it is, one with weights, and a mean over whole axes."""
    rng = np.random.default_rng(seed)
    one = Convolution(rng.normal(size=(4, 4, 1, 1)), None, (1, 1), ((0, 0), (0, 0)), (1, 1))
    nodes = [
        GraphNode("x", Input((2, 6, 6))),
        GraphNode("conv0", convolution(rng, 4, 2), ("x",)),
        GraphNode("relu0", Activation("relu"), ("conv0",)),
        GraphNode("conv1", convolution(rng, 4, 4), ("relu0",)),
        GraphNode("add1", Add(), ("conv1", "relu0")),
        GraphNode("relu1", Activation("relu"), ("add1",)),
        GraphNode("conv2", convolution(rng, 4, 4), ("relu1",)),
        GraphNode("short", one, ("relu1",)),
        GraphNode("add2", Add(), ("conv2", "short")),
        GraphNode("relu2", Activation("relu"), ("add2",)),
        GraphNode("mean", GlobalAveragePool((1, 2)), ("relu2",)),
        GraphNode("fc3", Affine(rng.normal(size=(3, 4)), rng.normal(size=3) / 8), ("mean",)),
        GraphNode("relu3", Activation("relu"), ("fc3",)),
    ]
    return Graph(tuple(nodes), {"output": "relu3"})


GRAPHS = {"dense": dense, "pooled": pooled, "residual": residual}


def given(graph: Graph, samples: int = 4, seed: int = 5) -> NDArray:
    """Values of eight bits below one, of either sign."""
    rng = np.random.default_rng(seed)
    return rng.integers(-255, 256, (samples, *graph.shapes["x"])) / 256.0


@dataclass
class Integers:
    """Whole numbers of a network, simulated; `counts[layer]` is `(samples, steps, *shape)`.

    `saturated` and `floored` count how often a bound of the voltage held.
    """

    counts: dict[str, NDArray]
    saturated: int = 0
    floored: int = 0


def simulated(
    rounded: Graph,
    types: Mapping[str, Any],
    scales: Mapping[str, NDArray],
    x: NDArray,
    steps: int,
    added: Mapping[str, NDArray] | None = None,
) -> Integers:
    """Run a graph with rounded weights in whole numbers, step by step, layer by layer.

    `added` are charges `(steps, *shape)` of some layers beside those of the graph.
    """
    numbers = {name: Population(rounded, name, types[name], scales) for name in types}
    result = Integers({name: np.zeros((len(x), steps, *rounded.shapes[name])) for name in types})
    states = {
        name: (np.zeros((len(x), *rounded.shapes[name]), np.int64) + p.start)
        for name, p in numbers.items()
    }
    for step in range(steps):
        sent: dict[str, NDArray] = {"x": x}
        for name, population in numbers.items():
            charge = population.charge(sent)
            if added is not None:
                charge = charge + added[name][step].astype(np.int64)
            sent[name], states[name] = _fired(population, states[name], charge, result)
            result.counts[name][:, step] = sent[name]
    return result


def _fired(p: Population, v: NDArray, q: NDArray, result: Integers) -> tuple[NDArray, NDArray]:
    """One step of one population, in int64."""
    kind, T = p.kind, p.threshold
    if kind.decay is not None:
        v = v - (v >> kind.decay)
    v = v + q
    if kind.state_bits is not None:
        low, high = -(2 ** (kind.state_bits - 1)), 2 ** (kind.state_bits - 1) - 1
        result.saturated += int(((v < low) | (v > high)).sum())
        v = np.clip(v, low, high)
    k = np.maximum(v // T, 0)
    if kind.max_spikes_per_step is not None:
        k = np.minimum(k, kind.max_spikes_per_step)
    v = v - k * T if kind.reset == "subtract" else np.where(k > 0, 0, v)
    if kind.voltage_floor is not None:
        low = -int(kind.voltage_floor) * T
        result.floored += int((v < low).sum())
        v = np.maximum(v, low)
    return k, v


class Population:
    """A population's whole numbers: a matrix of charges for each sender, found by one-hot input."""

    def __init__(
        self, graph: Graph, name: str, kind: sw.FixedPointIntegrateAndFire, scales: Any
    ) -> None:
        self.kind, self.shape = kind, graph.shapes[name]
        self.threshold = np.broadcast_to(kind.threshold, self.shape).astype(np.int64)
        self.start = self.threshold // 2  # half a spike
        unit = 1.0 / (scales[name] * DT) / kind.threshold
        none = {s: np.zeros((1, *graph.shapes[s])) for s in ("x", *scales) if s in graph}
        senders = {s: v for s, v in none.items() if s in _senders(graph, name)}
        constant = _current(graph, name, senders)[0] / unit
        self.constant = _whole(constant)
        self.matrices = {}
        for sender, zero in senders.items():
            hot = np.eye(zero.size).reshape(-1, *zero.shape[1:])
            if sender != "x":
                hot = hot / (scales[sender] * DT)
            others = {s: np.zeros((len(hot), *v.shape[1:])) for s, v in senders.items()}
            current = _current(graph, name, {**others, sender: hot}) / unit - constant
            flat = current.reshape(len(hot), -1)
            self.matrices[sender] = _dyadic(flat) if sender == "x" else _whole(flat)

    def charge(self, sent: Mapping[str, NDArray]) -> NDArray:
        """The charge of one step, `(samples, *shape)`."""
        total = np.broadcast_to(self.constant, (len(sent["x"]), *self.shape)).reshape(
            len(sent["x"]), -1
        )
        for sender, matrix in self.matrices.items():
            values = sent[sender].reshape(len(sent["x"]), -1)
            if sender == "x":  # dyadic numbers, exact in float64; halves are rounded up
                total = total + np.floor(values @ matrix + 0.5 + ROUNDING).astype(np.int64)
            else:
                total = total + values.astype(np.int64) @ matrix
        return total.reshape(-1, *self.shape)


def _senders(graph: Graph, name: str) -> set[str]:
    """The populations and inputs that a population hears, through layers between."""
    found: set[str] = set()
    for source in graph[name].inputs:
        layer = graph[source].layer
        stops = isinstance(layer, Activation | Input)
        found |= {source} if stops else _senders(graph, source)
    return found


def _current(graph: Graph, name: str, values: Mapping[str, NDArray]) -> NDArray:
    """The input of a population when senders have these values."""

    def value(source: str) -> NDArray:
        if source in values:
            return values[source]
        return graph[source].layer.evaluate(*(value(n) for n in graph[source].inputs))

    return value(graph[name].inputs[0])


def _whole(values: NDArray) -> NDArray:
    """Numbers that are whole up to rounding, as int64; raises where one is not."""
    found = np.rint(values)
    np.testing.assert_allclose(values, found, atol=1e-6)
    return found.astype(np.int64)


def _dyadic(values: NDArray) -> NDArray:
    """Numbers of few bits, without the rounding of the arithmetic that found them."""
    found = np.array([float(Fraction(v).limit_denominator(2**12)) for v in values.reshape(-1)])
    np.testing.assert_allclose(values.reshape(-1), found, atol=1e-6)
    return found.reshape(values.shape)
