"""Padding in counts of operations: places of a network whose values belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import MatMul
from spikewright.graph.masks import Real
from spikewright.measure.operations.operations import LayerOperations
from spikewright.measure.operations.wiring import Hop, Item
from spikewright.network import Node as NetworkNode


@dataclass(frozen=True, eq=False)
class Padding:
    """Values of places that count, `{place: (batch, *shape)}`, all those of places left out.

    `read` are those of each input of a function, which are not shaped like its result.
    `products` are the multiply-accumulates of functions in a step, `{node: (batch,)}`, and `source`
    those of one pass through the source, `(batch,)`, None where these are the same for all samples.
    """

    real: Mapping[Item, NDArray] = field(default_factory=dict)
    read: Mapping[Any, Sequence[NDArray]] = field(default_factory=dict)
    products: Mapping[Any, NDArray] = field(default_factory=dict)
    source: NDArray | None = None

    def paths(self, hop: Hop, number: int, batch: int) -> NDArray:
        """The number of paths `(batch,)` of a hop from values that count, of a `number` of all."""
        real = self.real.get(hop.origin)
        if real is None:
            return np.full(batch, number)
        met = real.reshape(len(real), -1) @ hop.fan_out.ravel()
        return np.rint(met * (number / max(1, hop.synapses))).astype(np.int64)

    def size(self, place: Item, number: int) -> float:
        """The mean over samples of how many of a `number` of values count."""
        real = self.real.get(place)
        return number if real is None else whole(int(real.sum()), len(real))

    def reaching(self, hop: Hop, found: LayerOperations) -> LayerOperations:
        """Operations of a hop, without those at targets that are padding.

        Where a value is spread over positions, paths are taken to meet all targets alike.
        """
        real = self.real.get(hop.target)
        if isinstance(hop.target, NetworkNode) and hop.target.output is not None:
            known = self.read.get(hop.target, ())  # one path to every value of one of its inputs
            real = next((part for part in known if part[0].size == hop.synapses), None)
        if real is None or not hop.synapses:
            return found
        counts = real.reshape(len(real), -1).mean(axis=1) * hop.synapses
        share = np.minimum(1.0, counts / np.maximum(1, self.paths(hop, hop.synapses, len(real))))
        return found.times(share)

    def without(self, place: Item, values: NDArray) -> NDArray:
        """The values `(batch, *shape)` or `(batch, steps, *shape)` with 0 for padding."""
        real = self.real.get(place)
        if real is None:
            return values
        return np.where(real if values.ndim == real.ndim else real[:, None], values, 0.0)


NO_PADDING = Padding()


def whole(total: int, n: int) -> float:
    """A mean of whole numbers: a whole number where it is one."""
    return total // n if total % n == 0 else total / n


def real_products(graph: Graph, node: GraphNode, real: Real) -> NDArray:
    """Products that a layer sums, `(batch,)`, without those of padding; see `Layer`.

    Of a matrix product those of two values that count, of other layers those of results that do.
    """
    shapes = [graph.shapes[name] for name in node.inputs]
    most = node.layer.multiply_accumulates(*shapes)
    if isinstance(node.layer, MatMul):
        factors = (real.whole(name, shape) for name, shape in zip(node.inputs, shapes, strict=True))
        ones = (np.ones((len(real), *shape)) for shape in shapes)
        both = [
            one if factor is None else factor.astype(np.float64)
            for factor, one in zip(factors, ones, strict=True)
        ]
        made = node.layer.evaluate(*both).reshape(len(real), -1).sum(axis=1)
        return np.rint(made).astype(np.int64)
    counts = real.of(node.name)
    if counts is None:
        return np.full(len(real), most)
    share = counts.reshape(len(real), -1).mean(axis=1)
    return np.rint(most * share).astype(np.int64)
