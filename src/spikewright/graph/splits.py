"""Channels that become several channels each, which share the value of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of neurons that a layer's channels become, `(channels,)`, on an unbatched axis."""

    copies: NDArray
    axis: int

    @property
    def channels(self) -> NDArray:
        """The channel that each of the new ones is a copy of."""
        return np.repeat(np.arange(len(self.copies)), self.copies)

    @property
    def shares(self) -> NDArray:
        """The share of each of the new channels in the value of the old one."""
        return 1.0 / self.copies[self.channels]

    @property
    def turns(self) -> NDArray:
        """The number of each of the new channels among the copies of one, from 0."""
        return np.concatenate([np.arange(count) for count in self.copies])

    @property
    def apart(self) -> NDArray:
        """Starts of the new channels less that of the old one, in spikes; their mean is 0.

        `(i + 1/2) / m - 1/2` for copy i of m.
        """
        return (self.turns + 0.5) * self.shares - 0.5

    @property
    def text(self) -> str:
        """The change of the channels, in words."""
        more = self.copies[self.copies > 1]
        return f"{len(more)} of {len(self.copies)} channels became {int(more.sum())}"

    def along(self, values: NDArray, rank: int) -> NDArray:
        """One value for each new channel, shaped to broadcast against values of this rank."""
        return values.reshape(-1, *(1,) * (rank - 1 - self.axis))

    def mean(self, values: NDArray) -> NDArray:
        """The means of all copies, of values `(batch, *shape)`: one for each old channel."""
        sums = np.add.reduceat(values, np.flatnonzero(self.turns == 0), self.axis + 1)
        found: NDArray = sums / self.along(self.copies, values.ndim - 1)
        return found
