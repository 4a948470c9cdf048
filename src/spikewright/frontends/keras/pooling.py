"""Pooling over windows and over whole axes."""

from __future__ import annotations

from functools import cache

import numpy as np

from spikewright._optional import require
from spikewright.frontends.keras.convolutions import explicit_padding, is_channels_last
from spikewright.frontends.keras.registry import Call, Unreadable, reads
from spikewright.graph.layers import (
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
)


@reads("MaxPooling1D", "MaxPooling2D", "MaxPooling3D")
def max_pooling(call: Call) -> str | None:
    """Padding never wins."""
    layer = call.layer
    size, stride = tuple(layer.pool_size), tuple(layer.strides)
    ones = (1,) * len(size)
    padding = explicit_padding(call, size, stride, ones)
    last = is_channels_last(layer)
    return call.add(MaxPool(size, stride, padding, ones, channels_last=last))


@reads("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def average_pooling(call: Call) -> str | None:
    """With `padding="same"` a window's mean is over what it covers of the input."""
    layer = call.layer
    size, stride = tuple(layer.pool_size), tuple(layer.strides)
    padding = explicit_padding(call, size, stride, (1,) * len(size))
    if any(before != after for before, after in padding) and not leaves_padding_out():
        raise Unreadable(
            f"padding {padding} is uneven, and there this backend of Keras averages repeated "
            f"border values, unlike the others",
            "Pad evenly, use padding='valid', or read the model with KERAS_BACKEND=jax or "
            "tensorflow",
        )
    last = is_channels_last(layer)
    return call.add(AveragePool(size, stride, padding, channels_last=last))


@cache
def leaves_padding_out() -> bool:
    """Whether Keras's backend averages over the input alone where padding is uneven.

    Asked of the backend itself: PyTorch's did not do so in Keras 3.15.
    """
    ops = require("keras").ops
    ramp = ops.reshape(ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0]), (1, 4, 1))
    means = ops.average_pool(ramp, 3, 2, "same", "channels_last")
    return bool(np.allclose(ops.convert_to_numpy(means).ravel(), [2.0, 3.5]))


@reads("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D")
def adaptive_average_pooling(call: Call) -> str | None:
    """A given number of windows per axis."""
    output = tuple(call.layer.output_size)
    return call.add(AdaptiveAveragePool(output, is_channels_last(call.layer)))


def _spatial_axes(call: Call) -> tuple[int, ...]:
    rank = len(call.shape)
    return tuple(range(rank - 1) if is_channels_last(call.layer) else range(1, rank))


@reads("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
def global_average_pooling(call: Call) -> str | None:
    """Over all spatial axes."""
    return call.add(GlobalAveragePool(_spatial_axes(call), bool(call.layer.keepdims)))


@reads("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
def global_max_pooling(call: Call) -> str | None:
    """Over all spatial axes."""
    return call.add(GlobalMaxPool(_spatial_axes(call), bool(call.layer.keepdims)))
