"""Pooling over windows and over whole axes."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np

from spikewright._base.optional import require
from spikewright._base.windows import Pairs
from spikewright.frontends.keras.choices import truth_of
from spikewright.frontends.keras.convolutions import (
    explicit_padding,
    is_channels_last,
    per_axis,
    spatial_extent,
)
from spikewright.frontends.keras.registry import Call, Unreadable, Value, reads
from spikewright.frontends.reading.arithmetic import quotient
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.windows import adaptive_maximum
from spikewright.graph.layers import (
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
    Multiply,
    Pad,
    Reshape,
)

Geometry = tuple[tuple[int, ...], tuple[int, ...], Pairs]


def _geometry(call: Call) -> Geometry:
    """Size, stride and padding of a layer's or an operation's windows."""
    layer, rank = call.layer, len(call.shape) - 1
    size = per_axis(layer.pool_size, rank)
    stride = size if layer.strides is None else per_axis(layer.strides, rank)
    return size, stride, explicit_padding(call, size, stride, (1,) * len(size))


@reads("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "ops.MaxPool")
def max_pooling(call: Call) -> Value:
    """Padding never wins."""
    size, stride, padding = _geometry(call)
    last = is_channels_last(call.layer)
    return call.add(MaxPool(size, stride, padding, (1,) * len(size), channels_last=last))


@reads("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "ops.AveragePool")
def average_pooling(call: Call) -> Value:
    """With `padding="same"` a window's mean is over the input values that it covers.

    Keras on PyTorch averages repeated border values where padding is uneven, and such a model is
    read as it computes, with a warning, since the other backends differ.
    """
    size, stride, padding = _geometry(call)
    last = is_channels_last(call.layer)
    uneven = any(before != after for before, after in padding)
    if not uneven or uneven_means() == LEFT_OUT:
        return call.add(AveragePool(size, stride, padding, channels_last=last))
    if uneven_means() != REPEATED:
        raise Unreadable(
            f"padding {padding} is uneven, and its meaning on this backend of Keras is unknown",
            "Pad evenly, or use padding='valid'",
        )
    warnings.warn(
        f"layer {call.source!r} ({call.kind}): padding {padding} is uneven, and there Keras on "
        f"PyTorch averages repeated border values, unlike on JAX and TensorFlow. It is read as it "
        f"computes here; for the other reading, use KERAS_BACKEND=jax or tensorflow.",
        stacklevel=2,
    )
    pads = (*padding, (0, 0)) if last else ((0, 0), *padding)
    repeated = call.add(Pad(pads, "edge"), part="padded")
    none = ((0, 0),) * len(size)
    return call.add(AveragePool(size, stride, none, channels_last=last), repeated)


LEFT_OUT, REPEATED = "left out", "repeated"


@cache
def uneven_means() -> str | None:
    """The meaning of uneven padding in Keras's mean over a window, from a run of the backend.

    PyTorch's repeated the border in Keras 3.15; the others leave the padding out. None for any
    other result.
    """
    ops = require("keras").ops
    ramp = ops.reshape(ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0]), (1, 4, 1))
    means = ops.convert_to_numpy(ops.average_pool(ramp, 3, 2, "same", "channels_last")).ravel()
    if np.allclose(means, [2.0, 3.5]):
        return LEFT_OUT
    return REPEATED if np.allclose(means, [2.0, 11 / 3]) else None


@reads("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D")
def adaptive_average_pooling(call: Call) -> Value:
    """A given number of windows per axis."""
    output = tuple(call.layer.output_size)
    return call.add(AdaptiveAveragePool(output, is_channels_last(call.layer)))


@reads("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D")
def adaptive_max_pooling(call: Call) -> Value:
    """A given number of windows per axis: equal ones are those of a plain pooling."""
    output, last = tuple(call.layer.output_size), is_channels_last(call.layer)
    spatial = spatial_extent(call, len(output))
    if any(n % m for n, m in zip(spatial, output, strict=True)):
        return adaptive_maximum(call, call.inputs[0], _spatial_axes(call), output)
    size = tuple(n // m for n, m in zip(spatial, output, strict=True))
    none, ones = ((0, 0),) * len(size), (1,) * len(size)
    return call.add(MaxPool(size, size, none, ones, channels_last=last))


def _spatial_axes(call: Call) -> tuple[int, ...]:
    rank = len(call.shape)
    return tuple(range(rank - 1) if is_channels_last(call.layer) else range(1, rank))


@reads(
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    arguments=("mask",),
)  # fmt: skip
def global_average_pooling(call: Call) -> Value:
    """Over all spatial axes; of sequences, over the steps that a mask leaves."""
    axes, keep = _spatial_axes(call), bool(call.layer.keepdims)
    given = call.arguments.get("mask")
    if given is None:
        return call.add(GlobalAveragePool(axes, keep))
    (axis,), x = axes, call.inputs[0]
    mask = truth_of(call, given, "mask")
    column = call.add(
        Reshape((*mask.shape, 1) if axis == 0 else (1, *mask.shape)), mask, part="column"
    )
    kept = call.add(Multiply(), x, call.expand(column, x.shape), part="kept")
    total, number = (
        reduced(call, value, "sum", axes, keep, part)
        for value, part in ((kept, "sum"), (column, "number"))
    )
    return quotient(call, total, call.expand(number, total.shape, "numbers"))


@reads("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
def global_max_pooling(call: Call) -> Value:
    """Over all spatial axes."""
    return call.add(GlobalMaxPool(_spatial_axes(call), bool(call.layer.keepdims)))
