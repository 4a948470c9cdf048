"""Resizing of images: every interpolation is one matrix along each axis.

The matrices are asked of Keras itself, since its backends differ in their conventions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.convolutions import is_channels_last, per_axis
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.frontends.reading.resampling import resampled
from spikewright.graph.layers import UpsampleNearest


@reads("UpSampling1D", "UpSampling2D", "UpSampling3D")
def upsampling(call: Call) -> Value:
    """Repeated values, or an interpolation of images."""
    layer = call.layer
    last, factors = is_channels_last(layer), per_axis(layer.size, len(call.shape) - 1)
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation == "nearest":
        return call.add(UpsampleNearest((*factors, 1) if last else (1, *factors)))
    extent = call.shape[:2] if last else call.shape[1:]
    size = (extent[0] * factors[0], extent[1] * factors[1])
    return _resized(call, size, last, interpolation, False)


@reads("Resizing", "ops.Resize")
def resizing(call: Call) -> Value:
    """To a given size, without regard to the aspect ratio."""
    layer = call.layer
    if len(call.shape) != 3:
        raise Unreadable(
            f"it resizes an input of shape {call.shape}", "Give it images, with channels"
        )
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if getattr(layer, option, False):
            raise Unreadable(f"it has {option}=True", "Crop or pad the data before the network")
    size = (layer.height, layer.width) if call.kind == "Resizing" else tuple(layer.size)
    antialias = bool(getattr(layer, "antialias", False))
    return _resized(call, size, is_channels_last(layer), layer.interpolation, antialias)


def _resized(
    call: Call, size: tuple[int, int], last: bool, interpolation: str, antialias: bool
) -> Value:
    axes = (0, 1) if last else (1, 2)
    matrices = {
        axis: resizing_matrix(call.shape[axis], int(n), interpolation, antialias)
        for axis, n in zip(axes, size, strict=True)
    }
    return resampled(call, call.inputs[0], matrices)


@lru_cache(maxsize=32)
def resizing_matrix(before: int, after: int, interpolation: str, antialias: bool) -> NDArray:
    """The matrix `(after, before)` by which Keras resizes one axis, of unit vectors."""
    ops: Any = require("keras").ops
    unit = np.eye(before, dtype=np.float32).reshape(1, before, 1, before)
    resized = ops.image.resize(
        ops.convert_to_tensor(unit),
        (after, 1),
        interpolation=interpolation,
        antialias=antialias,
        data_format="channels_last",
    )
    return array(resized).reshape(after, before)
