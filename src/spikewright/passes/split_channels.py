"""Splits channels of neurons into several that share their work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikewright.graph import CANONICAL, Graph, GraphNode, unique_name
from spikewright.graph.layers import Affine, Convolution, Layer, Take
from spikewright.graph.splits import Split
from spikewright.passes.base import Note, Pass, PassResult


@dataclass(frozen=True, eq=False)
class SplitChannels(Pass):
    """`f(z) = (1/m) sum of m f(z)`: channels of elementwise layers become m equal ones.

    The layer keeps its name, and has more channels. Whatever reads it takes their means: an
    `Affine` or a `Convolution` by its weights, and other layers behind a mean of their own.
    Exact, to the rounding of 1 / m in float64.
    """

    splits: Mapping[str, Split]

    name = "split channels"
    requires = CANONICAL
    ensures = CANONICAL

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        nodes: list[GraphNode] = []
        names = set(graph.shapes)
        means: dict[str, str] = {}

        def named(text: str) -> str:
            names.add(found := unique_name(text, names))
            return found

        for before in graph:
            folded, split = self._folded(before), self.splits.get(before.name)
            inputs = tuple(means.get(name, name) for name in before.inputs)
            node = (
                replace(before, inputs=inputs) if folded is None else replace(before, layer=folded)
            )
            if split is None:
                nodes.append(node)
                continue
            copied = GraphNode(
                named(f"{node.name}.copies"), Take(split.channels, split.axis), inputs
            )
            nodes += [copied, replace(node, inputs=(copied.name,))]
            if any(self._folded(graph[user]) is None for user in graph.consumers[node.name]):
                means[node.name] = named(f"{node.name}.mean")
                layer = _mean(split, len(graph.shapes[node.name]))
                nodes.append(GraphNode(means[node.name], layer, (node.name,)))
        notes = tuple(Note(name, split.text) for name, split in self.splits.items())
        return PassResult(Graph(tuple(nodes), graph.outputs, graph.aliases), notes)

    def _folded(self, node: GraphNode) -> Layer | None:
        """A layer whose weights take the means of what it reads; None for others."""
        split, layer = self.splits.get(node.inputs[0]) if node.inputs else None, node.layer
        if split is None or not isinstance(layer, Affine | Convolution):
            return None
        if isinstance(layer, Convolution) and layer.groups > 1:
            return None
        weight = np.asarray(layer.weight, np.float64)[:, split.channels]
        return replace(layer, weight=weight * split.shares.reshape(-1, *(1,) * (weight.ndim - 2)))


def _mean(split: Split, rank: int) -> Layer:
    """The means of all copies, of values of this rank."""
    weight = (split.channels == np.arange(len(split.copies))[:, None]) * split.shares
    if split.axis == rank - 1:
        return Affine(weight)
    size = (1,) * (rank - 1)
    pads = ((0, 0),) * (rank - 1)
    return Convolution(weight.reshape(*weight.shape, *size), None, size, pads, size)
