"""A graph under change: edits that passes make, and the algebra of folding.

An elementwise map `y = scale x + shift` is folded into the affine layer beside it. All of it is in
float64, and so are the weights that result, whatever the source model's were: a fold then costs a
few units in the last place instead of the source's whole precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph, GraphNode
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
from spikewright.passes.base import Note


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


class Draft:
    """A mutable copy of a graph.

    Nodes keep their order, and a node that stays keeps its name, its value and hence its shape.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph}
        self._outputs = dict(graph.outputs)
        self._uses = {name: list(users) for name, users in graph.consumers.items()}
        self._became: dict[str, str] = {}

    def __iter__(self) -> Iterator[GraphNode]:
        """The nodes that are there when their turn comes, as they are then."""
        for name in tuple(self._nodes):
            if name in self._nodes:
                yield self._nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> GraphNode:
        return self._nodes[name]

    def shape(self, name: str) -> Shape:
        """Unbatched shape of a node's value."""
        return self._graph.shapes[name]

    def consumers(self, name: str) -> list[GraphNode]:
        """The nodes that read a value, each once."""
        return [self._nodes[user] for user in dict.fromkeys(self._uses[name])]

    def is_output(self, name: str) -> bool:
        """Whether a node's value is an output."""
        return name in self._outputs.values()

    def private_producer(self, node: GraphNode) -> GraphNode | None:
        """The node that a node of one input reads, if nothing else sees its value."""
        (name,) = node.inputs
        alone = len(self._uses[name]) == 1 and not self.is_output(name)
        return self._nodes[name] if alone else None

    def set_layer(self, name: str, layer: Layer) -> None:
        """Give a node another layer; its inputs stay."""
        self._nodes[name] = replace(self._nodes[name], layer=layer)

    def drop(self, name: str, into: str) -> None:
        """Remove a node of one input: whoever read it reads its input. It became part of `into`."""
        node = self._nodes.pop(name)
        (source,) = node.inputs
        users = self._uses.pop(name)
        for user in set(users):
            old = self._nodes[user]
            inputs = tuple(source if read == name else read for read in old.inputs)
            self._nodes[user] = replace(old, inputs=inputs)
        self._uses[source].remove(name)
        self._uses[source] += users
        self._outputs = {
            output: source if made_by == name else made_by
            for output, made_by in self._outputs.items()
        }
        self._became[name] = into

    def collapse(self, name: str, layer: Layer, source: str, inner: Sequence[str]) -> None:
        """Replace the computation of a node from `source` by one layer.

        `inner` are the nodes between, which nothing else reads; they become part of the node.
        """
        for gone in (name, *inner):
            for read in self._nodes[gone].inputs:
                self._uses[read].remove(gone)
        for gone in inner:
            del self._nodes[gone], self._uses[gone]
            self._became[gone] = name
        self._nodes[name] = replace(self._nodes[name], layer=layer, inputs=(source,))
        self._uses[source].append(name)

    def finish(self) -> Graph:
        """The graph as it is now.

        Aliases of removed nodes lead to the nodes that replaced them. A source layer without a
        node of its name leads to the last node that was read from it.
        """
        aliases = {name: self._left_of(target) for name, target in self._graph.aliases.items()}
        aliases |= {name: self._left_of(target) for name, target in self._became.items()}
        for node in self._graph:
            unnamed = node.source and node.source not in self._graph
            if unnamed and node.source not in self._graph.aliases:
                aliases[node.source] = self._left_of(node.name)
        return Graph(tuple(self._nodes.values()), self._outputs, aliases)

    def _left_of(self, name: str) -> str:
        while name in self._became:
            name = self._became[name]
        return name


_APART = 2.0**4  # times that scales of one kind of quantity, such as colours, lie apart at most


def absorb_into_producer(draft: Draft, node: GraphNode) -> Note | None:
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


def absorb_into_consumers(draft: Draft, node: GraphNode) -> Note | None:
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


def _joins_units(draft: Draft, node: GraphNode, inner: PerChannel) -> bool:
    """Whether a node scales the features of an input very differently."""
    sizes = np.abs(inner.scale[inner.scale != 0])
    read = draft[node.inputs[0]].layer
    return isinstance(read, Input) and sizes.size > 0 and sizes.max() > _APART * sizes.min()
