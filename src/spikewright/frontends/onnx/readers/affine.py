"""Conv and ConvTranspose."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.windows import explicit_pads, images, positive, windows_of
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Unreadable
from spikewright.frontends.reading.values import Value
from spikewright.frontends.reading.windows import folded, halves, windowed
from spikewright.graph.layers import Convolution, ConvolutionTranspose


def _weights(node: OnnxNode, expected: str) -> tuple[NDArray, int]:
    """The kernel and the number of groups."""
    weight = node.parameter(1)
    if weight.ndim < 3:
        raise Unreadable(f"its weights have shape {weight.shape}, {expected} is expected")
    size = node.integers("kernel_shape") or weight.shape[2:]
    if size != weight.shape[2:]:
        raise Unreadable(f"kernel_shape is {size}, its weights are {weight.shape}")
    groups = int(node.attributes.get("group", 1))
    if groups < 1:
        raise Unreadable(f"group is {groups}, it must be positive")
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
        raise Unreadable(f"its weights {weight.shape} do not fit {len(spatial)} spatial axes")
    stride, dilation = positive(node, "strides", rank), positive(node, "dilations", rank)
    extra = node.integers("output_padding") or (0,) * rank
    if len(extra) != rank or min(extra) < 0:
        raise Unreadable(f"output_padding is {extra}, it must hold {rank} numbers of 0 or more")
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
        raise Unreadable(f"its image and blocks have extents {image} and {size}")
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
            raise Unreadable(f"output_shape is {given}, for {len(spatial)} spatial axes")
        return given
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unreadable(f"auto_pad is {automatic!r}, which the standard does not know")
    if automatic.startswith("SAME"):
        return tuple(n * s for n, s in zip(spatial, stride, strict=True))
    return None
