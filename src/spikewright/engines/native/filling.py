"""Weights of layers in the kernels' form, made late; their sizes are known at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import grid_bytes
from spikewright.engines.native._kernels import Action, Geometry, Region
from spikewright.engines.native.lanes import (
    budget_bytes,
    budgets,
    depthwise_budgets,
    lane_widths,
)

Weights = Callable[[], tuple[NDArray, NDArray]]
"""Makes a layer's weights: integers `(out, taps, channels)`, and each output's unit `(out,)`."""


@dataclass(frozen=True, eq=False)
class Filling:
    """A layer's weights, which are made and handed over before its first run."""

    label: str
    number: int
    action: Action
    geometry: Geometry
    weights: Weights
    factor: float

    @property
    def _rows(self) -> int:
        channels = {Action.depthwise: 1, Action.signed_layer: 2 * self.geometry.channels}
        return self.geometry.taps * channels.get(self.action, self.geometry.channels)

    @property
    def bytes(self) -> int:
        """Bytes that the kernels hold, outputs padded to whole vectors."""
        return 4 * self._rows * sum(lane_widths(self.geometry.out_channels, self._rows))

    @property
    def making(self) -> int:
        """Temporary bytes while they are made: integers twice, and their limits."""
        out = self.geometry.out_channels
        integers = 8 * self._rows * out + grid_bytes(self._rows * out)
        return integers + budget_bytes(self._rows, out)

    def fill(self, kernels: Region) -> None:
        """Make the weights and hand them over."""
        integers, steps = self.weights()
        limits = _limits(self.action, integers)
        rows = _rows(self.action, integers)
        del integers
        widths = lane_widths(rows.shape[1], len(rows))
        scale = steps * self.factor
        kernels.fill(self.number, weights=rows, widths=widths, scale=scale, budgets=limits)


def _rows(action: Action, integers: NDArray) -> NDArray:
    """Weights `(out, taps, channels)` as rows of `(out,)`."""
    out = len(integers)
    rows = np.moveaxis(integers, 0, -1)
    if action is Action.signed_layer:  # of what is above zero, then of what is below
        rows = np.concatenate([rows, -rows], axis=1)
    return rows.reshape(-1, out)


def _limits(action: Action, integers: NDArray) -> list[int]:
    """Numbers of events whose sums fit 32 bits; a signed one may add or subtract its weight."""
    rows = integers.reshape(len(integers), -1).T
    if action is Action.depthwise:
        return depthwise_budgets(rows)
    return budgets(rows, both=action is Action.signed_layer)
