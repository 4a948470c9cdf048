"""The values of a foreign model while it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.layout import BATCH_FIRST
from spikewright.frontends.reading.refusal import Unknown, Unreadable
from spikewright.graph.layers import Shape


@dataclass(frozen=True)
class Value:
    """A value that depends on the input: the graph's node that holds it, and its unbatched shape.

    `name` is None where an earlier layer could not be read; the shape is then that which the
    foreign model declares. `layout` says where the foreign value has the batch axis. `whole` is
    not 0 where the foreign value holds whole numbers, and `truth` says that it holds truth values,
    which are ones and zeros here. `masked` is True where the foreign value is
    minus infinity, which only a softmax can take; the node's value there is finite. It broadcasts
    against the shape. Where that depends on the data, `seen` holds truth values of the same shape:
    where they do not hold, the foreign value is minus infinity, or nearly.
    """

    name: str | None
    shape: Shape
    layout: Any = BATCH_FIRST
    whole: int = 0
    truth: bool = False
    masked: NDArray | None = field(default=None, compare=False)
    seen: Value | None = field(default=None, compare=False)

    @property
    def rank(self) -> int:
        """Number of axes in the foreign model, its batch axis included."""
        return int(self.layout.rank(len(self.shape)))

    def becomes(self, name: str | None, shape: Shape) -> Value:
        """What an operation makes of it: real and finite numbers, the batch in the same place."""
        return replace(self, name=name, shape=shape, whole=0, truth=False, masked=None, seen=None)

    @property
    def merged(self) -> bool:
        """Whether the batch axis is one axis with another in the foreign model."""
        return bool(self.layout.merged)


Operand = Value | NDArray
"""A value, or a constant that broadcasts against a sample."""


def finite(value: Value) -> Value:
    """The value; refuses one that is minus infinity in places."""
    if value.masked is not None:
        raise Unreadable(
            "it reads values that are minus infinity, which only a softmax can take",
            "Apply the mask right before the softmax.",
        )
    return value


def common_shape(*operands: Operand) -> Shape:
    """The shape that all broadcast to; raises `Unreadable` where there is none."""
    shapes = [operand.shape for operand in operands]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        if any(isinstance(operand, Value) and operand.name is None for operand in operands):
            raise Unknown from None  # the shapes are stand-ins
        raise Unreadable(f"its inputs of shapes {shapes} do not broadcast") from None


def without_batch(constant: NDArray, axis: int, value: Value, batch: int | None = None) -> NDArray:
    """A constant without its axis that belongs to the batch, which says the same of all.

    `axis` is the constant's axis that stands beside the batch axis of the value.
    """
    layout, beside = value.layout, value.layout.beside(value.shape)
    front, extent, rest = constant.shape[:axis], constant.shape[axis], constant.shape[axis + 1 :]
    if extent == 1:
        return constant.reshape((*front, *(1,) * len(beside), *rest))
    samples, left = divmod(extent, math.prod(beside))
    if left or batch not in (None, samples):
        raise Unreadable(f"its constant of shape {constant.shape} does not fit the batch")
    apart = (*front, *beside[: layout.outer], samples, *beside[layout.outer :], *rest)
    found = np.moveaxis(constant.reshape(apart), axis + layout.outer, 0)
    if not alike(found, found[:1]):
        raise Unreadable(
            f"its constant of shape {constant.shape} differs from sample to sample",
            "Use one without a batch axis: samples cannot be mixed in a spiking network.",
        )
    return np.ascontiguousarray(found[0])


def alike(first: NDArray, second: NDArray) -> bool:
    """Whether arrays that broadcast differ by no more than sums in another order do."""
    if first.dtype.kind != "f":
        return bool((first == second).all())
    finite = np.abs(first[np.isfinite(first)])
    rounding = 64 * np.finfo(first.dtype).eps * finite.max(initial=0)
    return np.allclose(first, second, rtol=0, atol=rounding, equal_nan=True)
