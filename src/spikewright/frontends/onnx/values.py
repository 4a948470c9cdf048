"""The values of an ONNX model while it is read: signals, constants and missing ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading import values
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.graph.layers import Shape


@dataclass(frozen=True)
class Signal(values.Value):
    """A value that depends on the data, as readers see it; full axes count the batch.

    One that is not `comparable` differs from the ONNX value by design: an infinity that a mask adds
    is a large finite number here. `whole` is the element type of whole numbers, on which some
    operators do otherwise than on real ones, else 0.
    """

    comparable: bool = True

    @property
    def node(self) -> str:
        """The name of the graph's node, which is known."""
        return str(self.name)

    def full(self, batch: int) -> Shape:
        """The shape with the batch, as ONNX has it."""
        return tuple(self.layout.full(self.shape, batch))

    def is_batch(self, axis: int) -> bool:
        """Whether a full axis holds the batch, alone or with values of the sample."""
        return self.layout.axis is not None and axis % max(self.rank, 1) == self.layout.axis

    def full_axis(self, axis: int) -> int:
        """A full axis counted from the front; raises `Unreadable` where there is none."""
        if not -self.rank <= axis < self.rank:
            raise Unreadable(f"its axis {axis} does not exist in {self.rank} axes")
        return axis % self.rank

    def axis(self, axis: int) -> int:
        """The sample's axis that a full axis is; raises `Unreadable` for the batch's."""
        full = self.full_axis(axis)
        if self.is_batch(full):
            raise Unreadable(
                f"its axis {axis} is the batch: samples would influence each other",
                "Only the other axes can be read",
            )
        return int(self.layout.own_axis(full))

    def axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """The same for several axes, in order, each once."""
        return tuple(sorted({self.axis(axis) for axis in axes}))

    def every_axis(self) -> tuple[int, ...]:
        """All full axes."""
        return tuple(range(self.rank))


@dataclass(frozen=True)
class Constant:
    """A value that does not depend on the data; one array for each batch size tried.

    Where the arrays are one object the value does not depend on the batch size either.
    """

    worlds: tuple[NDArray, ...]


@dataclass(frozen=True)
class Missing:
    """A value that no graph node holds; `why` is empty where a refusal has said it already."""

    why: str = ""


@dataclass(frozen=True)
class Label(Missing):
    """The class of the largest score, which models end in: outputs before it cut it off."""

    why: str = "it is the label of the largest score, which jumps where two are equal"


@dataclass(frozen=True)
class Truth(Missing):
    """Truth values computed from the data: a graph node of ones and zeros.

    Only operators on truth values, Cast and Where read it. `above` is the signal and the threshold
    where it is `signal > threshold`.
    """

    why: str = "it reads truth values, which are no real numbers"
    signal: Signal = Signal("", ())
    above: tuple[str, float] | None = None


Value = Signal | Constant | Missing


def same(a: NDArray, b: NDArray) -> bool:
    """Whether two arrays hold the same values, NaN included: those are reported with the graph."""
    if a is b:
        return True
    floating = np.issubdtype(a.dtype, np.inexact)
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=floating))
