"""Operations of the source network, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.graph import Graph
from spikewright.graph.interpreter import evaluate_all
from spikewright.graph.layers import Affine, Convolution, ConvolutionTranspose

_WEIGHTED = (Affine, Convolution, ConvolutionTranspose)


@dataclass(frozen=True, eq=False)
class SourceOperations:
    """Multiply-accumulates of one pass through a network.

    `dense` is of every layer that has some, `{layer: number}`, as is customary: padding and zeros
    included. `effective`, where inputs were given, is `{layer: (batch,)}`: products of values and
    weights that are not zero.
    """

    dense: Mapping[str, int]
    effective: Mapping[str, NDArray] | None = None

    @property
    def multiply_accumulates(self) -> int:
        """All dense multiply-accumulates of one sample."""
        return sum(self.dense.values())

    @property
    def effective_multiply_accumulates(self) -> NDArray | None:
        """All effective multiply-accumulates of each sample, `(batch,)`."""
        if self.effective is None:
            return None
        found: NDArray = sum(self.effective.values(), start=np.zeros((), np.int64))
        return found


def source_operations(
    graph: Graph, inputs: Mapping[str, ArrayLike] | None = None
) -> SourceOperations:
    """Multiply-accumulates of a graph; effective ones too where `inputs` are given.

    `inputs` are `{name: (batch, *shape)}`; raises `GraphError` where they do not fit.
    """
    shapes = graph.shapes
    dense = {
        node.name: node.layer.multiply_accumulates(*(shapes[name] for name in node.inputs))
        for node in graph
    }
    dense = {name: number for name, number in dense.items() if number}
    if inputs is None:
        return SourceOperations(dense)
    values = evaluate_all(graph, inputs)
    batch = max(map(len, values.values()))
    return SourceOperations(
        dense,
        {
            name: effective(graph[name].layer, *(values[i] for i in graph[name].inputs), most=most)
            if isinstance(graph[name].layer, _WEIGHTED)
            else np.full(batch, most)
            for name, most in dense.items()
        },
    )


def effective(layer: Any, x: NDArray, *, most: int) -> NDArray:
    """Products of values `(batch, *shape)` and weights of a layer that are both not zero."""
    pattern = replace(layer, weight=(np.asarray(layer.weight) != 0).astype(np.float64), bias=None)
    made = pattern.evaluate((x != 0).astype(np.float64))
    return np.rint(made.reshape(len(x), -1).sum(axis=1)).astype(np.int64)
