"""Convolutions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Value
from spikewright.frontends.reading.windows import folded, halves, windowed
from spikewright.graph.layers import Convolution, ConvolutionTranspose

_Pairs = tuple[tuple[int, int], ...]


@reads(
    "aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default", "aten.conv2d.padding",
    "aten.conv3d.default", "aten.conv3d.padding", "aten.convolution.default",
    "aten._convolution.default",
)  # fmt: skip
def _convolution(call: Call) -> Value:
    if call.get("transposed"):
        return _transposed(call)
    weight = call.array("weight")
    rank = weight.ndim - 2
    dilation = call.numbers("dilation", rank)
    layer = Convolution(
        weight,
        call.optional_array("bias"),
        call.numbers("stride", rank),
        _padding(call, weight.shape[2:], dilation),
        dilation,
        call["groups"],
    )
    return windowed(call, layer, call.windows("input", rank))


@reads("aten.conv_transpose1d.default", "aten.conv_transpose2d.input",
       "aten.conv_transpose3d.input")  # fmt: skip
def _transposed(call: Call) -> Value:
    weight = call.array("weight")
    rank = weight.ndim - 2
    if not 1 <= rank <= 3:
        raise Unreadable(
            f"its weights have shape {weight.shape}, which is no kernel of 1 to 3 axes"
        )
    layer = ConvolutionTranspose(
        weight,
        call.optional_array("bias"),
        call.numbers("stride", rank),
        tuple((n, n) for n in call.numbers("padding", rank)),
        call.numbers("output_padding", rank),
        call.numbers("dilation", rank),
        call["groups"],
    )
    return windowed(call, layer, call.windows("input", rank))


def _padding(call: Call, size: tuple[int, ...], dilation: tuple[int, ...]) -> _Pairs:
    if call["padding"] == "valid":
        return ((0, 0),) * len(size)
    if call["padding"] == "same":  # an odd total has its larger half behind
        return tuple(halves(d * (n - 1)) for n, d in zip(size, dilation, strict=True))
    return tuple((n, n) for n in call.numbers("padding", len(size)))


@reads("aten.im2col.default")
def _patches(call: Call) -> Value:
    """Patches as channels: a convolution with kernels that pick one value each."""
    x = call.sample("self")
    size = call.numbers("kernel_size", 2)
    channels, taps = x.shape[0], size[0] * size[1]
    kernel = np.tile(np.eye(taps).reshape(taps, 1, *size), (channels, 1, 1, 1))
    made = call.add(_windowed(call, kernel, channels), x, part="windows")
    return call.view(made, sizes_of(call.results))


def _windowed(call: Call, kernel: NDArray, groups: int) -> Convolution:
    pads = tuple((n, n) for n in call.numbers("padding", 2))
    return Convolution(
        kernel, None, call.numbers("stride", 2), pads, call.numbers("dilation", 2), groups
    )


@reads("aten.col2im.default")
def _folded(call: Call) -> Value:
    """Patches added up where they overlap."""
    size, stride, dilation = (
        call.numbers(name, 2) for name in ("kernel_size", "stride", "dilation")
    )
    pads = tuple((n, n) for n in call.numbers("padding", 2))
    windows = Windows(size, stride, pads, dilation)
    return folded(call, call.sample("self"), call.numbers("output_size", 2), windows)
