"""Convolution, pooling and resizing over windows, their geometry from attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs, Windows
from spikewright.frontends.onnx.registry import OnnxNode, reads
from spikewright.frontends.onnx.values import SignalValue, UnsupportedOp
from spikewright.frontends.reading.call import Value
from spikewright.frontends.reading.reductions import folded, halves, same_padding, windowed
from spikewright.graph.layers import (
    AveragePool,
    Convolution,
    ConvolutionTranspose,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
    ScaleShift,
)


def windows_of(node: OnnxNode, size: Sequence[int], spatial: Sequence[int]) -> Windows:
    """Size, stride, padding and dilation over an input of this spatial extent.

    `auto_pad` is resolved for the extent, by the standard's formulas: SAME makes
    ceil(extent / stride) windows and puts an odd value at the end (UPPER) or the start (LOWER).
    """
    rank = len(spatial)
    if not 1 <= rank <= 3 or len(size) != rank:
        raise UnsupportedOp(f"a window {tuple(size)} over {rank} spatial axes; 1 to 3 can be read")
    stride = positive(node, "strides", rank)
    dilation = positive(node, "dilations", rank)
    automatic = automatic_padding(node)
    padding: Pairs = ((0, 0),) * rank
    if automatic == "NOTSET":
        padding = explicit_pads(node, rank)
    elif automatic != "VALID":
        reach = [d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True)]
        padding = same_padding(spatial, reach, stride, automatic == "SAME_LOWER")
    # With auto_pad the standard's output extents do not depend on ceil_mode.
    ceil_mode = bool(node.attributes.get("ceil_mode", 0)) and automatic == "NOTSET"
    return Windows(tuple(size), stride, padding, dilation, ceil_mode)


def automatic_padding(node: OnnxNode) -> str:
    """The attribute `auto_pad`."""
    given = str(node.attributes.get("auto_pad", "NOTSET"))
    if given not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedOp(f"auto_pad is {given!r}, which the standard does not know")
    return given


def positive(node: OnnxNode, name: str, rank: int) -> tuple[int, ...]:
    """An attribute of one positive number for each spatial axis, ones where it is not given."""
    values = node.integers(name) or (1,) * rank
    if len(values) != rank or min(values) < 1:
        raise UnsupportedOp(f"{name} is {values}, it must hold {rank} positive numbers")
    return values


def explicit_pads(node: OnnxNode, rank: int) -> Pairs:
    """The padding that the node states, zero where it states none."""
    pads = node.integers("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank:
        raise UnsupportedOp(f"pads is {pads}, it must hold {2 * rank} numbers")
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def images(node: OnnxNode) -> tuple[SignalValue, tuple[int, ...]]:
    """The input, one image `(channels, *spatial)` or several, and its spatial extents."""
    view = node.view(0)
    if view.full[:1] == (1,):
        view = node.signal(0)
        return view, view.shape[1:]
    return view, view.full[2:]


def _weights(node: OnnxNode, expected: str) -> tuple[NDArray, int]:
    """The kernel and the number of groups."""
    weight = node.parameter(1)
    if weight.ndim < 3:
        raise UnsupportedOp(f"its weights have shape {weight.shape}, {expected} is expected")
    size = node.integers("kernel_shape") or weight.shape[2:]
    if size != weight.shape[2:]:
        raise UnsupportedOp(f"kernel_shape is {size}, its weights are {weight.shape}")
    groups = int(node.attributes.get("group", 1))
    if groups < 1:
        raise UnsupportedOp(f"group is {groups}, it must be positive")
    return weight, groups


@reads("Conv")
def convolution(node: OnnxNode) -> Value:
    """Cross-correlation over one to three axes; weights must be constant."""
    weight, groups = _weights(node, "(out, in, *size)")
    x, spatial = images(node)
    windows = windows_of(node, weight.shape[2:], spatial)
    layer = Convolution(
        weight,
        node.optional(2),
        windows.stride,
        windows.padding,
        windows.dilation,
        groups=groups,
    )
    return windowed(node, layer, x)


@reads("ConvTranspose")
def convolution_transpose(node: OnnxNode) -> Value:
    """Transposed convolution over one to three axes; weights must be constant."""
    weight, groups = _weights(node, "(in, out, *size)")
    spatial, rank = node.shape()[1:], weight.ndim - 2
    if len(spatial) != rank:
        raise UnsupportedOp(f"its weights {weight.shape} do not fit {len(spatial)} spatial axes")
    stride, dilation = positive(node, "strides", rank), positive(node, "dilations", rank)
    extra = node.integers("output_padding") or (0,) * rank
    if len(extra) != rank or min(extra) < 0:
        raise UnsupportedOp(f"output_padding is {extra}, it must hold {rank} numbers of 0 or more")
    reach = [
        s * (n - 1) + e + d * (k - 1) + 1
        for n, k, s, d, e in zip(spatial, weight.shape[2:], stride, dilation, extra, strict=True)
    ]
    wanted = _wanted_extent(node, spatial, stride)
    if wanted is None:
        padding = explicit_pads(node, rank)
    else:
        # Values that the kernels do not reach are zeros at the end, as output_padding makes them.
        extra = tuple(e + max(0, w - r) for e, w, r in zip(extra, wanted, reach, strict=True))
        lower = node.attributes.get("auto_pad", "NOTSET") != "SAME_UPPER"
        padding = tuple(halves(max(r - w, 0), lower) for w, r in zip(wanted, reach, strict=True))
    layer = ConvolutionTranspose(
        weight, node.optional(2), stride, padding, extra, dilation, groups=groups
    )
    return node.add(layer, node.signal(0))


@reads("Col2Im")
def blocks_to_image(node: OnnxNode) -> Value:
    """Blocks put back in place, overlaps added up."""
    image, size = node.integers("", 1), node.integers("", 2)
    if image is None or size is None or len(image) != len(size):
        raise UnsupportedOp(f"its image and blocks have extents {image} and {size}")
    rank = len(size)
    stride, dilation = positive(node, "strides", rank), positive(node, "dilations", rank)
    windows = Windows(size, stride, explicit_pads(node, rank), dilation)
    return folded(node, node.signal(0), image, windows)


def _wanted_extent(
    node: OnnxNode, spatial: Sequence[int], stride: Sequence[int]
) -> tuple[int, ...] | None:
    """The output's extent where the node states it, None where it follows from the padding."""
    given = node.integers("output_shape")
    if given is not None:
        if len(given) == len(spatial) + 2:
            given = given[2:]
        if len(given) != len(spatial) or min(given) < 1:
            raise UnsupportedOp(f"output_shape is {given}, for {len(spatial)} spatial axes")
        return given
    automatic = automatic_padding(node)
    if automatic.startswith("SAME"):
        return tuple(n * s for n, s in zip(spatial, stride, strict=True))
    return None


def _pool_windows(node: OnnxNode) -> tuple[SignalValue, Windows]:
    size = node.integers("kernel_shape")
    if not size or min(size) < 1:
        raise UnsupportedOp(f"kernel_shape is {size}, it must hold positive numbers")
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
        raise UnsupportedOp("a window lies beside its input, so that there is nothing to pool")
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
