"""The values of an ONNX model while it is read: signals, constants and missing ones."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from spikewright.frontends.reading import values
from spikewright.frontends.reading.layout import BATCH_FIRST
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.graph.layers import Shape


@dataclass(frozen=True)
class Signal(values.Value):
    """A value that depends on the data, as readers see it.

    The graph's value has the full axes of ONNX's for one sample, without the leading one where
    that is the batch. One that is not `comparable` differs from the ONNX value by design: an
    infinity that a mask adds is a large finite number here. `whole` is the element type of whole
    numbers, on which some operators do otherwise than on real ones, else 0.
    """

    comparable: bool = True

    @property
    def node(self) -> str:
        """The name of the graph's node, which is known."""
        return str(self.name)

    @property
    def full(self) -> Shape:
        """The shape that ONNX has for one sample."""
        return self.layout.full(self.shape)

    def is_batch(self, axis: int) -> bool:
        """Whether a full axis is the one that the graph leaves out."""
        return self.layout == BATCH_FIRST and axis % max(self.rank, 1) == 0

    def full_axis(self, axis: int) -> int:
        """A full axis counted from the front; raises `Unreadable` where there is none."""
        if not -self.rank <= axis < self.rank:
            raise Unreadable(f"its axis {axis} does not exist in {self.rank} axes")
        return axis % self.rank

    def axis(self, axis: int) -> int:
        """The graph's axis that a full axis is; raises `Unreadable` for the batch's."""
        full = self.full_axis(axis)
        if self.is_batch(full):
            raise Unreadable(
                f"its axis {axis} is the batch: samples would influence each other",
                "Only the other axes can be read",
            )
        return full - (self.layout == BATCH_FIRST)

    def axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """The same for several axes, in order, each once."""
        return tuple(sorted({self.axis(axis) for axis in axes}))

    def every_axis(self) -> tuple[int, ...]:
        """All full axes."""
        return tuple(range(self.rank))


@dataclass(frozen=True)
class Constant:
    """A value that does not depend on the data."""

    array: NDArray


@dataclass(frozen=True)
class Missing:
    """A value that no graph node holds; `why` is empty where a refusal has said it already."""

    why: str = ""


@dataclass(frozen=True)
class Label(Missing):
    """The class of the largest score, which models end in: outputs before it cut it off."""

    why: str = "it is the label of the largest score, which jumps where two are equal"


Value = Signal | Constant | Missing
