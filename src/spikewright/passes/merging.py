"""Edits that put one node of a draft into the nodes beside it, where that is exact."""

from __future__ import annotations

import numpy as np

from spikewright.graph import Node
from spikewright.graph.layers import Affine, Convolution, Input
from spikewright.passes.base import Note
from spikewright.passes.draft import Draft
from spikewright.passes.folding import (
    PerChannel,
    Weighted,
    channel_axis,
    fold_after,
    fold_before,
    per_channel,
)

_APART = 2.0**4  # times that scales of one kind of quantity, such as colours, lie apart at most


def absorb_into_producer(draft: Draft, node: Node) -> Note | None:
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


def absorb_into_consumers(draft: Draft, node: Node) -> Note | None:
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


def _joins_units(draft: Draft, node: Node, inner: PerChannel) -> bool:
    """Whether a node scales the features of an input very differently."""
    sizes = np.abs(inner.scale[inner.scale != 0])
    read = draft[node.inputs[0]].layer
    return isinstance(read, Input) and sizes.size > 0 and sizes.max() > _APART * sizes.min()
