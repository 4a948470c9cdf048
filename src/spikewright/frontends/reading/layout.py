"""The place of a foreign value's batch axis among the axes of the graph's value."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BATCH = -1
"""Stands for the batch axis in a list of a value's axes."""


class Batch(Protocol):
    """The size of a batch in a foreign model."""

    def factor(self, size: Any) -> int:
        """The number `n` where a size is `n` times the batch's, else 0."""


@dataclass(frozen=True)
class Layout:
    """A graph's value has its batch axis in front; the program may have it elsewhere.

    In the program it comes after `before` of the value's own axes. With `outer` the last of those
    is merged with it, with `inner` the first one behind it: `(outer * batch * inner)` is then one
    axis of the program, as in `x.view(-1, channels)`.
    """

    before: int = 0
    outer: bool = False
    inner: bool = False

    @property
    def axis(self) -> int:
        """The program's axis that counts the samples."""
        return self.before - self.outer

    @property
    def merged(self) -> bool:
        """Whether that axis counts something else too."""
        return self.outer or self.inner

    @property
    def one_beside(self) -> bool:
        """Whether that axis counts samples and the value's first own axis, and nothing else."""
        return self.merged and not (self.outer and self.inner) and self.before == self.outer

    def rank(self, own: int) -> int:
        """Number of axes in the program of a value with `own` axes of its own."""
        return own + 1 - self.outer - self.inner

    def own_axis(self, axis: int) -> int:
        """The value's own axis that an axis of the program (counted from the front) is."""
        return axis if axis < self.axis else axis - 1 + self.outer + self.inner

    def groups(self, own: int) -> list[list[int]]:
        """The own axes in every axis of the program, `BATCH` among them."""
        last = self.before + self.inner
        return [
            *([axis] for axis in range(self.axis)),
            [*range(self.axis, self.before), BATCH, *range(self.before, last)],
            *([axis] for axis in range(last, own)),
        ]

    def moved(self, count: int) -> Layout:
        """The layout with as many more (or fewer) axes in front of the batch."""
        return Layout(self.before + count, self.outer, self.inner)

    def at(self, axis: int) -> Layout:
        """The layout with the batch on another axis of the program."""
        return Layout(axis + self.outer, self.outer, self.inner)

    def labels(self, program: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
        """Labels of the own axes, of those of the program's axes."""
        axis, merged = self.axis, ["outer"] * self.outer + ["inner"] * self.inner
        own = ((program[axis], side) for side in merged)
        return (*program[:axis], *own, *program[axis + 1 :])

    def batch_first(self, array: NDArray, shape: Sequence[int]) -> NDArray:
        """The program's array as `(batch, *shape)`."""
        apart = array.reshape(*shape[: self.before], -1, *shape[self.before :])
        return np.moveaxis(apart, self.before, 0)


BATCH_FIRST = Layout()
"""The layout of almost every value: samples first, and apart."""

JOINED = Layout(1, outer=True)
"""Several batches one after the other, as `torch.cat([x, y])` makes them."""


def of_groups(groups: Sequence[Sequence[int]]) -> Layout:
    """The layout whose axes come in these groups; the own axes are counted in this order."""
    position = next(index for index, group in enumerate(groups) if BATCH in group)
    group = groups[position]
    outer = group.index(BATCH)
    return Layout(sum(map(len, groups[:position])) + outer, outer > 0, outer + 1 < len(group))


def regroup(
    shape: Sequence[int], layout: Layout, sizes: Sequence[Any], batch: Batch
) -> tuple[tuple[int, ...], Layout] | None:
    """Unbatched shape and layout of a value viewed as a tensor of `sizes`, in row-major order.

    None where samples would not stay apart in one axis of it.
    """
    total, ahead = math.prod(shape), math.prod(shape[: layout.before])
    found = []
    for axis, size in enumerate(sizes):
        front, rest, factor = sizes[:axis], sizes[axis + 1 :], batch.factor(size)
        if not factor or not all(isinstance(n, int) for n in (*front, *rest)):
            continue
        outer, left = divmod(ahead, math.prod(front)) if math.prod(front) else (0, 1)
        if left or not outer or factor % outer or math.prod((*front, factor, *rest)) != total:
            continue
        inner = factor // outer
        own = (*front, *[n for n in (outer, inner) if n != 1], *rest)
        new = Layout(axis + (outer != 1), outer != 1, inner != 1)
        found.append((new.merged, axis != layout.axis, axis, own, new))
    if not found:
        return None
    *_, own, new = min(found, key=lambda one: one[:3])  # several only where a batch is one sample
    return own, new


def fits(shape: Sequence[int], layout: Layout, sizes: Sequence[Any], batch: Batch) -> bool:
    """Whether a value of this shape and layout is a tensor of these sizes in the program."""
    groups = layout.groups(len(shape))
    return len(groups) == len(sizes) and all(
        (batch.factor(size) if BATCH in group else size)
        == math.prod(shape[axis] for axis in group if axis != BATCH)
        for group, size in zip(groups, sizes, strict=True)
    )
