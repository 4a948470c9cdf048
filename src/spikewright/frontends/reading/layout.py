"""The place of a foreign value's batch axis among the axes of the graph's value."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

BATCH = -1
"""Stands for the batch axis in a list of a value's axes."""


@dataclass(frozen=True)
class Layout:
    """A graph's value has its batch axis in front; the foreign value may have it elsewhere.

    There it comes after `before` of the value's own axes, or is none where that is None: a value of
    one sample. With `outer` the last of those is merged with it, with `inner` the first one behind
    it: `(outer * batch * inner)` is then one foreign axis, as in `x.view(-1, channels)`.
    """

    before: int | None = 0
    outer: bool = False
    inner: bool = False

    @property
    def axis(self) -> int | None:
        """The foreign axis that counts the samples, if there is one."""
        return None if self.before is None else self.before - self.outer

    @property
    def merged(self) -> bool:
        """Whether that axis counts something else too."""
        return self.outer or self.inner

    @property
    def one_beside(self) -> bool:
        """Whether that axis counts samples and the value's first own axis, and nothing else."""
        return self.merged and not (self.outer and self.inner) and self.before == self.outer

    def rank(self, own: int) -> int:
        """Number of foreign axes of a value with `own` axes of its own."""
        return len(self.groups(own))

    def own_axis(self, axis: int) -> int:
        """The value's own axis that another foreign axis (counted from the front) is."""
        if self.axis is None or axis < self.axis:
            return axis
        return axis - 1 + self.outer + self.inner

    def groups(self, own: int) -> list[list[int]]:
        """The own axes in every foreign axis, `BATCH` among them."""
        if self.before is None:
            return [[axis] for axis in range(own)]
        first, last = self.before - self.outer, self.before + self.inner
        return [
            *([axis] for axis in range(first)),
            [*range(first, self.before), BATCH, *range(self.before, last)],
            *([axis] for axis in range(last, own)),
        ]

    def beside(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Extents of the own axes that are merged with the batch."""
        if self.before is None:
            return ()
        return tuple(shape[self.before - self.outer : self.before + self.inner])

    def moved(self, count: int) -> Layout:
        """The layout with as many more (or fewer) axes in front of the batch."""
        return self if self.before is None else replace(self, before=self.before + count)

    def full(self, shape: Sequence[int], batch: int) -> tuple[int, ...]:
        """The foreign shape of a batch of values of this unbatched shape."""
        extents = {BATCH: batch, **dict(enumerate(shape))}
        groups = self.groups(len(shape))
        return tuple(math.prod(extents[axis] for axis in group) for group in groups)

    def at(self, axis: int) -> Layout:
        """The layout with the batch on another foreign axis, if it is on one."""
        return self if self.before is None else replace(self, before=axis + self.outer)

    def labels(self, foreign: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
        """Labels of the own axes, of those of the foreign axes."""
        if self.axis is None:
            return foreign
        axis, merged = self.axis, ["outer"] * self.outer + ["inner"] * self.inner
        own = ((foreign[axis], side) for side in merged)
        return (*foreign[:axis], *own, *foreign[axis + 1 :])

    def batch_first(self, array: NDArray, shape: Sequence[int]) -> NDArray:
        """The foreign array as `(batch, *shape)`."""
        if self.before is None:
            return array[None]
        apart = array.reshape(*shape[: self.before], -1, *shape[self.before :])
        return np.moveaxis(apart, self.before, 0)

    def batch_back(self, rows: NDArray) -> NDArray:
        """The foreign array of `(batch, *shape)`: the inverse of `batch_first`."""
        full = self.full(rows.shape[1:], len(rows))
        return np.moveaxis(rows, 0, self.before or 0).reshape(full)


BATCH_FIRST = Layout()
"""The layout of almost every value: samples first, and apart."""

UNBATCHED = Layout(None)
"""The layout of one sample without a batch axis, in a file that fixes the batch size to one."""


def apart(layouts: Iterable[Layout]) -> bool:
    """Whether samples stand on different axes of values, so that no layer can read them all.

    Values of one sample go together whether or not their batch of one is an axis.
    """
    found = set(layouts)
    return len(found) > 1 and not found <= {BATCH_FIRST, UNBATCHED}


def of_groups(groups: Sequence[Sequence[int]]) -> Layout:
    """The layout whose axes come in these groups; the own axes are counted in this order."""
    position = next((index for index, group in enumerate(groups) if BATCH in group), None)
    if position is None:
        return UNBATCHED
    group = groups[position]
    outer = group.index(BATCH)
    return Layout(sum(map(len, groups[:position])) + outer, outer > 0, outer + 1 < len(group))


def find_layout(
    full: Sequence[int], before: int, batch: int
) -> tuple[Layout, tuple[int, ...]] | None:
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
            own = [n for n in (outer, extent // (outer * batch)) if n != 1]
            layout = Layout(axis + (outer != 1), outer != 1, extent != outer * batch)
            return layout, (*full[:axis], *own, *full[axis + 1 :])
        passed *= extent
    return (UNBATCHED, tuple(full)) if batch == 1 else None
