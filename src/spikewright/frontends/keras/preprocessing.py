"""Layers that apply another layer or a whole model, and preprocessing as functions of a sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spikewright.errors import Refusal
from spikewright.frontends.keras.reading import read_layer
from spikewright.frontends.keras.registry import KerasCall, UnsupportedOp, Value, array, reads
from spikewright.frontends.keras.traversal import knows_masks
from spikewright.frontends.reading.call import afford
from spikewright.frontends.reading.truth import greater
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import (
    Activation,
    Affine,
    Broadcast,
    Concatenate,
    Crop,
    GlobalMaxPool,
    Identity,
    Layer,
    Lookup,
    Reshape,
    Slice,
    Sum,
)


@reads("Pipeline")
def pipeline(call: KerasCall) -> Value:
    """Layers one after another."""
    (value,) = call.inputs
    for layer in call.layer.layers:
        value = read_layer(call, layer, value)
    return call.add(Identity(), value)


@reads("CenterCrop")
def center_crop(call: KerasCall) -> Value:
    """The middle of an image."""
    layer, shape = call.layer, call.shape
    first = 0 if layer.data_format == "channels_last" else 1
    wanted = {first: int(layer.height), first + 1: int(layer.width)}
    pairs = []
    for axis, n in enumerate(shape):
        left = n - wanted.get(axis, n)
        if left < 0:
            raise UnsupportedOp(
                f"the image {shape} is smaller than what is cut out, so that it is resized",
                "Resize the images before the network",
            )
        pairs.append((left // 2, left - left // 2))
    return call.add(Crop(tuple(pairs)))


@reads("CategoryEncoding", arguments=("count_weights",))
def category_encoding(call: KerasCall) -> Value:
    """Numbers as rows of a unit matrix: of one each, of all that occur, or their counts."""
    if call.arguments.get("count_weights") is not None:
        raise UnsupportedOp(
            "its categories are weighted by an input", "Multiply one-hot rows instead"
        )
    count = int(call.layer.num_tokens)
    afford(count**2)
    return _encoded(call, Lookup(np.eye(count)), call.inputs[0])


@reads("Discretization")
def discretization(call: KerasCall) -> Value:
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


def _encoded(call: KerasCall, rows: Layer, value: Value, rank: int | None = None) -> Value:
    """Rows for categories: each its own, the largest or the sum of those of a sample."""
    mode, rank = call.layer.output_mode, len(value.shape) if rank is None else rank
    if mode == "one_hot":
        made = call.add(rows, value, part="rows")
        *outer, last = made.shape
        shrunk = rank > 0 and outer[-1] == 1
        return call.add(Reshape((*outer[:-1], last)) if shrunk else Identity(), made)
    if rank != 1:
        raise UnsupportedOp(
            f"it encodes categories of shape {call.shape} in mode {mode!r}",
            "Give it vectors of categories, or use one_hot",
        )
    made = call.add(rows, value, part="rows")
    return call.add(GlobalMaxPool((0,)) if mode == "multi_hot" else Sum((0,)), made)


@reads("TimeDistributed", arguments=("mask",))
def time_distributed(call: KerasCall) -> Value:
    """A layer or model at every step of a sequence, the first axis."""
    value = call.inputs[0]
    if call.arguments.get("mask") is not None and knows_masks(call.layer.layer):
        raise UnsupportedOp("the layer inside it takes account of masks", "Leave the mask out")
    if len(value.shape) < 2:
        raise UnsupportedOp(
            f"its input of shape {value.shape} has no axis beside time",
            "Put a Reshape layer before it",
        )
    steps, *rest = value.shape
    builder = OverSteps(outer=call.builder, steps=steps)
    if value.name is not None:
        builder.shapes[value.name] = tuple(rest)
    inner = read_layer(
        call, call.layer.layer, Value(value.name, tuple(rest), whole=value.whole), builder
    )
    return call.add(Identity(), Value(inner.name, (steps, *inner.shape)))


@reads("SpectralNormalization")
def spectral_normalization(call: KerasCall) -> Value:
    """At inference the layer that it wraps, whose kernel training has normalised."""
    return call.add(Identity(), read_layer(call, call.layer.layer, call.inputs[0]))


@dataclass
class OverSteps(GraphBuilder):
    """Builds the layers of one step, and adds to another builder their form on all steps.

    `shapes` are those of one step. A layer without such a form is written out step by step.
    """

    outer: GraphBuilder = field(default_factory=GraphBuilder)
    steps: int = 1

    def remember(self, refusal: Refusal, cut: Mapping[str, str] | None = None) -> None:
        """Remember a refusal in the outer builder; nodes in this one cannot be kept alone."""
        self.outer.remember(replace(refusal, callable=False))

    def _made(
        self, wanted: str, layer: Layer, names: Sequence[str], source: str, kind: str
    ) -> str | None:
        def add(wanted: str, layer: Layer, *inputs: str | None) -> str | None:
            return self.outer.add(wanted, layer, *inputs, source=source, kind=kind)

        shapes = [self.shapes[name] for name in names]
        whole = layer.over_steps(self.steps, *shapes)
        if whole is not None:
            return add(wanted, whole, *names)
        made = layer.output_shape(*shapes)
        results = []
        for step in range(self.steps):
            parts = []
            for name, shape in zip(names, shapes, strict=True):
                cut = Slice.along((self.steps, *shape), {0: slice(step, step + 1)})
                part = add(f"{wanted}/step_{step}/cut", cut, name)
                parts.append(add(f"{wanted}/step_{step}/input", Reshape(shape), part))
            value = add(f"{wanted}/step_{step}/value", layer, *parts)
            results.append(add(f"{wanted}/step_{step}", Reshape((1, *made)), value))
        return add(wanted, Concatenate(0), *results)


@reads("RoundedReLU")
def rounded_relu(call: KerasCall) -> Value:
    """Its threshold, levels and start."""
    made = call.layer.rounding
    parameters = {
        "threshold": abs(float(array(call.layer.threshold))),
        "levels": float(made.levels),
        "start": float(made.start),
    }
    return call.add(Activation("rounded_relu", parameters))
