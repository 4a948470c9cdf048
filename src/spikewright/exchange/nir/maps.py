"""Affine maps between arrays as NIR has them: images, channels first, with windows over them.

Every array of a graph has the same number of axes, `(channels, *spatial)`; a vector is an image of
extent 1. So a matrix on an image is a window over all of it, and no reader has to flatten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs, Windows
from spikewright.network.transforms import Shape


@dataclass(frozen=True, eq=False)
class Map:
    """Cross-correlation of an array of `shape`, `(in, *spatial)`, with `(out, in, *size)`.

    Without spatial axes the kernel is a matrix `(out, in)`. `pooling` says that it only adds up
    windows, channel by channel. Kernels are float64.
    """

    kernel: NDArray
    shape: Shape
    stride: tuple[int, ...] = ()
    padding: Pairs = ()
    dilation: tuple[int, ...] = ()
    pooling: bool = False

    def __post_init__(self) -> None:
        rank = len(self.shape) - 1
        defaults = {"stride": (1,) * rank, "padding": ((0, 0),) * rank, "dilation": (1,) * rank}
        for name, value in defaults.items():
            if getattr(self, name) == ():
                object.__setattr__(self, name, value)

    @property
    def size(self) -> Shape:
        """Extent of the window."""
        return self.kernel.shape[2:]

    @property
    def output_shape(self) -> Shape:
        """Shape of the image of its input."""
        windows = Windows(self.size, self.stride, self.padding, self.dilation)
        return (len(self.kernel), *windows.output_extent(self.shape[1:]))

    def times(self, factors: NDArray) -> Map:
        """The map with a factor for each channel of its output."""
        one = (1,) * len(self.size)
        kernel = self.kernel * factors.reshape(-1, 1, *one)
        return replace(self, kernel=kernel)


def by_channel(values: NDArray, shape: Shape) -> NDArray | None:
    """One value a channel of a flat array over `shape`, or None where a channel has several."""
    rows = values.reshape(shape[0], -1)
    return rows[:, 0] if np.array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape)) else None


def whole(matrix: NDArray, shape: Shape) -> Map:
    """A matrix `(out, inputs)` on the flattened array of `shape`, as one window over all of it."""
    return Map(np.asarray(matrix, np.float64).reshape(len(matrix), *shape), shape)


def diagonal(factors: NDArray, shape: Shape) -> Map:
    """A factor for each channel."""
    return Map(np.diag(factors).reshape(len(factors), -1, *(1,) * (len(shape) - 1)), shape)


def composed(pool: Map, then: Map) -> Map | None:
    """A pool and the map behind it as one map, or None where no single map does both.

    Windows of `p` at distance `s`, and `k` of those at distance `t`, are windows of `s (k - 1) + p`
    at distance `s t`. Zeros around the pooled image are zeros around the image only where its
    windows fill it without overlap.
    """
    tiled = not any(map(any, pool.padding)) and all(
        p == s and n % s == 0
        for n, p, s in zip(pool.shape[1:], pool.size, pool.stride, strict=True)
    )
    padded = any(map(any, then.padding))
    if (padded and not tiled) or {*pool.dilation, *then.dilation} > {1}:
        return None
    steps = pool.stride
    size = [s * (k - 1) + p for s, k, p in zip(steps, then.size, pool.size, strict=True)]
    kernel = np.zeros((*then.kernel.shape[:2], *size))
    for tap in np.ndindex(*pool.size):
        places = tuple(
            slice(first, first + s * (k - 1) + 1, s)
            for first, s, k in zip(tap, steps, then.size, strict=True)
        )
        factors = np.diagonal(pool.kernel[(..., *tap)]).reshape(1, -1, *(1,) * len(size))
        kernel[(slice(None), slice(None), *places)] += then.kernel * factors
    padding = tuple(
        (first + s * before, last + s * after)
        for (first, last), s, (before, after) in zip(pool.padding, steps, then.padding, strict=True)
    )
    stride = tuple(s * t for s, t in zip(steps, then.stride, strict=True))
    return Map(kernel, pool.shape, stride, padding)


def squared(map: Map) -> Map | None:
    """The same map with a square kernel and symmetric padding, wider by zeros where need be.

    NIR has one padding for both sides of an axis, and its own check of shapes takes the height of a
    kernel for its width. None where no zeros make a kernel square.
    """
    map = _symmetric(_undilated(map) if _uneven(map) else map)
    if len(set(map.size)) <= 1:
        return map
    map = _undilated(map)
    for most in (max(map.size), max(map.size) + 1):
        parts = [_widened(map, axis, most) for axis in range(len(map.size))]
        made = [part for part in parts if part is not None]
        if len(made) == len(parts):
            widths, pads, strides = zip(*made, strict=True)
            kernel = np.pad(map.kernel, ((0, 0), (0, 0), *widths))
            return Map(kernel, map.shape, strides, pads)
    return None


def _uneven(map: Map) -> bool:
    return any(a != b for a, b in map.padding) and set(map.dilation) != {1}


def _undilated(map: Map) -> Map:
    """The map with the zeros between taps of a dilated kernel written out."""
    if set(map.dilation) == {1}:
        return map
    size = tuple(d * (k - 1) + 1 for d, k in zip(map.dilation, map.size, strict=True))
    kernel = np.zeros((*map.kernel.shape[:2], *size))
    taps = tuple(slice(None, None, d) for d in map.dilation)
    kernel[(slice(None), slice(None), *taps)] = map.kernel
    return Map(kernel, map.shape, map.stride, map.padding)


def _symmetric(given: Map) -> Map:
    """Padding of `(before, after)` as the larger of both, and zeros in the kernel for the rest."""
    most = [max(pair) for pair in given.padding]
    extra = [(m - a, m - b) for m, (a, b) in zip(most, given.padding, strict=True)]
    if not any(map(any, extra)):
        return given
    kernel: NDArray = np.pad(given.kernel, ((0, 0), (0, 0), *extra))
    return Map(kernel, given.shape, given.stride, tuple((m, m) for m in most))


def _widened(map: Map, axis: int, size: int) -> tuple[tuple[int, int], tuple[int, int], int] | None:
    """Zeros around a kernel, padding and stride for a kernel of `size` with the same outputs."""
    more, stride = size - map.size[axis], map.stride[axis]
    pad, n = map.padding[axis][0], map.shape[1 + axis]
    count = map.output_shape[1 + axis]
    if count == 1:
        stride = max(stride, n + 2 * pad + size)  # one window: the distance to the next is free
    for wider in (more // 2, more - more // 2):
        reach = n + 2 * (pad + wider) - size
        if reach >= 0 and reach // stride + 1 == count and more >= wider:
            return (wider, more - wider), (pad + wider, pad + wider), stride
    return None
