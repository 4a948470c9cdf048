"""Layers that are computed of held numbers: of masks, and of whole numbers that are compared."""

from __future__ import annotations

from spikewright.graph import Graph, Node
from spikewright.graph import layers as g
from spikewright.graph.masks import masks_of

_COMPARING = ("threshold", "abs", "clip", "relu", "sign", "floor", "ceil", "round", "linear")
_WEIGHTED = (g.Affine, g.Convolution, g.ConvolutionTranspose, g.BatchNormalization, g.Lookup)
_NORMALISING = (
    g.GroupNormalization, g.LayerNormalization, g.RMSNormalization, g.UnitNormalization,
)  # fmt: skip


def held_layers(graph: Graph) -> frozenset[str]:
    """Names of the layers whose values follow from masks alone, or from whole numbers of inputs.

    Of whole numbers that is so for comparisons, and for moves and sums without weights of what they
    give: a row of a table, or a weighted sum, is a value of the network.
    """
    masked = masks_of(graph).alone
    whole: set[str] = set()
    for node in graph:
        given = isinstance(node.layer, g.Input) and node.layer.whole
        if given or (_compares(node) and whole.issuperset(node.inputs)):
            whole.add(node.name)
    inputs = set(graph.inputs)
    return frozenset(masked | whole) - inputs


def _compares(node: Node) -> bool:
    """Whether a layer makes numbers of numbers, without weights."""
    layer = node.layer
    if isinstance(layer, g.Activation):
        return layer.function in _COMPARING
    others = (*_WEIGHTED, *_NORMALISING, g.Input, g.Constant, g.PythonCall, g.Recurrence)
    return not isinstance(layer, others)
