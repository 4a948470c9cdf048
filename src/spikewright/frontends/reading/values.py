"""The values of a foreign model while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.layout import BATCH_FIRST, Layout
from spikewright.frontends.reading.refusal import Unknown, Unreadable
from spikewright.graph.layers import Shape


@dataclass(frozen=True)
class Value:
    """A value that depends on the input: the graph's node that holds it, and its unbatched shape.

    `name` is None where an earlier layer could not be read; the shape is then that which the
    foreign model declares. `layout` says whether the foreign value has a batch axis of extent one.
    `whole` is not 0 where the foreign value holds whole numbers, and `truth` says that it holds
    truth values, which are ones and zeros here. `masked` is True where the foreign value is minus
    infinity, which only a softmax can take; the node's value there is finite. It broadcasts against
    the shape. Where that depends on the data, `seen` holds truth values of the same shape: where
    they do not hold, the foreign value is minus infinity, or nearly.
    """

    name: str | None
    shape: Shape
    layout: Layout = BATCH_FIRST
    whole: int = 0
    truth: bool = False
    masked: NDArray | None = field(default=None, compare=False)
    seen: Value | None = field(default=None, compare=False)

    @property
    def rank(self) -> int:
        """Number of axes in the foreign model, its batch axis included."""
        return self.layout.rank(len(self.shape))

    def becomes(self, name: str | None, shape: Shape) -> Value:
        """What an operation makes of it: real and finite numbers, the batch in the same place."""
        return replace(self, name=name, shape=shape, whole=0, truth=False, masked=None, seen=None)


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


def alike(first: NDArray, second: NDArray) -> bool:
    """Whether arrays that broadcast differ by no more than sums in another order do."""
    if first.dtype.kind != "f":
        return bool((first == second).all())
    finite = np.abs(first[np.isfinite(first)])
    rounding = 64 * np.finfo(first.dtype).eps * finite.max(initial=0)
    return np.allclose(first, second, rtol=0, atol=rounding, equal_nan=True)
