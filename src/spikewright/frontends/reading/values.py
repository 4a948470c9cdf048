"""The values of a foreign model while it is read, their layout, and the ways to give one up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from spikewright._base.budget import MORE_BYTES, MORE_NODES, current
from spikewright.graph.layers import Shape


class Unreadable(Exception):
    """Raised by a reader: the reason why this layer cannot be read, and the user's options."""

    def __init__(self, reason: str, options: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.options = options


class Unknown(Exception):
    """Raised where a layer reads what was refused already: there is nothing to add to that."""


class Layout(Enum):
    """Whether a foreign value of one sample has a first axis of extent one that the graph's lacks.

    Models are read at a batch of one, at which no axis of extent one can mix anything: an axis of
    samples that is merged with another, `x.view(-1, channels)`, is that other axis.
    """

    BATCH_FIRST = True
    UNBATCHED = False

    @property
    def axis(self) -> int | None:
        """The foreign axis that the graph's value lacks, if there is one."""
        return 0 if self.value else None

    def rank(self, own: int) -> int:
        """Number of foreign axes of a value with `own` axes in the graph."""
        return own + self.value

    def own_axis(self, axis: int) -> int:
        """The graph's axis that another foreign axis (counted from the front) is."""
        return axis - self.value

    def full(self, shape: Shape) -> Shape:
        """The foreign shape of a value that has this shape in the graph."""
        return (1, *shape) if self.value else tuple(shape)


BATCH_FIRST = Layout.BATCH_FIRST
"""The layout of almost every value."""

UNBATCHED = Layout.UNBATCHED
"""The layout of a value whose first axis is longer, as of several windows of one sample."""


def sample_shape(full: Sequence[int]) -> Shape:
    """The graph's shape of a foreign value of one sample: without a first axis of extent one."""
    return tuple(full[1:]) if layout_of(full) is BATCH_FIRST else tuple(full)


def layout_of(full: Sequence[int]) -> Layout:
    """The layout of a foreign value of this shape."""
    return BATCH_FIRST if full and full[0] == 1 else UNBATCHED


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


def afford(values: float, itemsize: int = 8) -> None:
    """Count so many numbers; raises `Unreadable` where the file's budget has no room for them.

    Nothing is counted while a live model is read: its user made it.
    """
    budget = current()
    if budget is None:
        return
    if reason := budget.spend(int(min(values, 2.0**100)) * itemsize):
        raise Unreadable(f"it makes {int(values)} values, which take {reason}", MORE_BYTES)


def afford_nodes(count: int, what: str) -> None:
    """Count so many nodes of `what`; raises `Unreadable` where the budget has no room for them."""
    budget = current()
    if budget is not None and (reason := budget.spend_nodes(count)):
        raise Unreadable(f"{what}: {reason}", MORE_NODES)
