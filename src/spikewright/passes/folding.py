"""Folds elementwise maps into the affine layers beside them, and merges affine layers.

An elementwise map `y = scale x + shift` is folded into the affine layer beside it. All of it is in
float64, and so are the weights that result, whatever the source model's were: a fold then costs a
few units in the last place instead of the source's whole precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import CANONICAL, IDENTITY_FREE, Graph, GraphNode
from spikewright.graph.layers import (
    Affine,
    BatchNormalization,
    Convolution,
    ConvolutionTranspose,
    Input,
    Layer,
    ScaleShift,
    Shape,
)
from spikewright.passes.base import GraphRewriter, Note, Pass, PassResult


@dataclass(frozen=True, eq=False)
class PerChannel:
    """`y = scale x + shift` along the channel axis; float64 `(channels,)` each."""

    scale: NDArray
    shift: NDArray


Weighted = Affine | Convolution | ConvolutionTranspose


def channel_axis(layer: Weighted, rank: int) -> int:
    """The axis that a layer's channels lie on, in inputs and outputs of this (unbatched) rank."""
    last = isinstance(layer, Affine) or layer.channels_last
    return rank - 1 if last else 0


def per_channel(layer: Layer, shape: Shape, axis: int) -> PerChannel | None:
    """An elementwise layer on inputs of `shape` as a map along `axis`, or None if it is not one."""
    if isinstance(layer, BatchNormalization):
        same_axis = layer.axis % len(shape) == axis
        return PerChannel(*layer.scale_and_shift()) if same_axis else None
    if isinstance(layer, ScaleShift):
        scale = _along(layer.scale, 1.0, shape, axis)
        shift = _along(layer.shift, 0.0, shape, axis)
        return None if scale is None or shift is None else PerChannel(scale, shift)
    return None


def _along(value: NDArray | None, default: float, shape: Shape, axis: int) -> NDArray | None:
    """A value that broadcasts to `shape` as `(channels,)`; None if it varies on other axes."""
    wide = np.asarray(default if value is None else value, np.float64)
    wide = wide.reshape((1,) * (len(shape) - wide.ndim) + wide.shape)
    if any(n != 1 for i, n in enumerate(wide.shape) if i != axis):
        return None
    return np.broadcast_to(wide.reshape(-1), (shape[axis],))


def fold_after(layer: Weighted, outer: PerChannel) -> Weighted:
    """The layer whose output is `outer` of this layer's output.

    `W' = W s`, `b' = b s + t`: with batch normalisation's s and t, `W g/sigma` and
    `(b - mean) g/sigma + beta`.
    """
    if isinstance(layer, ConvolutionTranspose):  # its weights are (in, out / groups, ...)
        inputs, outputs, *size = layer.weight.shape
        rows = outer.scale.reshape(layer.groups, outputs)
        factors = np.repeat(rows, inputs // layer.groups, axis=0)
        factors = factors.reshape(inputs, outputs, *(1,) * len(size))
    else:
        factors = _rows(outer.scale, layer.weight.ndim)
    weight = factors * np.asarray(layer.weight, np.float64)
    bias = outer.shift if layer.bias is None else layer.bias * outer.scale + outer.shift
    keep_none = layer.bias is None and not np.any(bias)
    return replace(layer, weight=weight, bias=None if keep_none else bias)


def fold_before(layer: Affine | Convolution, inner: PerChannel) -> Affine | Convolution | None:
    """The layer equal to this layer after `inner`, `x s + t`; None if there is none.

    `W' = W s`, `b' = b + W t`. A shift cannot pass zero padding: the padding would have to become
    the shifted zero.
    """
    weight = np.asarray(layer.weight, np.float64)
    scale, shift = _per_weight(layer, inner.scale), _per_weight(layer, inner.shift)
    if not np.any(shift):
        return replace(layer, weight=weight * scale)
    if isinstance(layer, Convolution) and any(map(any, layer.padding)):
        return None
    constant = (weight * shift).reshape(len(weight), -1).sum(axis=1)
    bias = constant if layer.bias is None else layer.bias + constant
    return replace(layer, weight=weight * scale, bias=bias)


def _rows(values: NDArray, rank: int) -> NDArray:
    return values.reshape(-1, *(1,) * (rank - 1))


def _per_weight(layer: Affine | Convolution, channels: NDArray) -> NDArray:
    """Values per input channel, laid out to multiply the weights `(out, in / groups, ...)`."""
    out, inner, *size = layer.weight.shape
    groups = layer.groups if isinstance(layer, Convolution) else 1
    rows = np.repeat(channels.reshape(groups, inner), out // groups, axis=0)
    return rows.reshape(out, inner, *(1,) * len(size))


_APART = 2.0**4  # times that scales of one kind of quantity, such as colours, lie apart at most


def absorb_into_producer(draft: GraphRewriter, node: GraphNode) -> Note | None:
    """Fold an elementwise node into the weights before it; None where that is not exact.

    The node stays, with its name and value, and takes the producer's place.
    """
    producer = draft.private_producer(node)
    if producer is None or not isinstance(producer.layer, Weighted):
        return None
    shape = draft.shape(node.name)
    outer = per_channel(node.layer, shape, channel_axis(producer.layer, len(shape)))
    if outer is None:
        return None
    draft.set_layer(node.name, fold_after(producer.layer, outer))
    draft.drop(producer.name, into=node.name)
    return Note(node.name, f"{node.layer.kind} folded into {producer.name!r} before it")


def absorb_into_consumers(draft: GraphRewriter, node: GraphNode) -> Note | None:
    """Fold an elementwise node into the weights of every layer after it, or None.

    One that brings inputs of different units onto one scale stays: an engine holds weights relative
    to the largest of their channel, and those of inputs in large units would lose their digits.
    """
    consumers = draft.consumers(node.name)
    if draft.is_output(node.name) or not consumers:
        return None
    shape, folded = draft.shape(node.name), []
    for consumer in consumers:
        if not isinstance(consumer.layer, Affine | Convolution):
            return None
        inner = per_channel(node.layer, shape, channel_axis(consumer.layer, len(shape)))
        if inner is None or _joins_units(draft, node, inner):
            return None
        layer = fold_before(consumer.layer, inner)
        if layer is None:
            return None
        folded.append(layer)
    for consumer, layer in zip(consumers, folded, strict=True):
        draft.set_layer(consumer.name, layer)
    draft.drop(node.name, into=consumers[0].name)
    names = ", ".join(repr(consumer.name) for consumer in consumers)
    return Note(node.name, f"{node.layer.kind} folded into {names} after it")


def _joins_units(draft: GraphRewriter, node: GraphNode, inner: PerChannel) -> bool:
    """Whether a node scales the features of an input very differently."""
    sizes = np.abs(inner.scale[inner.scale != 0])
    read = draft[node.inputs[0]].layer
    return isinstance(read, Input) and sizes.size > 0 and sizes.max() > _APART * sizes.min()


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Replaces every `BatchNormalization`, by the first of these rules that applies.

    1. The layer before it is `Affine`, `Convolution` or `ConvolutionTranspose` with its channels on
       the same axis, and nothing else sees that layer's value: its weights and bias take the
       normalisation in. The node is named after the normalisation, whose value it has.
    2. Every layer after it is `Affine` or `Convolution` with its channels on the same axis, and
       nothing else sees the normalised value: their weights and biases take it in. A shift cannot
       pass zero padding; where one would have to, rule 3 applies to the whole. So it does where
       an input's features are of different units: their scales lie more than 16 times apart.
    3. It becomes a `ScaleShift` of the same values.

    Exact, in float64: outputs stay within 1e-9 of the largest magnitude along the way.
    Folding: Jacob et al. 2018, Quantization and Training of Neural Networks, section 3.2;
    Rueckauer et al. 2017, Front. Neurosci. 11:682.
    """

    name = "fold batch norm"
    requires = IDENTITY_FREE
    ensures = CANONICAL

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        draft = GraphRewriter(graph)
        notes = [
            _replace(draft, node, node.layer)
            for node in draft
            if isinstance(node.layer, BatchNormalization)
        ]
        return PassResult(draft.finish(), tuple(notes))


def _replace(draft: GraphRewriter, node: GraphNode, layer: BatchNormalization) -> Note:
    note = absorb_into_producer(draft, node) or absorb_into_consumers(draft, node)
    if note is None:
        draft.set_layer(node.name, layer.as_scale_shift(len(draft.shape(node.name))))
        note = Note(node.name, "became a scale and shift: no weights beside it can take it in")
    return note


@dataclass(frozen=True)
class MergeAffine(Pass):
    """Merges neighbours, until no rule applies. "Alone" means that nothing else sees the value.

    1. `ScaleShift` after a `ScaleShift` that it reads alone: one `ScaleShift`.
    2. `ScaleShift` per output channel after an `Affine`, `Convolution` or `ConvolutionTranspose`
       that it reads alone: into its weights.
    3. `ScaleShift` per input channel before `Affine` and `Convolution` alone: into their weights,
       unless a shift would have to pass zero padding, or an input's features are of different
       units: their scales lie more than 16 times apart.
    4. `Affine` after an `Affine` that it reads alone: their product, unless that has more weights
       than the two.

    The node that is left is named after the last of the two, whose value it has; in rule 3 after
    the layers that took the scale in.
    Exact, in float64: outputs stay within 1e-9 of the largest magnitude along the way.
    """

    name = "merge affine"
    requires = CANONICAL
    ensures = CANONICAL

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        draft, notes = GraphRewriter(graph), list[Note]()
        while found := [note for node in draft if (note := _merge(draft, node)) is not None]:
            notes += found
        return PassResult(draft.finish(), tuple(notes))


def _merge(draft: GraphRewriter, node: GraphNode) -> Note | None:
    """Apply the first rule that fits a node, if any; every application removes a node."""
    match node.layer:
        case ScaleShift():
            return (
                _join_scales(draft, node, node.layer)
                or absorb_into_producer(draft, node)
                or absorb_into_consumers(draft, node)
            )
        case Affine():
            return _join_affines(draft, node, node.layer)
    return None


def _join_scales(draft: GraphRewriter, node: GraphNode, outer: ScaleShift) -> Note | None:
    """Rule 1: `s2 (s1 x + t1) + t2 = (s2 s1) x + (s2 t1 + t2)`."""
    producer = draft.private_producer(node)
    if producer is None or not isinstance(producer.layer, ScaleShift):
        return None
    inner = producer.layer
    shift = _product(outer.scale, inner.shift) if inner.shift is not None else None
    if outer.shift is not None:
        shift = np.asarray(outer.shift, np.float64) + (0.0 if shift is None else shift)
    draft.set_layer(node.name, ScaleShift(_product(outer.scale, inner.scale), shift))
    draft.drop(producer.name, into=node.name)
    return Note(node.name, f"merged with the scale and shift {producer.name!r} before it")


def _product(a: NDArray | None, b: NDArray | None) -> NDArray | None:
    """`a b` in float64, where None is one."""
    known = [np.asarray(factor, np.float64) for factor in (a, b) if factor is not None]
    return np.multiply(*known) if len(known) == 2 else next(iter(known), None)


def _join_affines(draft: GraphRewriter, node: GraphNode, outer: Affine) -> Note | None:
    """Rule 4: `W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2)`."""
    producer = draft.private_producer(node)
    if producer is None or not isinstance(producer.layer, Affine):
        return None
    inner = producer.layer
    if outer.weight.shape[0] * inner.weight.shape[1] > outer.weight.size + inner.weight.size:
        return None
    second = np.asarray(outer.weight, np.float64)
    bias = outer.bias
    if inner.bias is not None:
        carried = second @ np.asarray(inner.bias, np.float64)
        bias = carried if bias is None else carried + bias
    draft.set_layer(node.name, Affine(second @ np.asarray(inner.weight, np.float64), bias))
    draft.drop(producer.name, into=node.name)
    return Note(node.name, f"merged with the affine layer {producer.name!r} before it")
