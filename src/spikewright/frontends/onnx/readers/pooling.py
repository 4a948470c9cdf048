"""Pooling over windows and over all spatial axes."""

from __future__ import annotations

import numpy as np

from spikewright._base.windows import Windows
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.windows import images, windows_of
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable
from spikewright.frontends.reading.values import Value
from spikewright.frontends.reading.windows import windowed
from spikewright.graph.layers import (
    AveragePool,
    Convolution,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
    ScaleShift,
)


def _pool_windows(node: OnnxNode) -> tuple[Signal, Windows]:
    size = node.integers("kernel_shape")
    if not size or min(size) < 1:
        raise Unreadable(f"kernel_shape is {size}, it must hold positive numbers")
    x, spatial = images(node)
    return x, windows_of(node, size, spatial)


@reads("MaxPool")
def max_pool(node: OnnxNode) -> Value:
    """Maximum over windows; `storage_order` concerns only the indices, which are not read."""
    x, windows = _pool_windows(node)
    layer = MaxPool(
        windows.size, windows.stride, windows.padding, windows.dilation, windows.ceil_mode
    )
    return windowed(node, layer, x)


@reads("AveragePool")
def average_pool(node: OnnxNode) -> Value:
    """Mean over windows; with dilation, a depthwise convolution."""
    x, windows = _pool_windows(node)
    counted = bool(node.attributes.get("count_include_pad", 0))
    if max(windows.dilation) > 1:
        return _dilated_mean(node, windows, counted)
    layer = AveragePool(
        windows.size, windows.stride, windows.padding, windows.ceil_mode, count_include_pad=counted
    )
    return windowed(node, layer, x)


def _dilated_mean(node: OnnxNode, windows: Windows, counted: bool) -> Value:
    """Sums over dilated windows, a depthwise convolution, each divided by its number of values."""
    spatial, channels = node.shape()[1:], node.shape()[0]
    extent = windows.output_extent(spatial)
    padding = []
    for axis, (before, after) in enumerate(windows.padding):
        reach = windows.dilation[axis] * (windows.size[axis] - 1) + 1
        needed = (extent[axis] - 1) * windows.stride[axis] + reach
        padding.append((before, max(after, needed - spatial[axis] - before)))
    ones = np.ones((1, *spatial))
    if counted:
        ones = np.pad(ones, ((0, 0), *windows.padding), constant_values=1.0)
        missing = [(0, p[1] - q[1]) for p, q in zip(padding, windows.padding, strict=True)]
        ones = np.pad(ones, ((0, 0), *missing))
    else:
        ones = np.pad(ones, ((0, 0), *padding))
    plain = Windows(windows.size, windows.stride, (), windows.dilation)
    counts = plain.patches(ones[..., None]).sum(axis=(-1, -2))[:, *(slice(n) for n in extent)]
    if not counts.all():
        raise Unreadable("a window lies beside its input, so that there is nothing to pool")
    layer = Convolution(
        np.ones((channels, 1, *windows.size)),
        None,
        windows.stride,
        tuple(padding),
        windows.dilation,
        groups=channels,
    )
    total = node.add(layer, node.signal(0), part="sum")
    return node.add(ScaleShift(1.0 / counts), total)


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: OnnxNode) -> Value:
    """Mean or maximum over all spatial axes, which stay as single values."""
    layer = GlobalAveragePool if node.kind == "GlobalAveragePool" else GlobalMaxPool
    axes = node.view(0).every_axis()[2:]
    view = node.view(0, *axes)
    return node.add(layer(view.axes(axes), keepdims=True), view)
