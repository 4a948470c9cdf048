"""Small networks with random weights, and the same with channels whose ranges differ by decades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Convolution,
    GlobalAveragePool,
    Input,
    LayerNormalization,
    MaxPool,
    ParametricReLU,
)

SAMPLES = 12
CHANNELS = 8
FACES = ((1, 1), (1, 1))


def dense(rng: np.random.Generator, out: int, inner: int) -> Affine:
    """Weights that keep the variance, and biases with which no channel is silent."""
    return Affine(rng.normal(size=(out, inner)) / np.sqrt(inner), rng.uniform(0.2, 0.6, out))


def convolution(rng: np.random.Generator, out: int, inner: int, size: int = 3) -> Convolution:
    """A convolution that keeps the extent, and halves the variance; pointwise with `size=1`."""
    weight = rng.normal(size=(out, inner, size, size)) / np.sqrt(2 * inner * size**2)
    padding = FACES if size == 3 else ((0, 0), (0, 0))
    return Convolution(weight, rng.uniform(0.2, 0.6, out), (1, 1), padding, (1, 1))


def depthwise(rng: np.random.Generator) -> Convolution:
    """A kernel for each channel."""
    layer = convolution(rng, CHANNELS, 1)
    return replace(layer, groups=CHANNELS)


def chain(shape: tuple[int, ...], **layers: Any) -> Graph:
    """Layers one behind the other."""
    names = ["x", *layers]
    nodes = [GraphNode("x", Input(shape))]
    nodes += [GraphNode(n, la, (names[i],)) for i, (n, la) in enumerate(layers.items())]
    return Graph(tuple(nodes), {"output": names[-1]})


def act(kind: str) -> Activation | ParametricReLU:
    """An activation by its name; "parametric" has a slope for each channel."""
    if kind == "parametric":
        return ParametricReLU(np.linspace(0.05, 0.5, CHANNELS).reshape(-1, 1, 1))
    return Activation(kind, {"negative_slope": 0.2} if kind == "leaky_relu" else {})


def of_dense(kind: str, rng: np.random.Generator) -> Graph:
    """Two dense layers and a head."""
    return chain(
        (6,),
        first=dense(rng, CHANNELS, 6),
        act1=act(kind),
        second=dense(rng, CHANNELS, CHANNELS),
        act2=act(kind),
        head=dense(rng, 5, CHANNELS),
    )


def of_convolutions(kind: str, rng: np.random.Generator) -> Graph:
    """Two convolutions, a mean and a head."""
    return chain(
        (2, 5, 5),
        first=convolution(rng, CHANNELS, 2),
        act1=act(kind),
        second=convolution(rng, CHANNELS, CHANNELS),
        act2=act(kind),
        mean=GlobalAveragePool((1, 2)),
        head=dense(rng, 5, CHANNELS),
    )


def of_bottlenecks(kind: str, rng: np.random.Generator) -> Graph:
    """An inverted residual: wide, depthwise, a linear bottleneck, and wide again."""
    return chain(
        (2, 5, 5),
        first=convolution(rng, CHANNELS, 2),
        act1=act(kind),
        second=depthwise(rng),
        act2=act(kind),
        bottleneck=convolution(rng, CHANNELS, CHANNELS, 1),
        wide=convolution(rng, CHANNELS, CHANNELS, 1),
        act3=act(kind),
        mean=GlobalAveragePool((1, 2)),
        head=dense(rng, 5, CHANNELS),
    )


def of_pools(kind: str, rng: np.random.Generator) -> Graph:
    """Max pooling, and a sum of what is pooled with a convolution of it."""
    pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    nodes = (
        GraphNode("x", Input((2, 6, 6))),
        GraphNode("first", convolution(rng, CHANNELS, 2), ("x",)),
        GraphNode("act1", act(kind), ("first",)),
        GraphNode("pool", pool, ("act1",)),
        GraphNode("second", convolution(rng, CHANNELS, CHANNELS), ("pool",)),
        GraphNode("act2", act(kind), ("second",)),
        GraphNode("third", convolution(rng, CHANNELS, CHANNELS), ("act2",)),
        GraphNode("sum", Add(), ("third", "pool")),
        GraphNode("act3", act(kind), ("sum",)),
        GraphNode("mean", GlobalAveragePool((1, 2)), ("act3",)),
        GraphNode("head", dense(rng, 5, CHANNELS), ("mean",)),
    )
    return Graph(nodes, {"output": "head"})


def of_norms(kind: str, rng: np.random.Generator) -> Graph:
    """A normalisation, whose values of either sign are sent as spikes, between dense layers."""
    scale, shift = rng.uniform(0.5, 1.5, CHANNELS), rng.normal(size=CHANNELS) / 4
    return chain(
        (6,),
        first=dense(rng, CHANNELS, 6),
        act1=act(kind),
        second=LayerNormalization((-1,), 1e-5, scale, shift),
        third=dense(rng, CHANNELS, CHANNELS),
        act2=act(kind),
        head=dense(rng, 5, CHANNELS),
    )


NETWORKS: Mapping[str, tuple[Any, str, dict[str, str]]] = {
    "dense": (of_dense, "relu", {"first": "second", "second": "head"}),
    "dense, either sign": (of_dense, "leaky_relu", {"first": "second", "second": "head"}),
    "convolutions": (of_convolutions, "relu", {"first": "second", "second": "head"}),
    "convolutions, a slope for each channel": (
        of_convolutions, "parametric", {"first": "second", "second": "head"}
    ),
    "depthwise": (of_bottlenecks, "relu", {"first": "second", "second": "bottleneck"}),
    "depthwise, at most six": (
        of_bottlenecks, "relu6", {"first": "second", "second": "bottleneck", "wide": "head"}
    ),
    "linear bottleneck": (of_bottlenecks, "relu6", {"bottleneck": "wide"}),
    "max pooling and a sum": (of_pools, "relu", {"second": "third"}),
    "values of either sign behind a norm": (of_norms, "relu", {"second": "third"}),
}  # fmt: skip
"""A builder, its activation, and which layers' channels are rescaled, by who reads them."""


def multiplied(layer: Any, factors: np.ndarray) -> Any:
    """The layer with its output channels multiplied."""
    if isinstance(layer, LayerNormalization):
        return replace(layer, scale=layer.scale * factors, shift=layer.shift * factors)
    weight = layer.weight * factors.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    return replace(layer, weight=weight, bias=layer.bias * factors)


def divided(layer: Any, factors: np.ndarray) -> Any:
    """The layer for input channels that were multiplied."""
    if isinstance(layer, Convolution) and layer.groups > 1:
        return replace(layer, weight=layer.weight / factors.reshape(-1, 1, 1, 1))
    shape = (1, -1, *(1,) * (layer.weight.ndim - 2))
    return replace(layer, weight=layer.weight / factors.reshape(shape))


def rescaled(graph: Graph, pairs: Mapping[str, str], rng: np.random.Generator) -> Graph:
    """The same function, channels of some layers smaller by powers of two, over three decades."""
    layers = {node.name: node.layer for node in graph}
    for name, reader in pairs.items():
        factors = 2.0 ** rng.permutation(np.linspace(-10, 0, CHANNELS).round())
        layers[name] = multiplied(layers[name], factors)
        layers[reader] = divided(layers[reader], factors)
    nodes = tuple(replace(node, layer=layers[node.name]) for node in graph)
    return Graph(nodes, graph.outputs)


def before_and_after(name: str) -> tuple[Graph, Graph, np.ndarray]:
    """A network, the same rescaled, and inputs; their values are equal, and below six."""
    build, kind, pairs = NETWORKS[name]
    rng = np.random.default_rng(3)
    graph = build(kind, rng)
    wide = rescaled(graph, pairs, rng)
    x = rng.normal(size=(SAMPLES, *graph.shapes["x"]))
    old, new = (evaluate_all(each, {"x": x}) for each in (graph, wide))
    np.testing.assert_allclose(old["head"], new["head"], rtol=1e-12)
    assert kind != "relu6" or max(old[n].max() for n in old if n.startswith("act")) < 6
    return graph, wide, x
