"""Allocation of a number of spikes to thresholds: where errors matter and spikes are few."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing import LayerStatistics
from spikewright.choosing.rules.minimum_error import best_threshold
from spikewright.choosing.rules.percentile import percentile_of
from spikewright.choosing.statistics.channels import channel_size

RULES = ("sensitivity", "percentile", "channel percentile", "minimum error", "one scale")
"""Relations between the thresholds of channels; the search begins with the first."""

_PER_OCTAVE = 8  # candidates for a threshold
_OCTAVES = 16
_ABOVE = 2  # octaves above the largest value, where a channel is silent
_EARLY = 2.0**-16  # spikes by which a neuron may fire early
_LEVELS = 4  # of the threshold that a minimal error is found for


@dataclass(frozen=True)
class Coding:
    """A neuron's code: in `steps` steps at most `cap` spikes each, from `start` spikes."""

    steps: int
    cap: int | None
    start: float

    @property
    def most(self) -> float:
        """The most spikes in all steps."""
        return float("inf") if self.cap is None else float(self.cap * self.steps)


@dataclass(frozen=True, eq=False)
class Curves:
    """Of one layer, for falling units: spikes a sample and squared error a value, by channel.

    A unit is the share of one spike in the mean over the run: the threshold over the steps.
    """

    units: NDArray
    spikes: NDArray
    errors: NDArray

    def at(self, units: NDArray) -> float:
        """Spikes a sample where the channels have these units."""
        octaves = np.log2(self.units[0] / np.maximum(units, 1e-300)) * _PER_OCTAVE
        place = np.clip(np.round(octaves), 0, len(self.units) - 1).astype(int)
        return float(self.spikes[np.arange(len(units)), place].sum())


class Allocation:
    """Spreads spikes over the channels of a network, by one of `RULES`.

    `weights` `{layer: (channels,)}` say how much the outputs change per variance of errors there.
    """

    def __init__(
        self, layers: Mapping[str, LayerStatistics], weights: Mapping[str, NDArray]
    ) -> None:
        self.layers, self._weights = layers, weights
        self._curves = lru_cache(maxsize=64)(self._make_curves)
        self._profiles = lru_cache(maxsize=16)(self._make_profile)

    @cached_property
    def neurons(self) -> int:
        """Neurons of all layers."""
        return sum(int(np.prod(layer.shape)) for layer in self.layers.values())

    def thresholds(
        self, rule: str, spikes: float, offsets: Mapping[str, float], coding: Coding
    ) -> dict[str, NDArray]:
        """Thresholds `(channels,)` of every layer at which about `spikes` are spent on a sample.

        "sensitivity" minimises the expected change of the outputs, sum of w E[(sent - a)^2] over
        the channels' values, for that many spikes: every channel gets the threshold at which
        w E + lambda spikes is least, and lambda is such that the budget is spent (Lagrange; as bits
        are allocated in rate-distortion theory: Shoham & Gersho, IEEE Trans. ASSP 36, 1445-1453,
        1988). Here E is the error of the values that calibration data had, clipping and silent
        neurons included. The others keep thresholds in proportion to a percentile of each layer, of
        each channel, or to the threshold of smallest error of each channel; "one scale" has the
        same for all. `offsets` are powers of two: a layer with 1 has half the thresholds (under
        "sensitivity" about half: eight times the weight, whose cube root fine thresholds follow).
        """
        if rule == "sensitivity":
            chosen = self._search(lambda log: self._cheapest(np.exp(log), offsets, coding), spikes)
        else:
            chosen = self._search(
                lambda log: self._scaled(rule, np.exp(log), offsets, coding), spikes
            )
        return {name: units * coding.steps for name, units in chosen[0].items()}

    def _search(
        self, allocate: Callable[[float], tuple[dict[str, NDArray], float]], spikes: float
    ) -> tuple[dict[str, NDArray], float]:
        """The result of `allocate` that spends the budget, by bisection over a logarithm."""
        low, high = -80.0, 80.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if allocate(middle)[1] > spikes else (low, middle)
        return allocate(high)

    def _cheapest(
        self, price: float, offsets: Mapping[str, float], coding: Coding
    ) -> tuple[dict[str, NDArray], float]:
        units, total = {}, 0.0
        for name in self.layers:
            curves = self._curves(name, coding)
            weights = self._weights[name][:, None] * 8.0 ** offsets[name]
            best = np.argmin(weights * curves.errors + price * curves.spikes, axis=1)
            units[name] = curves.units[best]
            total += float(curves.spikes[np.arange(len(best)), best].sum())
        return units, total

    def _scaled(
        self, rule: str, factor: float, offsets: Mapping[str, float], coding: Coding
    ) -> tuple[dict[str, NDArray], float]:
        units = {
            name: self._profiles(rule, name, coding.start) * factor * 2.0 ** -offsets[name]
            for name in self.layers
        }
        return units, sum(self._curves(name, coding).at(u) for name, u in units.items())

    def _make_profile(self, rule: str, name: str, start: float) -> NDArray:
        """Thresholds of a layer's channels relative to each other and to other layers'."""
        layer = self.layers[name]
        if rule == "one scale":
            return np.ones(layer.values.channels)
        if rule == "minimum error":
            found = best_threshold(layer.sent, _LEVELS, 1, start)
        else:
            found = percentile_of(layer, 99.9, "layer" if rule == "percentile" else "channel")
        filled = np.where(found > 0, found, found.max() if found.max() > 0 else 1.0)
        return np.broadcast_to(filled, (layer.values.channels,))

    def _make_curves(self, name: str, coding: Coding) -> Curves:
        """Spikes and errors at every candidate, from the layer's histogram."""
        layer = self.layers[name]
        values, size = layer.sent, channel_size(layer.shape, layer.axis)
        top = float(layer.magnitudes.highest.max()) or 1.0
        octaves = np.arange((_OCTAVES + _ABOVE) * _PER_OCTAVE) / _PER_OCTAVE - _ABOVE
        units = top * 2.0**-octaves
        spikes, errors = np.zeros((2, values.channels, len(units)))
        for i, unit in enumerate(units):
            sent = np.floor(values.means / unit + coding.start + _EARLY)
            sent = np.clip(sent, -coding.most, coding.most)
            spikes[:, i] = values.expectation(np.abs(sent)) * size
            errors[:, i] = values.squared_error(sent * unit)
        return Curves(units, spikes, errors)
