"""Windows as every reader of NIR takes them: square, with equal zeros on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.exchange.nir.maps import Map


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
