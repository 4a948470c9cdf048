"""Random small networks of all kinds of layers: their rate networks are exact, spikes converge."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_graphs import STEPS, errors_over_time

import spikewright as sw
from spikewright._base.equations import CURVES
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    Concatenate,
    Constant,
    Convolution,
    ConvolutionTranspose,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    Input,
    Interpolate,
    Layer,
    LayerNormalization,
    MatMul,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Pad,
    ParametricReLU,
    Permute,
    Reshape,
    RMSNormalization,
    ScaleShift,
    Shape,
    Slice,
    Take,
    Tile,
    UnitNormalization,
    UpsampleNearest,
)

# Steep functions and jumps are left out: behind a random network they may be anywhere.
SMOOTH = [
    n for n, c in CURVES.items() if c.domain == "all" and not (c.steep or c.jumps) and n != "linear"
]
PARAMETERS = {"leaky_relu": {"negative_slope": 0.2}}


def _elementwise(rng: np.random.Generator, shape: Shape) -> Layer:
    if rng.integers(8) == 0:
        return ParametricReLU(rng.uniform(-0.2, 0.5, (shape[0], *(1,) * (len(shape) - 1))))
    name = str(rng.choice(SMOOTH))
    return Activation(name, PARAMETERS.get(name, {}))


def _normal(rng: np.random.Generator, shape: Shape) -> Layer:
    n = shape[-1]
    choices: list[Layer] = [
        LayerNormalization((-1,), 0.1, rng.uniform(0.5, 1.5, n), rng.normal(size=n)),
        RMSNormalization((0,), 0.1),
        GroupNormalization(1, 0, 0.1),
        UnitNormalization((-1,), 0.1),
        Activation(str(rng.choice(["softmax", "log_softmax"])), {"axis": int(rng.integers(-1, 1))}),
    ]
    return choices[rng.integers(len(choices))]


def _weights(rng: np.random.Generator, shape: Shape) -> Layer:
    if len(shape) == 3 and rng.integers(2):
        rank, last = 2, bool(rng.integers(2))
        channels = shape[-1] if last else shape[0]
        size = (2, 2) if min(shape) >= 2 else (1, 1)
        one, none = (1,) * rank, ((0, 0),) * rank
        weight = rng.normal(size=(channels, channels, *size)) / math.sqrt(channels * 4)
        bias = 0.3 * rng.normal(size=channels)
        if rng.integers(2):
            return ConvolutionTranspose(weight, bias, (2, 1), none, (0, 0), one, 1, last)
        return Convolution(weight, bias, one, ((0, 1),) * rank, one, 1, last)
    out = int(rng.integers(1, 6))
    weight = rng.normal(size=(out, shape[-1])) / math.sqrt(shape[-1])
    return Affine(weight, 0.3 * rng.normal(size=out))


def _moving(rng: np.random.Generator, shape: Shape) -> Layer:
    n, rank = shape[0], len(shape)
    choices: list[Layer] = [
        Reshape((math.prod(shape),)),
        Permute(tuple(int(i) for i in rng.permutation(rank))),
        Slice.along(shape, {0: slice(None, None, -1)}),
        Take(rng.integers(0, n, 3), 0),
        Tile((2, *(1,) * (rank - 1))),
        Pad(((1, 1), *((0, 0),) * (rank - 1)), "edge"),
        UpsampleNearest((2, *(1,) * (rank - 1))),
        Interpolate((rng.uniform(0, 1, (3, n)) / n,), (0,)),
        ScaleShift(rng.normal(size=shape), rng.normal(size=())),
        GlobalMaxPool((0,), True),
        GlobalAveragePool((-1,), True),
    ]
    if rank == 3 and min(shape[1:]) >= 2:
        none = ((0, 0), (0, 0))
        choices.append(MaxPool((2, 2), (1, 1), none, (1, 1)))
        choices.append(AveragePool((2, 2), (2, 1), none))
    return choices[rng.integers(len(choices))]


Maker = Callable[[np.random.Generator, Shape], Layer]
MAKERS: tuple[Maker, ...] = (_elementwise, _elementwise, _weights, _weights, _normal, _moving)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Some layers in a row and joins of what is there, ending in weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape: Shape = draw(st.sampled_from([(5,), (3, 4), (2, 3, 4)]))
    nodes = [GraphNode("x", Input(shape)), GraphNode("c", Constant(rng.normal(size=shape)))]
    shapes: dict[str, Shape] = {"x": shape, "c": shape}
    for i in range(draw(st.integers(2, 8))):
        read = draw(st.sampled_from([name for name in shapes if name != "c"][-3:]))
        twins = [name for name, other in shapes.items() if other == shapes[read]]
        layer: Layer
        if rng.integers(4) == 0:
            joins = [Add(), Multiply(), Maximum(), Minimum(), Concatenate(0)]
            layer = joins[rng.integers(5)]
            reads: tuple[str, ...] = (read, draw(st.sampled_from(twins)))
            if len(shapes[read]) > 1 and rng.integers(4) == 0:
                layer = MatMul(transpose_b=True)
        else:
            layer, reads = MAKERS[rng.integers(len(MAKERS))](rng, shapes[read]), (read,)
        made = layer.output_shape(*(shapes[name] for name in reads))
        if math.prod(made) > 300:
            continue
        name = f"n{i}"
        nodes.append(GraphNode(name, layer, reads, name))
        shapes[name] = made
    last = nodes[-1].name if nodes[-1].name != "c" else "x"
    weight = rng.normal(size=(3, shapes[last][-1])) / math.sqrt(shapes[last][-1])
    nodes.append(GraphNode("end", Affine(weight), (last,), "end"))
    return Graph(tuple(nodes), {"y": "end"})


@settings(max_examples=50, deadline=None, derandomize=True)
@given(graphs())
def test_the_rate_network_is_the_graph(graph: Graph) -> None:
    """Every layer that has a value in the network has the graph's."""
    assert max(sw.convert(graph).verify(rtol=1e-5).values()) < 1e-5


@settings(max_examples=30, deadline=None, derandomize=True)
@given(graphs())
def test_spikes_converge_to_the_graph(graph: Graph) -> None:
    """Steps times error stays bounded: what it is up to 64 steps, at most four times until 1024."""
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=400.0)
    x = {"x": np.random.default_rng(0).normal(size=(6, *graph.shapes["x"]))}
    errors = errors_over_time(conversion, x)

    charge = STEPS * errors  # a spike is 2.5 of it, in units of the output
    assert charge[-2:].max() < max(4.0 * charge[:3].max(), 5.0), errors
    assert conversion.trace.guarantee != "approximated"
