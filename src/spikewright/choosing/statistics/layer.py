"""Calibration statistics of one layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.channels import channel_size, spread
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.graph.layers import Shape

Per = Literal["layer", "channel"]
Sharing = Literal["auto", "layer", "channel"]
"""The unit of one threshold, a layer or a channel; "auto": a channel where `is_wide`."""

_NARROW = 1.0 / 8  # of a layer's largest value: below, few steps send nothing under one threshold
_SHARE = 0.2  # of the channels that send something


@dataclass(frozen=True)
class LayerStatistics:
    """The values of one layer with neurons.

    `shape` is that of the layer without batch axis, `axis` the one its channels lie on (None for a
    single number). `evaluated` is how often all of its neurons were looked at, 0 where that is not
    known; of channels that are padding some values are missing. `values` has, channel by channel,
    the input currents where the layer is a ReLU (`rectifies`), whose outputs follow from them, and
    the outputs of any other layer.

    `least` is the limit that values of each channel have to exceed to be more than rounding errors,
    where that was measured: smaller ones are 0 in `values`. `rounded` says whether some channel has
    no others.
    """

    shape: Shape
    axis: int | None
    rectifies: bool
    values: Histogram
    evaluated: int = 0
    least: NDArray | None = field(default=None, compare=False)
    rounded: bool = field(default=False, compare=False)

    def above(self, least: NDArray) -> LayerStatistics:
        """The same with 0 in the place of values that are smaller than this, channel by channel."""
        made = replace(self, values=self.values.without(least), least=least)
        lost = (made.magnitudes.highest == 0) & (self.magnitudes.highest > 0)
        return replace(made, rounded=bool(np.any(lost)))

    @cached_property
    def sent(self) -> Histogram:
        """The values that the layer sends, channel by channel."""
        values = self.values.filled()
        return values.rectified() if self.rectifies else values

    @cached_property
    def magnitudes(self) -> Histogram:
        """The magnitudes of the values that it sends, channel by channel: its spikes carry them."""
        return self.sent.magnitudes()

    @cached_property
    def largest(self) -> NDArray:
        """The largest magnitudes of the channels that send something, the smallest first."""
        highest = self.magnitudes.highest
        return np.sort(highest[highest > 0]).astype(float)

    @cached_property
    def is_wide(self) -> bool:
        """True where ranges of channels differ so much that one threshold cannot serve them all.

        That is where of the channels that send something a fifth have largest values below an
        eighth of the layer's.
        """
        found = self.largest
        return len(found) > 0 and float(np.mean(found < _NARROW * found[-1])) >= _SHARE

    def settled(self, per: Sharing) -> Per:
        """The unit of one threshold in this layer."""
        if per == "auto":
            return "channel" if self.is_wide else "layer"
        return per

    def sends(self, per: Sharing) -> Histogram:
        """The values that it sends, with their signs, of the layer or of each channel."""
        return self.sent if self.settled(per) == "channel" else self.sent.together

    def magnitude(self, per: Sharing) -> Histogram:
        """Magnitudes of the values that it sends, of the layer or of each channel."""
        return self.magnitudes if self.settled(per) == "channel" else self.magnitudes.together

    def value(self, per: Sharing) -> Histogram:
        """`values`, of the layer or of each channel."""
        values = self.values.filled()
        return values if self.settled(per) == "channel" else values.together

    @property
    def is_silent(self) -> bool:
        """Whether it sends nothing but zeros."""
        return float(self.magnitudes.highest.max()) == 0.0

    @property
    def per_sample(self) -> float:
        """The mean over samples of the summed magnitudes of all its neurons."""
        per_channel = np.where(self.magnitudes.total > 0, self.magnitudes.mean, 0.0)
        return float((per_channel * self.neurons).sum())

    @property
    def neurons(self) -> NDArray:
        """The neurons of each channel, `(channels,)`: of what is padding now and then the mean."""
        size = channel_size(self.shape, self.axis)
        if not self.evaluated:
            return np.full(self.values.channels, size)
        return self.values.total / self.evaluated

    def spread(self, values: NDArray) -> NDArray:
        """One number a channel (or one alone) as an array that broadcasts to the layer's shape."""
        return spread(values, self.shape, self.axis)
