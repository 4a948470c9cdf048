"""Layers that move, repeat or drop values, and those that do nothing at inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spikewright._base.windows import Pairs
from spikewright.frontends.keras.convolutions import is_channels_last
from spikewright.frontends.keras.registry import Call, Value, reads
from spikewright.graph.layers import (
    Broadcast,
    Crop,
    Identity,
    Permute,
    Reshape,
    Shape,
    ZeroPad,
)


@reads(
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
)
def identity(call: Call) -> Value:
    """Layers that act in training only."""
    return call.add(Identity())


@reads("Flatten")
def flatten(call: Call) -> Value:
    """In channels-last order, whatever the layout of the input."""
    flat = Reshape((math.prod(call.shape),))
    rank = len(call.shape)
    if is_channels_last(call.layer) or rank < 2:
        return call.add(flat)
    return call.add(flat, call.add(Permute((*range(1, rank), 0)), part="channels_last"))


@reads("Reshape")
def reshape(call: Call) -> Value:
    """The batch axis stays out of `target_shape`."""
    return call.add(Reshape(filled_shape(call.layer.target_shape, call.shape)))


def filled_shape(wanted: Sequence[int], shape: Shape) -> Shape:
    """`wanted` with -1 replaced by the extent that makes it hold as many values as `shape`."""
    known = math.prod(n for n in wanted if n != -1)
    free = math.prod(shape) // known if known else 0
    return tuple(free if n == -1 else int(n) for n in wanted)


@reads("Permute")
def permute(call: Call) -> Value:
    """`dims` count from 1, the batch being 0."""
    return call.add(Permute(tuple(n - 1 for n in call.layer.dims)))


def _pairs(call: Call, amounts: Any) -> Pairs:
    """Amounts per spatial axis, one pair or several, as pairs per axis of the unbatched input."""
    spatial = (amounts,) if isinstance(amounts[0], int) else amounts
    pairs = tuple((int(before), int(after)) for before, after in spatial)
    return (*pairs, (0, 0)) if is_channels_last(call.layer) else ((0, 0), *pairs)


@reads("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(call: Call) -> Value:
    """Zeros around the spatial axes."""
    return call.add(ZeroPad(_pairs(call, call.layer.padding)))


@reads("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(call: Call) -> Value:
    """Borders of the spatial axes dropped."""
    return call.add(Crop(_pairs(call, call.layer.cropping)))


@reads("RepeatVector")
def repeat_vector(call: Call) -> Value:
    """A vector as often as asked, along a new first axis."""
    row = call.add(Reshape((1, *call.shape)), part="row")
    return call.add(Broadcast((int(call.layer.n), *call.shape)), row)
