"""The order in which a signal's elements are stored, and the geometry of windows for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen
from spikewright._base.windows import Windows, split_shape
from spikewright.engines.native._kernels import Geometry
from spikewright.engines.operators import Apply, Linear, Operator
from spikewright.network import MaxPool
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Permute,
    Place,
    Reshape,
    Shape,
    Slice,
    SumPool,
    Take,
)

Order = NDArray | None
"""Position `k` of a stored signal holds element `order[k]` of the flat signal; None: `k`."""


@dataclass(frozen=True, eq=False)
class StoredSignal:
    """The buffer of a signal of the region, and the order of its elements there."""

    buffer: int
    order: Order


def every(size: int) -> NDArray:
    """The indices of all elements, in the kernels' integer type."""
    return np.arange(size, dtype=np.int32)


def channels_last_order(shape: Shape, last: bool) -> Order:
    """The order that stores channels last; signals of one shape share the array."""
    if last or len(shape) < 2 or shape[0] == 1 or np.prod(shape[1:]) == 1:
        return None
    order = _channels_last.get(shape)
    if order is None:
        order = np.moveaxis(every(int(np.prod(shape))).reshape(shape), 0, -1).ravel()
        _channels_last[shape] = frozen(order)
    return order


_channels_last: WeakValueDictionary[Shape, NDArray] = WeakValueDictionary()


def grouped_order(shape: Shape, last: bool, pieces: int) -> Order:
    """The order that stores parts of the channels one after the other, channels last in each."""
    size = int(np.prod(shape))
    order = channels_last_order(shape, last)
    flat = every(size) if order is None else order
    channels = shape[-1] if last or len(shape) < 2 else shape[0]
    return normal(flat.reshape(-1, pieces, channels // pieces).swapaxes(0, 1).ravel())


def normal(order: NDArray) -> Order:
    """An order; None if it is that of the signal itself."""
    return None if np.array_equal(order, every(len(order))) else order


def same(a: Order, b: Order) -> bool:
    """Whether two orders are equal."""
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def positions(order: Order, size: int) -> NDArray:
    """The stored position of each element of a signal."""
    result = every(size)
    if order is not None:
        result[order] = every(size)
    return result


def moved(transform: Permute, shape: Shape) -> NDArray:
    """The index of the input's element for each element of the output."""
    return every(int(np.prod(shape))).reshape(shape).transpose(transform.axes).ravel()


def unpacked(values: NDArray, order: Order, shape: Shape) -> NDArray:
    """Stored values `(batch, size)` as `(batch, *shape)`; they are reordered in place."""
    if order is not None:
        for sample in values:
            sample[order] = sample.copy()
    return values.reshape(len(values), *shape)


def preferred_orders(operators: Sequence[Operator], shapes: Sequence[Shape]) -> dict[int, Order]:
    """The order that the readers of each signal prefer, found from the last operator back."""
    wanted: dict[int, Order] = {}
    for op in reversed(operators):
        below = wanted.get(op.output)
        for signal in op.inputs:
            wanted[signal] = _preferred(op, shapes[signal], below)
    return wanted


def _preferred(op: Operator, shape: Shape, below: Order) -> Order:
    """The order in which an operator prefers to read, if its readers prefer `below`."""
    if isinstance(op, Apply):  # others than maxima read their input as it is
        pool = op.node.output
        return channels_last_order(shape, pool.channels_last) if isinstance(pool, MaxPool) else None
    transform = op.transform if isinstance(op, Linear) else None
    if transform is None or isinstance(transform, Reshape):
        return below
    if isinstance(transform, Convolution | SumPool):
        return channels_last_order(shape, transform.channels_last)
    if isinstance(transform, Permute):
        source = moved(transform, shape)
        return normal(source if below is None else source[below])
    if isinstance(transform, AxisMap) and transform.axis > 0:
        behind = transform.axis == len(shape) - 1 or below is not None
        return channels_last_order(shape, False) if behind else None
    if isinstance(transform, Slice | Take | Place) and below is not None:
        return channels_last_order(shape, False)
    return None


def geometry_of(
    windows: Windows,
    last: bool,
    shapes: tuple[Shape, Shape],
    channels: tuple[int, int] | None = None,
) -> Geometry:
    """The geometry of windows from one shape to another; `channels`: those computed at once."""
    (spatial, inner), (extent, outer) = (split_shape(shape, last) for shape in shapes)
    inner, outer = channels or (inner, outer)
    return Geometry(
        input=[*_plane(spatial, 1), inner],
        output=[*_plane(extent, 1), outer],
        kernel=_plane(windows.size, 1),
        stride=_plane(windows.stride, 1),
        padding=_plane([before for before, _ in windows.padding], 0),
        dilation=_plane(windows.dilation, 1),
    )


def _plane(numbers: Any, missing: int) -> list[int]:
    """One or two numbers as (y, x)."""
    values = [int(n) for n in numbers]
    return [missing] * (2 - len(values)) + values
