"""Transforms over sliding windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_whole
from spikewright._base.windows import Pairs, Windows, join_shape, split_shape
from spikewright.network.geometry import check_windows, whole_numbers
from spikewright.network.shapes import Shape
from spikewright.network.transforms.base import Transform, freeze_array, register, require
from spikewright.network.transforms.described import Described, Filters, Init
from spikewright.network.transforms.layout import Chain, Reshape


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
