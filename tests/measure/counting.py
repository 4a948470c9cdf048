"""Small networks whose operations can be counted by hand, and matrices to count them with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import spikewright as sw
from conformance import oracle
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    AveragePool,
    Convolution,
    Input,
    Reshape,
)
from spikewright.measure.operations import Counter
from spikewright.network.transforms import Transform

RELU = Activation("relu")
PADDED = ((1, 1), (1, 1))


def residual_graph() -> Graph:
    """4 x 4 image, strided convolution, convolution with a sum around it, average pool, matrix.

    Weights are one but for the corner tap of the second convolution from channel 0 to 0, and those
    of the last of three outputs: both are zero.
    """
    kernel = np.ones((2, 2, 3, 3))
    kernel[0, 0, 0, 0] = 0.0
    matrix = np.ones((3, 2))
    matrix[2] = 0.0
    nodes = (
        GraphNode("x", Input((1, 4, 4))),
        GraphNode(
            "conv1", Convolution(np.ones((2, 1, 3, 3)), None, (2, 2), PADDED, (1, 1)), ("x",)
        ),
        GraphNode("relu1", RELU, ("conv1",)),
        GraphNode(
            "conv2", Convolution(kernel, np.array([1.0, 2.0]), (1, 1), PADDED, (1, 1)), ("relu1",)
        ),
        GraphNode("sum", Add(), ("conv2", "relu1")),
        GraphNode("relu2", RELU, ("sum",)),
        GraphNode("pool", AveragePool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), ("relu2",)),
        GraphNode("flat", Reshape((2,)), ("pool",)),
        GraphNode("out", Affine(matrix, None), ("flat",)),
    )
    return Graph(nodes, {"y": "out"})


def counter_of(conversion: sw.Conversion) -> Counter:
    """The counter of a conversion."""
    return Counter(conversion.network, conversion.populations(), conversion.inputs)


def totals_of(run: sw.results.Run) -> dict[str, NDArray]:
    """Spikes of every neuron in a run."""
    return {name: population.totals for name, population in run.populations.items()}


def pattern(transform: Transform, shape: tuple[int, ...]) -> NDArray:
    """Which entries of a transform's matrix are not zero, found by applying it to each unit."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    columns = [oracle.apply_transform(transform, unit).ravel() for unit in units]
    return (np.stack(columns, axis=1) != 0).astype(np.int64)


def chain_pattern(chain: tuple[Transform, ...], shape: tuple[int, ...]) -> NDArray:
    """Number of paths from each input to each output of a chain: the product of the patterns."""
    paths = np.eye(int(np.prod(shape)), dtype=np.int64)
    for part in chain:
        paths = pattern(part, shape) @ paths
        shape = part.output_shape(shape)
    return paths
