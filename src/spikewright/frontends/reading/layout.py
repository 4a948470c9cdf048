"""The batch axis of extent one, which foreign values of one sample have and the graph's lack."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from spikewright.graph.layers import Shape


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
