"""Preprocessing layers that are functions of a sample: cut images, categories, bins, chains."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.keras.reading import read_layer
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.frontends.reading.spending import afford
from spikewright.frontends.reading.truth import greater
from spikewright.graph.layers import (
    Affine,
    Broadcast,
    Crop,
    GlobalMaxPool,
    Identity,
    Layer,
    Lookup,
    Reshape,
    Sum,
)


@reads("Pipeline")
def pipeline(call: Call) -> Value:
    """Layers one after another."""
    (value,) = call.inputs
    for layer in call.layer.layers:
        value = read_layer(call, layer, value)
    return call.add(Identity(), value)


@reads("CenterCrop")
def center_crop(call: Call) -> Value:
    """The middle of an image."""
    layer, shape = call.layer, call.shape
    first = 0 if layer.data_format == "channels_last" else 1
    wanted = {first: int(layer.height), first + 1: int(layer.width)}
    pairs = []
    for axis, n in enumerate(shape):
        left = n - wanted.get(axis, n)
        if left < 0:
            raise Unreadable(
                f"the image {shape} is smaller than what is cut out, so that it is resized",
                "Resize the images before the network",
            )
        pairs.append((left // 2, left - left // 2))
    return call.add(Crop(tuple(pairs)))


@reads("CategoryEncoding", arguments=("count_weights",))
def category_encoding(call: Call) -> Value:
    """Numbers as rows of a unit matrix: of one each, of all that occur, or their counts."""
    if call.arguments.get("count_weights") is not None:
        raise Unreadable("its categories are weighted by an input", "Multiply one-hot rows instead")
    count = int(call.layer.num_tokens)
    afford(count**2)
    return _encoded(call, Lookup(np.eye(count)), call.inputs[0])


@reads("Discretization")
def discretization(call: Call) -> Value:
    """The number of the bin that each value lies in, or that number as categories."""
    (x,) = call.inputs
    bounds = array(np.asarray(call.layer.bin_boundaries, np.float64))
    count = len(bounds)
    afford(count**2 + count * math.prod(x.shape))
    column = call.add(Reshape((*x.shape, 1)), x, part="column")
    each = call.add(Broadcast((*x.shape, count)), column, part="each")
    above = greater(call.inside("above"), each, bounds, strict=False)
    if call.layer.output_mode == "int":
        return call.add(Sum((len(x.shape),)), above)
    steps = np.eye(count + 1, count, -1) - np.eye(count + 1, count)
    return _encoded(call, Affine(steps, np.eye(count + 1)[0]), above, rank=len(x.shape))


def _encoded(call: Call, rows: Layer, value: Value, rank: int | None = None) -> Value:
    """Rows for categories: each its own, the largest or the sum of those of a sample."""
    mode, rank = call.layer.output_mode, len(value.shape) if rank is None else rank
    if mode == "one_hot":
        made = call.add(rows, value, part="rows")
        *outer, last = made.shape
        shrunk = rank > 0 and outer[-1] == 1
        return call.add(Reshape((*outer[:-1], last)) if shrunk else Identity(), made)
    if rank != 1:
        raise Unreadable(
            f"it encodes categories of shape {call.shape} in mode {mode!r}",
            "Give it vectors of categories, or use one_hot",
        )
    made = call.add(rows, value, part="rows")
    return call.add(GlobalMaxPool((0,)) if mode == "multi_hot" else Sum((0,)), made)
