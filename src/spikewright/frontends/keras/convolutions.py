"""Convolutions, pooling and resizing of images.

Kernels go from Keras's order to (out, in / groups, *size). Layers and the operations of the same
names have attributes of the same names. Every interpolation is one matrix along each axis, which is
asked of Keras itself, since its backends differ in their conventions.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright._base.windows import Pairs, split_shape
from spikewright.frontends.keras.choices import truth_of
from spikewright.frontends.keras.elementwise import add_with_activation
from spikewright.frontends.keras.parameters import bias_of
from spikewright.frontends.keras.registry import KerasCall, UnsupportedOp, Value, array, reads
from spikewright.frontends.reading.arithmetic import quotient
from spikewright.frontends.reading.reductions import (
    adaptive_maximum,
    reduced,
    resampled,
    same_padding,
)
from spikewright.graph.layers import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    ConvolutionTranspose,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
    Multiply,
    Pad,
    Reshape,
    UpsampleNearest,
)


def is_channels_last(layer: Any) -> bool:
    """The layout that a layer works in; some of the one-dimensional ones know only one."""
    found = getattr(layer, "data_format", "channels_last")
    if found is None:  # operations ask Keras's own setting
        found = require("keras").config.image_data_format()
    return bool(found == "channels_last")


def per_axis(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """A number for every spatial axis, of one number or several."""
    if isinstance(value, int):
        return (value,) * rank
    return tuple(int(n) for n in value)


def explicit_padding(
    call: KerasCall, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """The zeros `(before, after)` each spatial axis that `padding="same"` and its kin stand for."""
    spatial = spatial_extent(call, len(size))
    reach = [d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True)]
    if call.layer.padding == "valid":
        return ((0, 0),) * len(size)
    if call.layer.padding == "causal":
        return tuple((r - 1, 0) for r in reach)
    return same_padding(spatial, reach, stride)


def spatial_extent(call: KerasCall, rank: int) -> tuple[int, ...]:
    """Extent of the first input's spatial axes, of which there must be `rank`."""
    if len(call.shape) != rank + 1:
        raise UnsupportedOp(
            f"a {rank}-D window slides over an input of shape {call.shape}",
            f"Reshape the input to {rank} axes and channels",
        )
    spatial, _ = split_shape(call.shape, is_channels_last(call.layer))
    return spatial


def _convolution(
    call: KerasCall, weight: NDArray, bias: NDArray | None, groups: int
) -> Convolution:
    layer, rank = call.layer, weight.ndim - 2
    stride, dilation = per_axis(layer.strides, rank), per_axis(layer.dilation_rate, rank)
    padding = explicit_padding(call, weight.shape[2:], stride, dilation)
    return Convolution(
        weight,
        bias,
        stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        channels_last=is_channels_last(layer),
    )


def _depthwise_weight(kernel: NDArray) -> NDArray:
    """From (*size, in, multiplier) to (in * multiplier, 1, *size)."""
    by_channel = np.moveaxis(kernel, (-2, -1), (0, 1))
    return by_channel.reshape(-1, 1, *kernel.shape[:-2])


def _weight(kernel: NDArray) -> NDArray:
    """From (*size, in / groups, out) to (out, in / groups, *size)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


@reads("Conv1D", "Conv2D", "Conv3D")
def convolution(call: KerasCall) -> Value:
    """Plain, strided, dilated and grouped convolutions."""
    layer = call.layer
    weight = _weight(array(layer.kernel))
    return add_with_activation(call, _convolution(call, weight, bias_of(layer), layer.groups))


@reads("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_convolution(call: KerasCall) -> Value:
    """As many groups as input channels, `depth_multiplier` filters each."""
    kernel = array(call.layer.kernel)
    linear = _convolution(call, _depthwise_weight(kernel), bias_of(call.layer), kernel.shape[-2])
    return add_with_activation(call, linear)


@reads("SeparableConv1D", "SeparableConv2D")
def separable_convolution(call: KerasCall) -> Value:
    """A depthwise convolution, and a pointwise one that has the bias."""
    layer = call.layer
    depthwise, pointwise = _separated(
        call, array(layer.depthwise_kernel), array(layer.pointwise_kernel), bias_of(layer)
    )
    return add_with_activation(call, pointwise, call.add(depthwise, part="depthwise"))


def _separated(
    call: KerasCall, deep: NDArray, point: NDArray, bias: NDArray | None
) -> tuple[Convolution, Convolution]:
    depthwise = _convolution(call, _depthwise_weight(deep), None, deep.shape[-2])
    ones = (1,) * (deep.ndim - 2)
    last = is_channels_last(call.layer)
    padding = ((0, 0),) * len(ones)
    return depthwise, Convolution(_weight(point), bias, ones, padding, ones, channels_last=last)


@reads("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed_convolution(call: KerasCall) -> Value:
    """Strided and dilated transposed convolutions."""
    layer = call.layer
    return add_with_activation(call, _transposed(call, array(layer.kernel), bias_of(layer)))


def _transposed(call: KerasCall, kernel: NDArray, bias: NDArray | None) -> ConvolutionTranspose:
    """`kernel` is (*size, out, in); its size says which values of the full output Keras drops."""
    layer, rank = call.layer, kernel.ndim - 2
    spatial_extent(call, rank)
    stride, dilation = per_axis(layer.strides, rank), per_axis(layer.dilation_rate, rank)
    more = layer.output_padding
    extra = (None,) * rank if more is None else per_axis(more, rank)
    drops = [
        _dropped(d * (size - 1) + 1, s, e, layer.padding == "same")
        for size, s, d, e in zip(kernel.shape[:-2], stride, dilation, extra, strict=True)
    ]
    return ConvolutionTranspose(
        np.moveaxis(kernel, (-1, -2), (0, 1)),
        bias,
        stride,
        padding=tuple((before, max(after, 0)) for before, after in drops),
        output_padding=tuple(max(-after, 0) for _, after in drops),
        dilation=dilation,
        groups=getattr(layer, "groups", 1),
        channels_last=is_channels_last(layer),
    )


@reads("ops.ConvTranspose")
def transposed_convolution_operation(call: KerasCall) -> Value:
    """Transposed convolutions by constant kernels."""
    if len(call.inputs) != 1 or isinstance(call.arguments["kernel"], Value):
        raise UnsupportedOp("its kernel is a computed value", "Convolve with a constant")
    return call.add(_transposed(call, array(call.arguments["kernel"]), None))


def _dropped(reach: int, stride: int, extra: int | None, same: bool) -> tuple[int, int]:
    """The numbers of values that Keras drops from the full output before and after.

    They are negative where it adds values. `reach` is the extent of the taps of one input value.
    """
    if not same:
        return 0, -(max(stride - reach, 0) if extra is None else extra)
    kept = reach + stride - 2 if extra is None else reach + reach % 2 - 2 + extra
    before = min(kept // 2 + kept % 2, reach - 1)
    return reach - 1 - before, reach - 1 - (kept - before)


@reads("ops.Conv", "ops.DepthwiseConv", "ops.SeparableConv")
def convolution_operation(call: KerasCall) -> Value:
    """Convolutions by constant kernels."""
    names = [name for name in call.arguments if name != "inputs"]
    if len(call.inputs) != 1 or any(isinstance(call.arguments[n], Value) for n in names):
        raise UnsupportedOp("its kernel is a computed value", "Convolve with a constant")
    first, *rest = (array(call.arguments[name]) for name in names)
    if call.kind == "ops.SeparableConv":
        depthwise, pointwise = _separated(call, first, rest[0], None)
        return call.add(pointwise, call.add(depthwise, part="depthwise"))
    if call.kind == "ops.DepthwiseConv":
        return call.add(_convolution(call, _depthwise_weight(first), None, first.shape[-2]))
    _, channels = split_shape(call.shape, is_channels_last(call.layer))
    return call.add(_convolution(call, _weight(first), None, channels // first.shape[-2]))


Geometry = tuple[tuple[int, ...], tuple[int, ...], Pairs]


def _geometry(call: KerasCall) -> Geometry:
    """Size, stride and padding of a layer's or an operation's windows."""
    layer, rank = call.layer, len(call.shape) - 1
    size = per_axis(layer.pool_size, rank)
    stride = size if layer.strides is None else per_axis(layer.strides, rank)
    return size, stride, explicit_padding(call, size, stride, (1,) * len(size))


@reads("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "ops.MaxPool")
def max_pooling(call: KerasCall) -> Value:
    """Padding never wins."""
    size, stride, padding = _geometry(call)
    last = is_channels_last(call.layer)
    return call.add(MaxPool(size, stride, padding, (1,) * len(size), channels_last=last))


@reads("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "ops.AveragePool")
def average_pooling(call: KerasCall) -> Value:
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
        raise UnsupportedOp(
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
def adaptive_average_pooling(call: KerasCall) -> Value:
    """A given number of windows per axis."""
    output = tuple(call.layer.output_size)
    return call.add(AdaptiveAveragePool(output, is_channels_last(call.layer)))


@reads("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D")
def adaptive_max_pooling(call: KerasCall) -> Value:
    """A given number of windows per axis: equal ones are those of a plain pooling."""
    output, last = tuple(call.layer.output_size), is_channels_last(call.layer)
    spatial = spatial_extent(call, len(output))
    if any(n % m for n, m in zip(spatial, output, strict=True)):
        return adaptive_maximum(call, call.inputs[0], _spatial_axes(call), output)
    size = tuple(n // m for n, m in zip(spatial, output, strict=True))
    none, ones = ((0, 0),) * len(size), (1,) * len(size)
    return call.add(MaxPool(size, size, none, ones, channels_last=last))


def _spatial_axes(call: KerasCall) -> tuple[int, ...]:
    rank = len(call.shape)
    return tuple(range(rank - 1) if is_channels_last(call.layer) else range(1, rank))


@reads(
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    arguments=("mask",),
)  # fmt: skip
def global_average_pooling(call: KerasCall) -> Value:
    """Over all spatial axes; of sequences, over the steps that a mask leaves."""
    axes, keep = _spatial_axes(call), bool(call.layer.keepdims)
    given = call.arguments.get("mask")
    if given is None:
        return call.add(GlobalAveragePool(axes, keep))
    (axis,), x = axes, call.inputs[0]
    mask = truth_of(call.inside("mask"), given)
    column = call.add(
        Reshape((*mask.shape, 1) if axis == 0 else (1, *mask.shape)), mask, part="column"
    )
    kept = call.add(Multiply(), x, call.expand(column, x.shape), part="kept")
    total, number = (
        reduced(call.inside(part), value, "sum", axes, keep)
        for value, part in ((kept, "sum"), (column, "number"))
    )
    return quotient(call, total, call.expand(number, total.shape, "numbers"))


@reads("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
def global_max_pooling(call: KerasCall) -> Value:
    """Over all spatial axes."""
    return call.add(GlobalMaxPool(_spatial_axes(call), bool(call.layer.keepdims)))


@reads("UpSampling1D", "UpSampling2D", "UpSampling3D")
def upsampling(call: KerasCall) -> Value:
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
def resizing(call: KerasCall) -> Value:
    """To a given size, without regard to the aspect ratio."""
    layer = call.layer
    if len(call.shape) != 3:
        raise UnsupportedOp(
            f"it resizes an input of shape {call.shape}", "Give it images, with channels"
        )
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if getattr(layer, option, False):
            raise UnsupportedOp(f"it has {option}=True", "Crop or pad the data before the network")
    size = (layer.height, layer.width) if call.kind == "Resizing" else tuple(layer.size)
    antialias = bool(getattr(layer, "antialias", False))
    return _resized(call, size, is_channels_last(layer), layer.interpolation, antialias)


def _resized(
    call: KerasCall, size: tuple[int, int], last: bool, interpolation: str, antialias: bool
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
