"""Layers that are computed of held numbers: masks, whole numbers compared, inputs rounded."""

from __future__ import annotations

from spikewright.graph import Graph, Node, leading_to
from spikewright.graph import layers as g
from spikewright.graph.masks import masks_of
from spikewright.lower.node_functions import ROUND

_COMPARING = ("threshold", "abs", "clip", "relu", "sign", "floor", "ceil", "round", "linear")
_WEIGHTED = (g.Affine, g.Convolution, g.ConvolutionTranspose, g.BatchNormalization, g.Lookup)
_NORMALISING = (
    g.GroupNormalization, g.LayerNormalization, g.RMSNormalization, g.UnitNormalization,
)  # fmt: skip


def held_layers(graph: Graph) -> frozenset[str]:
    """Names of the layers whose values follow from masks alone, or from whole numbers of inputs.

    Of whole numbers that is so for comparisons, and for moves and sums without weights of what they
    give: a row of a table, or a weighted sum, is a value of the network. Masks may be computed of
    any inputs, by comparisons without weights; so may inputs that are rounded.
    """
    masks, inputs = masks_of(graph), set(graph.inputs)
    constants = {node.name for node in graph if isinstance(node.layer, g.Constant)}
    whole, given = set[str](), inputs | constants
    for node in graph:
        is_whole = isinstance(node.layer, g.Input) and node.layer.whole
        if is_whole or (_compares(node) and whole.issuperset(node.inputs)):
            whole.add(node.name)
        if _compares(node) and given.issuperset(node.inputs):
            given.add(node.name)
    rounded = {name for name in given if _rounds(graph[name].layer)}
    leading = leading_to(graph, rounded | {mask.node for mask in masks.found})
    return (masks.alone | whole | (given & leading - constants)) - inputs


def _rounds(layer: g.Layer) -> bool:
    return isinstance(layer, g.Activation) and layer.function == ROUND


def _compares(node: Node) -> bool:
    """Whether a layer makes numbers of numbers, without weights."""
    layer = node.layer
    if isinstance(layer, g.Activation):
        return layer.function in _COMPARING
    others = (*_WEIGHTED, *_NORMALISING, g.Input, g.Constant, g.PythonCall, g.Recurrence)
    return not isinstance(layer, others)
