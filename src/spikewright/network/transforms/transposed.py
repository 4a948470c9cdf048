"""Transposed convolutions: their input spread out by the stride, and a convolution over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs, join_shape, split_shape
from spikewright.network.distributions import Uniform
from spikewright.network.geometry import whole_numbers
from spikewright.network.shapes import Shape
from spikewright.network.transforms.base import Transform, require
from spikewright.network.transforms.described import Described, Filters, Init
from spikewright.network.transforms.layout import Chain, Place, Reshape, Slice
from spikewright.network.transforms.windows import Convolution

_USUAL = Uniform(-1.0, 1.0)


def transposed(
    kernel: NDArray,
    shape: Shape,
    stride: tuple[int, ...],
    dropped: Sequence[tuple[int, int]],
    dilation: tuple[int, ...],
    groups: int,
    channels_last: bool,
) -> tuple[Transform, ...]:
    """The maps of a transposed convolution of an input of `shape`.

    Every value of input channel `i` adds `kernel[o, i]`, `(out, in / groups, *size)`, to the
    outputs of `o` from its place times `stride` on, taps `dilation` apart. Of each axis so many
    values `(before, after)` are `dropped`, or added where they are below 0. That is the convolution
    of the flipped kernel over the input with zeros between its values.
    """
    size = kernel.shape[2:]
    flipped = np.flip(kernel, tuple(range(2, kernel.ndim)))
    spatial, channels = split_shape(shape, channels_last)
    spread = tuple((n - 1) * s + 1 for n, s in zip(spatial, stride, strict=True))
    margins = [
        (d * (k - 1) - before, d * (k - 1) - after)
        for d, k, (before, after) in zip(dilation, size, dropped, strict=True)
    ]
    parts: list[Transform] = []
    if spread != spatial:
        places = tuple((0, n, s) for n, s in zip(spread, stride, strict=True))
        wide = join_shape(spread, channels, channels_last)
        parts.append(Place(_with_channels(places, channels, channels_last), wide))
    if any(low < 0 or high < 0 for low, high in margins):
        kept = tuple(
            (max(-low, 0), n - max(-high, 0), 1)
            for n, (low, high) in zip(spread, margins, strict=True)
        )
        parts.append(Slice(_with_channels(kept, channels, channels_last)))
    padding: Pairs = tuple((max(low, 0), max(high, 0)) for low, high in margins)
    ones = (1,) * len(size)
    parts.append(Convolution(flipped, ones, padding, dilation, groups, channels_last))
    return tuple(parts)


def _with_channels(
    ranges: tuple[tuple[int, int, int], ...], channels: int, last: bool
) -> tuple[tuple[int, int, int], ...]:
    """Ranges of the spatial axes and the whole of the channels'."""
    whole = (0, channels, 1)
    return (*ranges, whole) if last else (whole, *ranges)


class ConvolutionTranspose(Described):
    """The transpose of a convolution, in Nengo's terms: a map between flat vectors.

    A connection makes it. It leads back from the output of a `Convolution` with these
    `kernel_size`, `strides` and `padding` ("valid" or "same") to its input. `input_shape` and
    `output_shape` have the channels in them, last or, without `channels_last`, first; the latter is
    the smallest possible one where it is not given. `init` is a kernel
    `(*kernel_size, channels / groups, n_filters)` or a distribution. Raises `NetworkError` for an
    `output_shape` that such a convolution does not bring to `input_shape`.
    """

    def __init__(
        self,
        n_filters: int,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...] | None = None,
        kernel_size: Sequence[int] = (3, 3),
        strides: Sequence[int] = (1, 1),
        padding: Literal["valid", "same"] = "valid",
        channels_last: bool = True,
        init: Init = _USUAL,
        groups: int = 1,
    ) -> None:
        filters = Filters(
            n_filters=n_filters,
            input_shape=input_shape,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            channels_last=channels_last,
            init=init,
            groups=groups,
            what="ConvolutionTranspose",
        )
        large = _output_size(filters, output_shape)

        def made(weights: NDArray) -> Transform:
            maps = _maps(filters, weights, large)
            size = math.prod(large) * filters.n_filters
            return Chain((Reshape(filters.input_shape), *maps, Reshape((size,))))

        found = filters.described(made, math.prod(large) * filters.n_filters)
        super().__init__(
            found.words, found.size_in, found.size_out, found.init, found.drawn, found.make
        )


def _maps(filters: Filters, weights: NDArray, large: tuple[int, ...]) -> tuple[Transform, ...]:
    """The maps of filters back to an image of the size `large`."""
    dropped = []
    sizes = zip(filters.size, filters.strides, filters.kernel_size, large, strict=True)
    for n, stride, k, whole in sizes:
        reach = (n - 1) * stride + k
        before = 0 if filters.padding == "valid" else max(reach - whole, 0) // 2
        dropped.append((before, reach - whole - before))
    kernel, ones = filters.kernel(weights), (1,) * len(large)
    return transposed(
        kernel=kernel,
        shape=filters.input_shape,
        stride=tuple(filters.strides),
        dropped=dropped,
        dilation=ones,
        groups=filters.groups,
        channels_last=filters.channels_last,
    )


def _output_size(filters: Filters, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The size of the output without its channels: the given one, or the smallest."""
    valid = filters.padding == "valid"
    sizes = list(zip(filters.size, filters.strides, filters.kernel_size, strict=True))
    least = tuple((n - 1) * stride + (k if valid else 1) for n, stride, k in sizes)
    if shape is None:
        return least
    given = whole_numbers("ConvolutionTranspose: output_shape", shape, 1)
    last = filters.channels_last
    size, channels = (given[:-1], given[-1]) if last else (given[1:], given[0])
    fits = len(size) == len(least) and all(
        low <= n < low + stride for n, low, (_, stride, _) in zip(size, least, sizes, strict=True)
    )
    smallest = (*least, filters.n_filters) if last else (filters.n_filters, *least)
    require(
        fits and channels == filters.n_filters,
        f"ConvolutionTranspose: no convolution of these strides brings output_shape {given} to "
        f"input_shape {filters.input_shape}; the smallest output_shape is {smallest}, and an axis "
        "may have up to its stride less one more",
    )
    return size
