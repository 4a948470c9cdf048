"""The geometry that convolution and pooling share, from attributes."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright._base.windows import Pairs, Windows
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.values import Signal, Unreadable
from spikewright.frontends.reading.windows import same_padding


def windows_of(node: OnnxNode, size: Sequence[int], spatial: Sequence[int]) -> Windows:
    """Size, stride, padding and dilation over an input of this spatial extent.

    `auto_pad` is resolved for the extent, by the standard's formulas: SAME makes
    ceil(extent / stride) windows and puts an odd value at the end (UPPER) or the start (LOWER).
    """
    rank = len(spatial)
    if not 1 <= rank <= 3 or len(size) != rank:
        raise Unreadable(f"a window {tuple(size)} over {rank} spatial axes; 1 to 3 can be read")
    stride = positive(node, "strides", rank)
    dilation = positive(node, "dilations", rank)
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unreadable(f"auto_pad is {automatic!r}, which the standard does not know")
    padding: Pairs = ((0, 0),) * rank
    if automatic == "NOTSET":
        padding = explicit_pads(node, rank)
    elif automatic != "VALID":
        reach = [d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True)]
        padding = same_padding(spatial, reach, stride, automatic == "SAME_LOWER")
    # With auto_pad the standard's output extents do not depend on ceil_mode.
    ceil_mode = bool(node.attributes.get("ceil_mode", 0)) and automatic == "NOTSET"
    return Windows(tuple(size), stride, padding, dilation, ceil_mode)


def positive(node: OnnxNode, name: str, rank: int) -> tuple[int, ...]:
    """An attribute of one positive number for each spatial axis, ones where it is not given."""
    values = node.integers(name) or (1,) * rank
    if len(values) != rank or min(values) < 1:
        raise Unreadable(f"{name} is {values}, it must hold {rank} positive numbers")
    return values


def explicit_pads(node: OnnxNode, rank: int) -> Pairs:
    """The padding that the node states, zero where it states none."""
    pads = node.integers("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank:
        raise Unreadable(f"pads is {pads}, it must hold {2 * rank} numbers")
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def images(node: OnnxNode) -> tuple[Signal, tuple[int, ...]]:
    """The input, one image `(channels, *spatial)` or several, and its spatial extents."""
    view = node.view(0)
    if view.full[:1] == (1,):
        view = node.signal(0)
        return view, view.shape[1:]
    return view, view.full[2:]
