"""Layers as functions of nodes: their value depends on several values of the input.

In a spiking network such a node computes its function of the running means of its inputs, and sends
the increases. Weights would multiply them as analog numbers. So a signed population turns them into
spikes, unless the value goes into another such function, or is only read out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from numpy.typing import NDArray

from spikewright._base.windows import Windows, split_shape
from spikewright.graph import SENT, Graph, GraphNode, leading_to
from spikewright.graph import layers as g
from spikewright.graph.layers import Layer, Shape
from spikewright.graph.layers.activation import OVER_AXIS
from spikewright.graph.layers.normalization import from_the_end
from spikewright.graph.masks import masks_of
from spikewright.lower.linear import spatial_layout
from spikewright.network import NodeFunction
from spikewright.network import node_functions as f
from spikewright.network import transforms as t

_FUNCTIONS = (
    g.MaxPool, g.GlobalMaxPool, g.LayerNormalization, g.GroupNormalization, g.RMSNormalization,
    g.UnitNormalization, g.Multiply, g.Divide, g.Maximum, g.Minimum, g.MatMul, g.Lookup,
    g.PythonCall,
)  # fmt: skip
ROUND = "round"
"""The activation that rounds values themselves, as quantised models do inputs and logits."""

_HOMOGENEOUS = (g.MaxPool, g.GlobalMaxPool, g.Maximum, g.Minimum)
_NOWHERE: Mapping[str, Sequence[str]] = MappingProxyType({})
WEIGHTS = (g.Affine, g.Convolution, g.ConvolutionTranspose)


def is_function(layer: Layer) -> bool:
    """Whether a layer becomes a node with a function: none of its own spikes."""
    if isinstance(layer, g.Activation):
        return layer.function in OVER_AXIS or layer.function == ROUND
    return isinstance(layer, _FUNCTIONS)


def is_homogeneous(layer: Layer) -> bool:
    """Whether `f(c x) = c f(x)`, so that increases of running sums of spikes are spikes."""
    return isinstance(layer, _HOMOGENEOUS)


def sent_as_spikes(
    graph: Graph,
    name: str,
    read_out: frozenset[str],
    later: Mapping[str, Sequence[str]] = _NOWHERE,
) -> bool:
    """Whether a function's value passes a population: where weights or neurons read it.

    `later` are the inputs by which the next step of a sequence reads a value.
    """

    def readers(value: str) -> list[str]:
        found = list(graph.consumers[value])
        for state in later.get(value, ()):
            found += graph.consumers[state]
        return found

    if is_homogeneous(graph[name].layer):
        return False
    waiting, seen = readers(name), set[str]()
    while waiting:
        reader = waiting.pop()
        layer = graph[reader].layer
        if reader in seen or reader in read_out:
            continue
        seen.add(reader)
        if layer == SENT:
            continue  # neurons that send it are there
        passes_on = layer.linear or is_homogeneous(layer)
        if isinstance(layer, WEIGHTS) or not (passes_on or is_function(layer)):
            return True
        if passes_on:
            waiting += readers(reader)
    return False


class FunctionPlan(NamedTuple):
    """A layer as a node's function.

    `before` shapes its one input, `after` and `shift` map the function's value to the layer's.
    """

    function: NodeFunction
    before: t.Transform | None = None
    after: tuple[t.Transform, ...] = ()
    shift: NDArray | None = None


def plan(
    layer: Layer,
    shapes: tuple[Shape, ...],
    accumulate: bool,
    fed: bool = False,
    once: bool = False,
) -> FunctionPlan:
    """The function of a layer on inputs of these unbatched shapes.

    `fed` values are given by the network's inputs, and are looked up at every step, or, where all
    comes `once`, as what has come so far.

    Raises `TypeError` for a layer that is not such a function.
    """
    if isinstance(layer, g.MaxPool):
        return FunctionPlan(f.MaxPool(layer.windows, layer.channels_last, accumulate))
    if isinstance(layer, g.GlobalMaxPool):
        return _global_max(layer, shapes[0], accumulate)
    if isinstance(layer, g.Activation) and layer.function in OVER_AXIS:
        kinds = {"softmax": f.Softmax, "log_softmax": f.LogSoftmax}
        return FunctionPlan(kinds[layer.function](layer.axis(len(shapes[0])), accumulate))
    if isinstance(layer, g.Activation):
        return FunctionPlan(
            f.Elementwise(layer.function, tuple(layer.parameters.items()), accumulate)
        )
    if isinstance(layer, g.Lookup):
        return _lookup(layer, shapes[0], accumulate and (once or not fed), fed)
    if isinstance(layer, g.PythonCall):
        return FunctionPlan(
            f.PythonCall(layer.function, shapes, layer.made, layer.called, accumulate)
        )
    if isinstance(layer, g.Multiply | g.Divide | g.Maximum | g.Minimum | g.MatMul):
        return FunctionPlan(_of_several(layer, shapes, accumulate))
    return _normalization(layer, shapes[0], accumulate)


def _of_several(
    layer: g.Multiply | g.Divide | g.Maximum | g.Minimum | g.MatMul,
    shapes: tuple[Shape, ...],
    accumulate: bool,
) -> NodeFunction:
    if isinstance(layer, g.MatMul):
        return f.MatMul(shapes, accumulate, layer.transpose_a, layer.transpose_b)
    kinds: dict[type[Layer], type[f.Multiply | f.Divide | f.Maximum | f.Minimum]] = {
        g.Multiply: f.Multiply,
        g.Divide: f.Divide,
        g.Maximum: f.Maximum,
        g.Minimum: f.Minimum,
    }
    return kinds[type(layer)](shapes, accumulate)


def _lookup(layer: g.Lookup, shape: Shape, accumulate: bool, fed: bool) -> FunctionPlan:
    """Rows of a table; of a single number, which is an array of one value here."""
    function = f.Lookup(layer.table, accumulate, whole=fed)
    if shape:
        return FunctionPlan(function)
    return FunctionPlan(function, t.Reshape((1,)), (t.Reshape(layer.output_shape(shape)),))


def _global_max(layer: g.GlobalMaxPool, shape: Shape, accumulate: bool) -> FunctionPlan:
    """One window over all spatial axes where the axes are these: engines are fast at that."""
    last = spatial_layout(layer.axes, len(shape))
    extent = () if last is None else split_shape(shape, last)[0]
    if last is None or not 1 <= len(extent) <= 3:
        axes = from_the_end(layer.axes, len(shape))
        return FunctionPlan(f.ReduceMax(axes, layer.keepdims, accumulate))
    function = f.MaxPool(Windows(extent), last, accumulate)
    made = layer.output_shape(shape)
    keeps = function.output_shape(shape) == made
    return FunctionPlan(function, after=() if keeps else (t.Reshape(made),))


def _normalization(layer: Layer, shape: Shape, accumulate: bool) -> FunctionPlan:
    rank = len(shape)
    if isinstance(layer, g.GroupNormalization):
        axis = layer.axis % rank
        split = (*shape[:axis], layer.groups, shape[axis] // layer.groups, *shape[axis + 1 :])
        axes = tuple(i - rank - 1 for i in range(rank + 1) if i != axis)
        scale, shift = layer.affine(rank)
        function = f.LayerNormalization(axes, layer.epsilon, accumulate)
        after = (t.Reshape(shape), *_scaled(scale))
        return FunctionPlan(function, t.Reshape(split), after, shift)
    if isinstance(layer, g.LayerNormalization):
        axes = from_the_end(layer.axes, rank)
        function = f.LayerNormalization(axes, layer.epsilon, accumulate)
        return FunctionPlan(function, None, _scaled(layer.scale), layer.shift)
    if isinstance(layer, g.RMSNormalization):
        axes = from_the_end(layer.axes, rank)
        return FunctionPlan(
            f.RMSNormalization(axes, layer.epsilon, accumulate), None, _scaled(layer.scale)
        )
    if isinstance(layer, g.UnitNormalization):
        axes = from_the_end(layer.axes, rank)
        return FunctionPlan(f.UnitNormalization(axes, layer.epsilon, accumulate))
    raise TypeError(f"{layer.kind} is no function of a node")


def _scaled(scale: NDArray | None) -> tuple[t.Transform, ...]:
    return () if scale is None else (t.Scale(scale),)


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


def _compares(node: GraphNode) -> bool:
    """Whether a layer makes numbers of numbers, without weights."""
    layer = node.layer
    if isinstance(layer, g.Activation):
        return layer.function in _COMPARING
    others = (*_WEIGHTED, *_NORMALISING, g.Input, g.Constant, g.PythonCall, g.Recurrence)
    return not isinstance(layer, others)
