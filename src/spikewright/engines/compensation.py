"""Sums over analog values that keep small terms beside large ones.

Weights lie on a grid relative to the largest of their channel, and inputs on one relative to the
largest of their sample (`engines/grid.py`). A sum over both alone would lose a small weight beside
a large one, however large the value is that it meets. So the parts that the two grids leave out
are added in float64, in a fixed order, wherever they matter:

    y = sum of limbs times weights on the grid
        + sum over the inputs' remainders, times weights on the grid
        + sum over the weights' residuals, times inputs

The residuals `w - grid(w)` of a channel are added where they exceed `.7 n 2^-b |w|`, and all of
the channel's where more than an eighth do. In samples where one value is so small that its
remainder may exceed `n 2^-(b + 2)` of it, those are added that may exceed `2^-(b + 2)` of their
value. So, for sums of `n` terms,

    |y - exact| <= n 2^-b (|w_1 x_1| + ... + |w_n x_n|)

with `b` = 24 in "float32" and 44 in "float64".

Counts of spikes are whole numbers, whose sums over weights on the grid are exact without it. All
other values may have any size, and so may the weights that they meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import (
    ANALOG_GRIDS,
    GRIDS,
    MAX_FAN_IN,
    Grid,
    Precision,
    channel_slices,
    weight_limbs,
)
from spikewright.network.transforms import AxisMap, Convolution, Dense, Transform

LAW_BITS: dict[Precision, int] = {"float32": 24, "float64": 44}
"""`b` of the bound above."""

_SHARE = 0.7  # of the bound, for residuals of weights that are left out
_MANY = 8  # where more than one in so many weights of a channel matters, all are added


class Residuals(NamedTuple):
    """The residuals of weights by channel; those of channel `i` are `starts[i]` to `starts[i + 1]`.

    `places` are the indices of terms in a sum, ascending (int32); `values` are float64.
    """

    starts: NDArray
    places: NDArray
    values: NDArray


@dataclass(frozen=True, eq=False)
class Compensation:
    """The corrections that are added to sums of limbs, for sums of `fan_in` analog terms.

    `weight` `(out, ...)` are a layer's weights as they are given. Terms are added in the order of
    the flat indices `order` into a channel's weights; None: as they are.
    """

    weight: NDArray
    precision: Precision
    fan_in: int
    order: NDArray | None = None

    @classmethod
    def of(cls, weight: NDArray, precision: Precision) -> Compensation:
        """The compensation of sums over all weights of a channel."""
        return cls(weight, precision, prod(weight.shape[1:]))

    @property
    def grid(self) -> Grid:
        """The grid of the weights."""
        return ANALOG_GRIDS[self.precision]

    @property
    def limits(self) -> tuple[float, float]:
        """Two limits of the size of values, in units of their sample's first limbs.

        In samples with a value below the first limit, the remainders of values below the second are
        added.
        """
        bits, count = self.grid.input_limbs(min(self.fan_in, MAX_FAN_IN))
        half = 0.5 * 2.0 ** (-bits * (count - 1))
        reach = half * 2.0 ** (LAW_BITS[self.precision] + 2)
        return float(reach / max(1, self.fan_in)), float(reach)

    @cached_property
    def residuals(self) -> Residuals:
        """The residuals of weights that are added."""
        found = list(self._residuals())
        counts = np.concatenate([[0], *(np.bincount(rows, minlength=n) for n, rows, _, _ in found)])
        return Residuals(
            np.cumsum(counts).astype(np.int64),
            np.concatenate([np.zeros(0, np.int32), *(places for _, _, places, _ in found)]),
            np.concatenate([np.zeros(0), *(values for _, _, _, values in found)]),
        )

    def residual_weights(self) -> NDArray:
        """The residuals that are added, in the shape of the weights, with zeros elsewhere."""
        starts, places, values = self.residuals
        found = np.zeros((len(self.weight), self.weight[:1].size))
        found[np.repeat(np.arange(len(found)), np.diff(starts)), places] = values
        return found.reshape(self.weight.shape)

    def _residuals(self) -> Iterator[tuple[int, NDArray, NDArray, NDArray]]:
        """Channels, and channel, place and value of each residual, some channels at a time."""
        least = _SHARE * self.fan_in * 2.0 ** -LAW_BITS[self.precision]
        flat = self.weight.reshape(len(self.weight), -1)
        for some in channel_slices(flat):
            weight = np.asarray(flat[some], np.float64)
            weight = weight if self.order is None else weight[:, self.order]
            residual = weight - sum(weight_limbs(weight, self.grid))
            matters = np.abs(residual) > least * np.abs(weight)
            every = _MANY * matters.sum(axis=1, keepdims=True) > self.fan_in
            rows, places = np.nonzero(np.where(every, residual != 0.0, matters))
            yield len(weight), rows, places.astype(np.int32), residual[rows, places]


def grid_of(precision: Precision, compensation: Compensation | None) -> Grid:
    """The grid of the weights of a sum, with or without a compensation."""
    return GRIDS[precision] if compensation is None else compensation.grid


def residuals_of(compensation: Compensation | None, channels: int) -> Residuals:
    """The residuals of a compensation; without one, no residuals for so many channels."""
    if compensation is not None:
        return compensation.residuals
    return Residuals(np.zeros(channels + 1, np.int64), np.zeros(0, np.int32), np.zeros(0))


def ordered_sum(x: NDArray, matrix: NDArray) -> NDArray:
    """`x @ matrix` for `(rows, n)` and `(n, out)`, one product after the other in float64."""
    total = np.zeros((len(x), matrix.shape[1]))
    for i in np.flatnonzero(x.any(axis=0)):
        total += x[:, i, None] * matrix[i]
    return total


def residual_sum(x: NDArray, residuals: Residuals, channels: slice) -> NDArray:
    """Sums over the residuals of some channels, `(rows, channels)`, for inputs `(rows, n)`."""
    starts = residuals.starts[channels.start : channels.stop + 1]
    counts = np.diff(starts)
    total = np.zeros((len(x), len(counts)))
    for k in range(int(counts.max(initial=0))):
        (some,) = np.nonzero(counts > k)
        at = starts[some] + k
        total[:, some] += x[:, residuals.places[at]] * residuals.values[at]
    return total


def weights_of(transform: Transform) -> NDArray | None:
    """The weights `(out, ...)` of a transform whose sums use limbs; None for other transforms."""
    if isinstance(transform, Dense | AxisMap):
        return transform.matrix
    return transform.kernel if isinstance(transform, Convolution) else None
