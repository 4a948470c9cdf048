"""Pooling over windows and over whole axes."""

from __future__ import annotations

import numpy as np

from spikewright._windows import Windows
from spikewright.frontends.onnx.node import OnnxNode, Unreadable
from spikewright.frontends.onnx.readers.windows import windows_of
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.layers import (
    AveragePool,
    Convolution,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    MaxPool,
)


def _pool_windows(node: OnnxNode) -> Windows:
    size = node.integers("kernel_shape")
    if not size or min(size) < 1:
        raise Unreadable(f"kernel_shape is {size}, it must hold positive numbers")
    return windows_of(node, size, node.shape()[1:])


@reads("MaxPool")
def max_pool(node: OnnxNode) -> str:
    """Maximum over windows; `storage_order` concerns only the indices, which are not read."""
    windows = _pool_windows(node)
    layer = MaxPool(
        windows.size, windows.stride, windows.padding, windows.dilation, windows.ceil_mode
    )
    return node.add(layer, node.signal(0))


@reads("AveragePool")
def average_pool(node: OnnxNode) -> str:
    """Mean over windows; with dilation, a depthwise convolution where that is the same."""
    windows = _pool_windows(node)
    counted = bool(node.attributes.get("count_include_pad", 0))
    if max(windows.dilation) > 1:
        return _dilated_mean(node, windows, counted)
    layer = AveragePool(
        windows.size, windows.stride, windows.padding, windows.ceil_mode, count_include_pad=counted
    )
    return node.add(layer, node.signal(0))


def _dilated_mean(node: OnnxNode, windows: Windows, counted: bool) -> str:
    padded = any(map(any, windows.padding))
    if windows.ceil_mode or (padded and not counted):
        raise Unreadable(
            "its windows are dilated and hold different numbers of values at the border",
            "Set count_include_pad, and not ceil_mode, or remove the dilation",
        )
    channels = node.shape()[0]
    weight = np.full((channels, 1, *windows.size), 1.0 / np.prod(windows.size))
    layer = Convolution(
        weight, None, windows.stride, windows.padding, windows.dilation, groups=channels
    )
    return node.add(layer, node.signal(0))


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: OnnxNode) -> str:
    """Mean or maximum over all spatial axes, which stay as single values."""
    layer = GlobalAveragePool if node.kind == "GlobalAveragePool" else GlobalMaxPool
    axes = tuple(range(1, len(node.shape())))
    return node.add(layer(axes, keepdims=True), node.signal(0))


@reads("ReduceMean", "ReduceMax")
def reduce(node: OnnxNode) -> str:
    """Mean or maximum over axes beside the batch."""
    axes = node.integers("axes", 1)
    rank = len(node.shape()) + 1
    if not axes:
        if node.attributes.get("noop_with_empty_axes", 0):
            return node.add(Identity(), node.signal(0))
        axes = tuple(range(rank))
    if not all(-rank <= axis < rank for axis in axes):
        raise Unreadable(f"its axes {axes} do not exist in {rank} axes")
    unbatched = tuple(sorted({axis % rank - 1 for axis in axes}))
    if unbatched[0] < 0:
        raise Unreadable(
            "it reduces over the batch axis, so samples would influence each other",
            "Reduce over the other axes",
        )
    layer = GlobalAveragePool if node.kind == "ReduceMean" else GlobalMaxPool
    keepdims = bool(node.attributes.get("keepdims", 1))
    return node.add(layer(unbatched, keepdims), node.signal(0))
