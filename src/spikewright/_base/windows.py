"""Sliding windows over the spatial axes of an array, for convolution and pooling.

Arrays here are channels-last, `(batch, *spatial, channels)`; `channels_last` and back is a move of
one axis. Window geometry is `(size, stride, padding, dilation)` per spatial axis, padding as
`(before, after)` pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Windows:
    """The geometry of sliding windows over `len(size)` spatial axes.

    `stride` is `size` and `dilation` one where they are not given, and there is no `padding`. With
    `ceil_mode` a last window that reaches beyond the padded input is kept if it starts inside
    the input or its leading padding (PyTorch's rule).
    """

    size: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: Pairs = ()
    dilation: tuple[int, ...] = ()
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        rank = len(self.size) if isinstance(self.size, tuple) else 0
        defaults = {"stride": self.size, "padding": ((0, 0),) * rank, "dilation": (1,) * rank}
        for name, value in defaults.items():
            if getattr(self, name) == ():
                object.__setattr__(self, name, value)

    def output_extent(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Number of windows along each spatial axis of an input of extent `spatial`."""
        counts = []
        for extent, size, stride, (before, after), dilation in zip(
            spatial, self.size, self.stride, self.padding, self.dilation, strict=True
        ):
            reach = dilation * (size - 1) + 1
            room = extent + before + after - reach
            count = (-(-room // stride) if self.ceil_mode else room // stride) + 1
            if self.ceil_mode and (count - 1) * stride >= extent + before:
                count -= 1
            counts.append(count)
        return tuple(counts)

    def all_see_input(self, spatial: Sequence[int]) -> bool:
        """Whether every window over an input of extent `spatial` covers some of it.

        Where a dilation exceeds a padded extent the answer is no, even if no tap happens to miss.
        """
        for extent, count, size, stride, (before, _), dilation in zip(
            spatial, self.output_extent(spatial), self.size, self.stride, self.padding,
            self.dilation, strict=True,
        ):  # fmt: skip
            first_reaches = before <= dilation * (size - 1)
            last_starts_inside = (count - 1) * stride - before < extent
            steps_over = before > 0 and size > 1 and dilation > extent
            if not first_reaches or not last_starts_inside or steps_over:
                return False
        return True

    def pad(self, x: NDArray, value: float) -> NDArray:
        """Pad `(batch, *spatial, channels)` so that every window lies inside."""
        pairs = [(0, 0), *self.reach(x.shape[1:-1]), (0, 0)]
        return np.pad(x, pairs, constant_values=value) if any(map(any, pairs)) else x

    def reach(self, spatial: Sequence[int]) -> list[tuple[int, int]]:
        """Places before and behind each axis that windows over an input of `spatial` reach."""
        pairs = []
        for extent, count, size, stride, (before, after), dilation in zip(
            spatial, self.output_extent(spatial), self.size, self.stride, self.padding,
            self.dilation, strict=True,
        ):  # fmt: skip
            needed = (count - 1) * stride + dilation * (size - 1) + 1
            pairs.append((before, max(after, needed - extent - before)))
        return pairs

    def taps(self, x: NDArray, value: float = 0.0) -> Iterator[tuple[tuple[int, ...], NDArray]]:
        """Yield `(tap, view)` for every position of the window.

        `view[b, *o, c]` is the value of window `o` at that tap; outside the input it is `value`.
        """
        counts = self.output_extent(x.shape[1:-1])
        padded = self.pad(x, value)
        for tap in product(*map(range, self.size)):
            index = [slice(None)]
            for t, count, stride, dilation in zip(
                tap, counts, self.stride, self.dilation, strict=True
            ):
                start = t * dilation
                index.append(slice(start, start + (count - 1) * stride + 1, stride))
            yield tap, padded[tuple(index)]

    def patches(self, x: NDArray) -> NDArray:
        """All windows laid out as `(batch, *windows, taps, channels)`, zero outside the input."""
        return np.stack([view for _, view in self.taps(x)], axis=-2)


def channels_last(x: NDArray, already: bool) -> NDArray:
    """View `(batch, ...)` with its channel axis last."""
    return x if already else np.moveaxis(x, 1, -1)


def restore_channels(x: NDArray, last: bool) -> NDArray:
    """Undo `channels_last`."""
    return x if last else np.moveaxis(x, -1, 1)


def split_shape(shape: Sequence[int], last: bool) -> tuple[tuple[int, ...], int]:
    """Split an unbatched shape into its spatial extent and its number of channels."""
    return (tuple(shape[:-1]), shape[-1]) if last else (tuple(shape[1:]), shape[0])


def join_shape(spatial: Sequence[int], channels: int, last: bool) -> tuple[int, ...]:
    """Undo `split_shape`."""
    return (*spatial, channels) if last else (channels, *spatial)
