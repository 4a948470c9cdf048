"""Orders in which signals are stored, and shapes as the kernels take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.network.transforms import Permute, Shape

Order = NDArray | None
"""Position k of a stored signal holds element `order[k]` of the flattened one; None: k itself."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The buffer of a signal of the region, and the order of its elements there."""

    buffer: int
    order: Order


def channels_last_order(shape: Shape, last: bool) -> Order:
    """The order in which a signal with channels is stored."""
    if last or len(shape) < 2:
        return None
    return normal(np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), 0, -1).ravel())


def grouped_order(shape: Shape, last: bool, pieces: int) -> Order:
    """The order in which parts of the channels lie one after the other, channels last in each."""
    size = int(np.prod(shape))
    order = channels_last_order(shape, last)
    flat = np.arange(size) if order is None else order
    channels = shape[-1] if last or len(shape) < 2 else shape[0]
    return normal(flat.reshape(-1, pieces, channels // pieces).swapaxes(0, 1).ravel())


def normal(order: NDArray) -> Order:
    """None for the order of the signal itself."""
    return None if np.array_equal(order, np.arange(len(order))) else order


def same(a: Order, b: Order) -> bool:
    """Whether two orders are one."""
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))


def positions(order: Order, size: int) -> NDArray:
    """The stored position of each element of a signal."""
    result = np.arange(size)
    if order is not None:
        result[order] = np.arange(size)
    return result


def as_index(index: Order) -> NDArray:
    """An order as the kernels take it: empty for None."""
    return np.empty(0, np.int32) if index is None else np.ascontiguousarray(index, np.int32)


def moved(transform: Permute, shape: Shape) -> NDArray:
    """The index of the input's element for each element of the output."""
    return np.arange(int(np.prod(shape))).reshape(shape).transpose(transform.axes).ravel()


def plane(numbers: Any, missing: int) -> list[int]:
    """One or two numbers as (y, x)."""
    values = [int(n) for n in numbers]
    return [missing] * (2 - len(values)) + values
