"""The place of a batch's samples in an ONNX value.

A graph leaves the batch out; an ONNX operator counts axes with it. Exporters move it about: a
transformer that works sequence-first has it on axis 1, attention merges it with the heads, a dense
layer over tokens with the sequence. So every signal carries a `Layout`, and readers count axes
through it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import Shape


@dataclass(frozen=True)
class Layout:
    """The batch is on full axis `axis`, or on none where the file fixes its size to one.

    In row-major order `outer` values of a sample come before the batch within that axis. Where the
    axis is `shared` it holds values of the sample beside the batch, and is an axis of the sample's
    shape; else it is the batch alone, and left out there.
    """

    axis: int | None = 0
    outer: int = 1
    shared: bool = False

    @property
    def merged(self) -> bool:
        """Whether the batch's axis holds values of the sample too."""
        return self.shared

    @property
    def one_beside(self) -> bool:
        """Whether the first axis counts samples and values of the sample."""
        return self.shared and self.axis == 0

    def rank(self, own: int) -> int:
        """Number of full axes of a value whose samples have `own` axes."""
        return own + (self.axis is not None and not self.shared)

    def moved(self, count: int) -> Layout:
        """The layout with as many more (or fewer) axes before the batch."""
        return self if self.axis is None else replace(self, axis=self.axis + count)

    def at(self, axis: int) -> Layout:
        """The layout with the batch on another full axis, if it is on one."""
        return self if self.axis is None else replace(self, axis=axis)

    def labels(self, full: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
        """Labels of a sample's axes, of those of the full axes."""
        if self.axis is None or self.shared:
            return full
        return (*full[: self.axis], *full[self.axis + 1 :])

    def full(self, sample: Shape, batch: int) -> Shape:
        """The full shape of a batch."""
        if self.axis is None:
            return sample
        if self.shared:
            return (*sample[: self.axis], sample[self.axis] * batch, *sample[self.axis + 1 :])
        return (*sample[: self.axis], batch, *sample[self.axis :])

    def before(self, sample: Shape) -> int:
        """The number of a sample's values before the batch axis, in row-major order."""
        return math.prod(sample[: self.axis or 0]) * self.outer

    def sample_axis(self, axis: int) -> int | None:
        """The axis of the sample that a full axis is, counted from the front; None: the batch."""
        if self.axis is None or axis < self.axis or self.shared:
            return axis
        return None if axis == self.axis else axis - 1

    def from_end(self, sample: Shape) -> tuple[int | None, int, bool]:
        """The layout with its axis counted from the end, as broadcasting aligns axes."""
        axis = None if self.axis is None else self.axis - self.rank(len(sample))
        return axis, self.outer, self.shared

    def samples_first(self, value: NDArray, batch: int) -> NDArray:
        """A full value as `(batch, *sample)`."""
        if self.axis is None:
            return value[None]
        if not self.shared:
            return np.moveaxis(value, self.axis, 0)
        inner = value.shape[self.axis] // (self.outer * batch)
        before, after = value.shape[: self.axis], value.shape[self.axis + 1 :]
        split = value.reshape(*before, self.outer, batch, inner, *after)
        moved = np.moveaxis(split, self.axis + 1, 0)
        return moved.reshape(batch, *before, self.outer * inner, *after)

    def batch_back(self, rows: NDArray) -> NDArray:
        """The full value of `(batch, *sample)`: the inverse of `samples_first`."""
        if self.axis is None:
            return rows[0]
        if not self.shared:
            return np.moveaxis(rows, 0, self.axis)
        batch, extent = len(rows), rows.shape[self.axis + 1]
        before, after = rows.shape[1 : self.axis + 1], rows.shape[self.axis + 2 :]
        split = rows.reshape(batch, *before, self.outer, extent // self.outer, *after)
        moved = np.moveaxis(split, 0, self.axis + 1)
        return moved.reshape(*before, batch * extent, *after)


BATCH_FIRST = Layout()
"""The batch alone on axis 0: the layout that most operators demand."""

UNBATCHED = Layout(None)
"""One sample without a batch axis, in a file that fixes the batch size to one."""


def find_layout(full: Shape, before: int, batch: int) -> tuple[Layout, Shape] | None:
    """Layout and sample shape of a full shape with `before` values of a sample before the batch.

    None where the batch does not lie within one axis, so that values of samples are mixed. A batch
    of one may lie anywhere; an axis of its own comes first, then the axis where it would lie.
    """
    passed = 1
    for axis, extent in enumerate(full):
        alone = extent == batch and passed == before
        if alone or before < passed * extent:
            if alone:
                return Layout(axis), (*full[:axis], *full[axis + 1 :])
            outer = before // passed
            if before % passed or extent % (outer * batch):
                break
            return Layout(axis, outer, True), (*full[:axis], extent // batch, *full[axis + 1 :])
        passed *= extent
    return (UNBATCHED, full) if batch == 1 else None
