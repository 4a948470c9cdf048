"""Policy: average pooling in place of max pooling (approximate, only on request)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spikewright.graph import IDENTITY_FREE, Graph, GraphNode
from spikewright.graph.layers import AveragePool, GlobalAveragePool, GlobalMaxPool, Layer, MaxPool
from spikewright.passes.base import Note, Pass, PassResult


def _average(layer: Layer) -> Layer | None:
    if isinstance(layer, GlobalMaxPool):
        return GlobalAveragePool(layer.axes, layer.keepdims)
    if isinstance(layer, MaxPool) and set(layer.dilation) == {1}:
        return AveragePool(
            layer.size,
            layer.stride,
            layer.padding,
            ceil_mode=layer.ceil_mode,
            channels_last=layer.channels_last,
        )
    return None


@dataclass(frozen=True)
class AverageMaxPools(Pass):
    """Every undilated maximum over windows or axes becomes the average; outputs change."""

    name = "average max pools"
    requires = IDENTITY_FREE
    ensures = IDENTITY_FREE

    def rewrite(self, graph: Graph) -> PassResult:
        nodes: list[GraphNode] = []
        notes = []
        for node in graph:
            average = _average(node.layer)
            if average is None:
                nodes.append(node)
                continue
            nodes.append(replace(node, layer=average))
            notes.append(Note(node.name, "average pooling in place of max pooling", exact=False))
        return PassResult(Graph(tuple(nodes), graph.outputs, graph.aliases), tuple(notes))
