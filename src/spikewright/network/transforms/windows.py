"""Transforms over sliding windows, and their transposes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_whole
from spikewright._base.windows import Pairs, Windows, join_shape, split_shape
from spikewright.network.distributions import Uniform
from spikewright.network.shapes import Shape, check_windows, require, whole_numbers
from spikewright.network.transforms.layout import (
    Chain,
    Place,
    Reshape,
    Slice,
    Transform,
    freeze_array,
    register,
)
from spikewright.network.transforms.weights import Described, Filters, Init


@register
@dataclass(frozen=True, eq=False)
class Convolution(Transform):
    """Cross-correlation over one to three axes; `kernel` is `(out, in / groups, *size)`.

    `padding` holds a `(before, after)` pair of zeros per spatial axis; where they are not given,
    `stride` and `dilation` are one and there is no padding. The channel axis of the input is its
    first, or its last with `channels_last`.

    `Convolution(n_filters, input_shape, kernel_size=(3, 3), strides=(1, 1), padding="valid",
    channels_last=True, init=Uniform(-1, 1), groups=1)` is a map between flat vectors that a
    connection makes, as Nengo's: `input_shape` has the channels in it, `padding` is "valid" or
    "same", `init` a kernel `(*kernel_size, channels / groups, n_filters)` or a distribution.
    """

    kernel: NDArray
    stride: tuple[int, ...] = ()
    padding: Pairs = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    channels_last: bool = False

    def __new__(cls, *given: Any, **named: Any) -> Any:
        if "n_filters" in named or (given and is_whole(given[0])):
            return _of_filters(Filters(*given, **named))
        return super().__new__(cls)

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            kernel: ArrayLike,
            stride: tuple[int, ...] = (),
            padding: Pairs = (),
            dilation: tuple[int, ...] = (),
            groups: int = 1,
            channels_last: bool = False,
        ) -> None: ...
        @overload
        def __init__(
            self,
            n_filters: int,
            input_shape: tuple[int, ...],
            kernel_size: Sequence[int] = (3, 3),
            strides: Sequence[int] = (1, 1),
            padding: Literal["valid", "same"] = "valid",
            channels_last: bool = True,
            init: Init = ...,
            groups: int = 1,
        ) -> None: ...
        def __init__(self, *given: Any, **named: Any) -> None: ...

    def __post_init__(self) -> None:
        kernel = freeze_array(self, "kernel", self.kernel)
        require(
            3 <= kernel.ndim <= 5,
            f"Convolution.kernel must be (out, in / groups, *size) with one to three spatial axes, "
            f"got shape {kernel.shape}",
        )
        if self.stride == ():
            object.__setattr__(self, "stride", (1,) * (kernel.ndim - 2))
        checked = check_windows("Convolution", self.windows)
        for name in ("stride", "padding", "dilation"):
            object.__setattr__(self, name, getattr(checked, name))
        (groups,) = whole_numbers("Convolution.groups", (self.groups,), 1)
        object.__setattr__(self, "groups", groups)
        require(
            kernel.shape[0] % groups == 0,
            f"Convolution: {kernel.shape[0]} filters do not divide into {groups} groups",
        )

    @property
    def windows(self) -> Windows:
        """The geometry of the sliding kernel."""
        return Windows(self.kernel.shape[2:], self.stride, self.padding, self.dilation)

    def output_shape(self, shape: Shape) -> Shape:
        spatial, channels = split_shape(shape, self.channels_last)
        require(
            len(spatial) == self.kernel.ndim - 2 and channels == self.kernel.shape[1] * self.groups,
            f"Convolution: a kernel (out, in / groups, *size) = {self.kernel.shape} in "
            f"{self.groups} groups does not fit an input of shape {shape}",
        )
        extent = self.windows.output_extent(spatial)
        require(min(extent) > 0, f"Convolution: the kernel is larger than the padded input {shape}")
        return join_shape(extent, self.kernel.shape[0], self.channels_last)

    @property
    def weights(self) -> NDArray:
        return self.kernel


def _of_filters(filters: Filters) -> Described:
    """A convolution in Nengo's words, between flat vectors."""

    def made(weights: NDArray) -> Transform:
        convolution = Convolution(
            filters.kernel(weights),
            stride=tuple(filters.strides),
            padding=filters.pads,
            groups=filters.groups,
            channels_last=filters.channels_last,
        )
        shape = convolution.output_shape(filters.input_shape)
        return Chain((Reshape(filters.input_shape), convolution, Reshape((math.prod(shape),))))

    whole = made(np.zeros(filters.kernel_shape)).output_shape(filters.input_shape)
    return filters.described(made, math.prod(whole))


@register
@dataclass(frozen=True, eq=False)
class SumPool(Transform):
    """Sum over sliding windows times `factor` per window, `(*windows,)` or scalar (default 1).

    An average pool has the reciprocal of each window's count as its factor.
    """

    windows: Windows
    factor: NDArray = field(default_factory=lambda: np.array(1.0))
    channels_last: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows", check_windows("SumPool", self.windows))
        freeze_array(self, "factor", self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        require(
            len(shape) == len(self.windows.size) + 1,
            f"SumPool: {len(self.windows.size)}-D windows do not fit an input of shape {shape}",
        )
        spatial, channels = split_shape(shape, self.channels_last)
        extent = self.windows.output_extent(spatial)
        require(
            min(extent) > 0 and self.factor.shape in ((), extent),
            f"SumPool: {extent} windows over an input of shape {shape}, factors of shape "
            f"{self.factor.shape}",
        )
        return join_shape(extent, channels, self.channels_last)

    @property
    def weights(self) -> NDArray:
        return self.factor


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
