"""Small graphs that several tests share, with random weights."""

from __future__ import annotations

import numpy as np

from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    BatchNormalization,
    Concatenate,
    Convolution,
    GlobalAveragePool,
    Input,
    LayerNormalization,
    MatMul,
    MaxPool,
)


def convolution(rng: np.random.Generator, out: int, inner: int) -> Convolution:
    """A 3 x 3 convolution that keeps the extent and about the variance."""
    weight = rng.normal(size=(out, inner, 3, 3)) / np.sqrt(4.5 * inner)
    bias = rng.normal(size=out) * 0.1
    return Convolution(weight, bias, (1, 1), ((1, 1), (1, 1)), (1, 1))


def batch_norm(rng: np.random.Generator, channels: int) -> BatchNormalization:
    """Batch normalisation over the first axis with statistics of order one."""
    return BatchNormalization(
        rng.uniform(0.5, 1.5, channels),
        rng.normal(size=channels) * 0.3,
        rng.normal(size=channels) * 0.3,
        rng.uniform(0.5, 2.0, channels),
        1e-3,
        0,
    )


def mlp(
    seed: int = 0, activation: str = "relu", output: str | None = None, outputs: int = 3
) -> Graph:
    """Input 6 -> 12 -> 8 -> outputs, activations after the first two, one on those if given."""
    rng = np.random.default_rng(seed)
    nodes = [
        GraphNode("x", Input((6,))),
        GraphNode(
            "fc1", Affine(rng.normal(size=(12, 6)) / 2, rng.normal(size=12) / 4), ("x",), "fc1"
        ),
        GraphNode("act1", Activation(activation), ("fc1",), "act1", "Act"),
        GraphNode(
            "fc2", Affine(rng.normal(size=(8, 12)) / 3, rng.normal(size=8) / 4), ("act1",), "fc2"
        ),
        GraphNode("act2", Activation(activation), ("fc2",), "act2", "Act"),
    ]
    weights, biases = rng.normal(size=(outputs, 8)) / 2, rng.normal(size=outputs) / 4
    nodes.append(GraphNode("fc3", Affine(weights, biases), ("act2",), "fc3"))
    last = "fc3"
    if output is not None:
        nodes.append(GraphNode("out", Activation(output), ("fc3",), "out"))
        last = "out"
    return Graph(tuple(nodes), {"output": last})


def residual(seed: int = 0, pool: bool = False) -> Graph:
    """Convolutions, batch norm before and after ReLU, a residual sum, a concatenation, a mean."""
    rng = np.random.default_rng(seed)
    nodes = [
        GraphNode("x", Input((2, 8, 8))),
        GraphNode("conv1", convolution(rng, 6, 2), ("x",)),
        GraphNode("relu1", Activation("relu"), ("conv1",)),
        GraphNode("bn1", batch_norm(rng, 6), ("relu1",)),
        GraphNode("conv2", convolution(rng, 6, 6), ("bn1",)),
        GraphNode("bn2", batch_norm(rng, 6), ("conv2",)),
        GraphNode("add", Add(), ("bn2", "relu1")),
        GraphNode("relu2", Activation("relu"), ("add",)),
    ]
    last = "relu2"
    if pool:
        layer = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
        nodes += [GraphNode("pool", layer, (last,))]
        last = "pool"
    nodes += [
        GraphNode("cat", Concatenate(0), (last, last)),
        GraphNode("mean", GlobalAveragePool((1, 2)), ("cat",)),
        GraphNode("fc", Affine(rng.normal(size=(5, 12)) / 3, rng.normal(size=5) / 4), ("mean",)),
    ]
    return Graph(tuple(nodes), {"output": "fc"})


def attention(seed: int = 0) -> Graph:
    """Rows that attend to each other, behind a normalisation and before a curved activation."""
    rng = np.random.default_rng(seed)

    def dense(out: int, inner: int) -> Affine:
        return Affine(rng.normal(size=(out, inner)) / np.sqrt(inner), rng.normal(size=out) / 4)

    nodes = (
        GraphNode("x", Input((5, 6))),
        GraphNode("norm", LayerNormalization((1,), 1e-5), ("x",)),
        GraphNode("q", dense(6, 6), ("norm",)),
        GraphNode("k", dense(6, 6), ("norm",)),
        GraphNode("v", dense(6, 6), ("norm",)),
        GraphNode("scores", MatMul(transpose_b=True), ("q", "k")),
        GraphNode("weights", Activation("softmax", {"axis": -1}), ("scores",)),
        GraphNode("attended", MatMul(), ("weights", "v")),
        GraphNode("hidden", dense(8, 6), ("attended",)),
        GraphNode("gelu", Activation("gelu"), ("hidden",)),
        GraphNode("fc", dense(3, 8), ("gelu",)),
    )
    return Graph(nodes, {"output": "fc"})


def two_headed(rng: np.random.Generator | int = 5, level: float = 0.0) -> Graph:
    """One input `(6,)`, three classes and a value that begins at `level`."""
    rng = np.random.default_rng(rng)
    return Graph(
        (
            GraphNode("x", Input((6,))),
            GraphNode("fc", Affine(rng.normal(size=(8, 6)), rng.normal(size=8)), ("x",)),
            GraphNode("act", Activation("relu"), ("fc",)),
            GraphNode("kind", Affine(rng.normal(size=(3, 8)), np.zeros(3)), ("act",)),
            GraphNode("size", Affine(rng.normal(size=(1, 8)), np.full(1, level)), ("act",)),
        ),
        {"class": "kind", "value": "size"},
    )


def inputs(graph: Graph, batch: int = 3, seed: int = 1) -> np.ndarray:
    """Seeded normal input for a graph with one input."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, *graph.shapes[graph.inputs[0]]))
