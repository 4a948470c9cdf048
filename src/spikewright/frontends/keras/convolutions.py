"""Convolutions: kernels go from Keras's order to (out, in / groups, *size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._windows import Pairs, split_shape
from spikewright.frontends.keras.activations import add_with_activation
from spikewright.frontends.keras.affine import bias_of, kernel_of
from spikewright.frontends.keras.registry import Call, Unreadable, array, reads
from spikewright.graph.layers import Convolution


def is_channels_last(layer: Any) -> bool:
    """The layout that a layer works in; some of the one-dimensional ones know only one."""
    return bool(getattr(layer, "data_format", "channels_last") == "channels_last")


def explicit_padding(
    call: Call, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """The zeros `(before, after)` each spatial axis that `padding="same"` and its kin stand for."""
    if len(call.shape) != len(size) + 1:
        raise Unreadable(
            f"a {len(size)}-D window slides over an input of shape {call.shape}",
            f"Reshape the input to {len(size)} axes and channels",
        )
    spatial, _ = split_shape(call.shape, is_channels_last(call.layer))
    reach = [d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True)]
    if call.layer.padding == "valid":
        return ((0, 0),) * len(size)
    if call.layer.padding == "causal":
        return tuple((r - 1, 0) for r in reach)
    pairs = []
    for extent, window, step in zip(spatial, reach, stride, strict=True):
        total = max((-(-extent // step) - 1) * step + window - extent, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def _convolution(call: Call, weight: NDArray, bias: NDArray | None, groups: int) -> Convolution:
    layer = call.layer
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
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
def convolution(call: Call) -> str | None:
    """Plain, strided, dilated and grouped convolutions."""
    layer = call.layer
    weight = _weight(kernel_of(layer))
    return add_with_activation(call, _convolution(call, weight, bias_of(layer), layer.groups))


@reads("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_convolution(call: Call) -> str | None:
    """As many groups as input channels, `depth_multiplier` filters each."""
    kernel = kernel_of(call.layer)
    linear = _convolution(call, _depthwise_weight(kernel), bias_of(call.layer), kernel.shape[-2])
    return add_with_activation(call, linear)


@reads("SeparableConv1D", "SeparableConv2D")
def separable_convolution(call: Call) -> str | None:
    """A depthwise convolution, and a pointwise one that has the bias."""
    layer = call.layer
    kernel = array(layer.depthwise_kernel)
    depthwise = _convolution(call, _depthwise_weight(kernel), None, kernel.shape[-2])
    rank = kernel.ndim - 2
    pointwise = Convolution(
        _weight(array(layer.pointwise_kernel)),
        bias_of(layer),
        (1,) * rank,
        ((0, 0),) * rank,
        (1,) * rank,
        channels_last=is_channels_last(layer),
    )
    middle = call.add(depthwise, part="depthwise")
    return add_with_activation(call, pointwise, middle)
