"""Convolutions: kernels go from Keras's order to (out, in / groups, *size).

Layers and the operations of the same names have attributes of the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright._base.windows import Pairs, split_shape
from spikewright.frontends.keras.activations import add_with_activation
from spikewright.frontends.keras.quantized import bias_of, kernel_of
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.frontends.reading.windows import same_padding
from spikewright.graph.layers import Convolution, ConvolutionTranspose


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
    call: Call, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """The zeros `(before, after)` each spatial axis that `padding="same"` and its kin stand for."""
    spatial = spatial_extent(call, len(size))
    reach = [d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True)]
    if call.layer.padding == "valid":
        return ((0, 0),) * len(size)
    if call.layer.padding == "causal":
        return tuple((r - 1, 0) for r in reach)
    return same_padding(spatial, reach, stride)


def spatial_extent(call: Call, rank: int) -> tuple[int, ...]:
    """Extent of the first input's spatial axes, of which there must be `rank`."""
    if len(call.shape) != rank + 1:
        raise Unreadable(
            f"a {rank}-D window slides over an input of shape {call.shape}",
            f"Reshape the input to {rank} axes and channels",
        )
    spatial, _ = split_shape(call.shape, is_channels_last(call.layer))
    return spatial


def _convolution(call: Call, weight: NDArray, bias: NDArray | None, groups: int) -> Convolution:
    layer, rank = call.layer, weight.ndim - 2
    stride, dilation = per_axis(layer.strides, rank), per_axis(layer.dilation_rate, rank)
    padding = explicit_padding(call, weight.shape[2:], stride, dilation)
    return Convolution(weight, bias, stride, padding, dilation, groups, is_channels_last(layer))


def _depthwise_weight(kernel: NDArray) -> NDArray:
    """From (*size, in, multiplier) to (in * multiplier, 1, *size)."""
    by_channel = np.moveaxis(kernel, (-2, -1), (0, 1))
    return by_channel.reshape(-1, 1, *kernel.shape[:-2])


def _weight(kernel: NDArray) -> NDArray:
    """From (*size, in / groups, out) to (out, in / groups, *size)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


@reads("Conv1D", "Conv2D", "Conv3D")
def convolution(call: Call) -> Value:
    """Plain, strided, dilated and grouped convolutions."""
    layer = call.layer
    weight = _weight(kernel_of(layer))
    return add_with_activation(call, _convolution(call, weight, bias_of(layer), layer.groups))


@reads("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_convolution(call: Call) -> Value:
    """As many groups as input channels, `depth_multiplier` filters each."""
    kernel = kernel_of(call.layer)
    linear = _convolution(call, _depthwise_weight(kernel), bias_of(call.layer), kernel.shape[-2])
    return add_with_activation(call, linear)


@reads("SeparableConv1D", "SeparableConv2D")
def separable_convolution(call: Call) -> Value:
    """A depthwise convolution, and a pointwise one that has the bias."""
    layer = call.layer
    depthwise, pointwise = _separated(
        call, array(layer.depthwise_kernel), array(layer.pointwise_kernel), bias_of(layer)
    )
    return add_with_activation(call, pointwise, call.add(depthwise, part="depthwise"))


def _separated(
    call: Call, deep: NDArray, point: NDArray, bias: NDArray | None
) -> tuple[Convolution, Convolution]:
    depthwise = _convolution(call, _depthwise_weight(deep), None, deep.shape[-2])
    ones = (1,) * (deep.ndim - 2)
    last = is_channels_last(call.layer)
    padding = ((0, 0),) * len(ones)
    return depthwise, Convolution(_weight(point), bias, ones, padding, ones, channels_last=last)


@reads("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed_convolution(call: Call) -> Value:
    """Strided and dilated transposed convolutions."""
    layer = call.layer
    return add_with_activation(call, _transposed(call, kernel_of(layer), bias_of(layer)))


def _transposed(call: Call, kernel: NDArray, bias: NDArray | None) -> ConvolutionTranspose:
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
        tuple((before, max(after, 0)) for before, after in drops),
        tuple(max(-after, 0) for _, after in drops),
        dilation,
        getattr(layer, "groups", 1),
        is_channels_last(layer),
    )


@reads("ops.ConvTranspose")
def transposed_convolution_operation(call: Call) -> Value:
    """Transposed convolutions by constant kernels."""
    if len(call.inputs) != 1 or isinstance(call.arguments["kernel"], Value):
        raise Unreadable("its kernel is a computed value", "Convolve with a constant")
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
def convolution_operation(call: Call) -> Value:
    """Convolutions by constant kernels."""
    names = [name for name in call.arguments if name != "inputs"]
    if len(call.inputs) != 1 or any(isinstance(call.arguments[n], Value) for n in names):
        raise Unreadable("its kernel is a computed value", "Convolve with a constant")
    first, *rest = (array(call.arguments[name]) for name in names)
    if call.kind == "ops.SeparableConv":
        depthwise, pointwise = _separated(call, first, rest[0], None)
        return call.add(pointwise, call.add(depthwise, part="depthwise"))
    if call.kind == "ops.DepthwiseConv":
        return call.add(_convolution(call, _depthwise_weight(first), None, first.shape[-2]))
    _, channels = split_shape(call.shape, is_channels_last(call.layer))
    return call.add(_convolution(call, _weight(first), None, channels // first.shape[-2]))
