"""A budget split among layers: where spikes do most, at the expected price of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.rules.case import Setting
from spikewright.choosing.rules.coding import coding_error, expected_spikes
from spikewright.choosing.statistics.layer import LayerStatistics

_POINTS = 300  # thresholds of a layer that are compared
_SMALLEST = 1.0 / 128  # of the largest value, under a cap
_SAYS = 0.9  # of a layer's power that may be lost: what loses more says next to nothing
_HALVINGS = 60
_FARTHEST = 60.0  # octaves by which all thresholds together may grow

AS_EXPECTED: Mapping[str, float] = MappingProxyType({})
"""Every layer sends as many spikes as are expected of it."""


class _Curve(NamedTuple):
    """Thresholds of a layer, the error of the outputs under each, and the cost of its spikes."""

    thresholds: NDArray
    errors: NDArray
    costs: NDArray


@dataclass(frozen=True, eq=False)
class Item:
    """A layer in the budget: the weight of its errors in the outputs, and the price of a spike."""

    layer: LayerStatistics
    setting: Setting
    steps: int
    weight: float
    price: float

    @cached_property
    def neurons(self) -> int:
        """The number of neurons of the layer."""
        return int(np.prod(self.layer.shape, dtype=int))

    @cached_property
    def _active(self) -> float:
        """The share of its values that are not zero: sensitivities are those of them."""
        values = self.layer.sends("layer")
        return 1.0 - float(values.counts[values.means == 0].sum() / values.total[0])

    def cost(self, theta: float) -> float:
        """Of the layer's spikes, a sample, as they are expected."""
        values, setting = self.layer.sends("layer"), self.setting
        counts = expected_spikes(values, np.array([theta]), self.steps, setting.cap, setting.start)
        return float(counts[0]) * self.neurons * self.price

    def error(self, theta: float) -> float:
        """Of the outputs."""
        values, setting = self.layer.sends("layer"), self.setting
        squared = coding_error(values, np.array([theta]), self.steps, setting.cap, setting.start)
        return self.weight * float(squared[0]) / self._active

    def curve(self, budget: float) -> _Curve:
        """From a threshold at which the layer says something to one that spends the budget alone.

        Down to the smallest that make sense, where neurons have a cap.
        """
        largest = float(self.layer.magnitude("layer").highest[0])
        low = self.layer.per_sample * self.steps * self.price / (4 * budget)
        if self.setting.cap is not None:
            low = max(low, largest * _SMALLEST / self.setting.cap)
        high = 4 * self.steps * largest
        thresholds = np.geomspace(high, min(low, high / 2), _POINTS)
        errors = np.array([self.error(theta) for theta in thresholds])
        costs = np.array([self.cost(theta) for theta in thresholds])
        says = errors <= _SAYS * self.weight * self._power / self._active
        first = int(np.argmax(says)) if says.any() else 0
        return _Curve(thresholds[first:], errors[first:], costs[first:])

    @cached_property
    def _power(self) -> float:
        values = self.layer.sends("layer")
        return float(values.squared_error(np.zeros(len(values.means)))[0])


class Split(NamedTuple):
    """Thresholds by layer, the expected spending of each, and whether they spend the whole budget.

    It is less where the best thresholds cost less.
    """

    thresholds: Mapping[str, float]
    expected: Mapping[str, float]
    spends_all: bool


class Spent(NamedTuple):
    """The spending of a run, `by_layer` and in total, on `samples` samples; `remark` is about both.

    `estimated` where the samples are only a few of the calibration data.
    """

    by_layer: Mapping[str, float]
    samples: int
    estimated: bool = False
    remark: str = ""

    @property
    def total(self) -> float:
        """Of all layers."""
        return sum(self.by_layer.values())


@dataclass(frozen=True, eq=False)
class Spending:
    """Layers among which `budget` is split."""

    items: Mapping[str, Item]
    budget: float

    def split(self, dearer: Mapping[str, float] = AS_EXPECTED, share: float = 1.0) -> Split:
        """The split of least expected error of the budget, or of a `share` of it.

        `dearer` says how many times as much as expected the spikes of a layer cost. Every layer
        minimises error + lambda cost, lambda such that the budget is spent (Lagrange), but none has
        thresholds at which it says nothing: where that is too dear those of all layers grow alike.
        """
        budget = self.budget * share
        costs = {name: dearer.get(name, 1.0) * c.costs for name, c in self._curves.items()}

        def best(multiplier: float) -> dict[str, int]:
            return {n: int(np.argmin(c.errors + multiplier * costs[n])) for n, c in curves.items()}

        def cost(places: Mapping[str, int]) -> float:
            return sum(float(costs[name][place]) for name, place in places.items())

        curves = self._curves
        if cost(best(0.0)) <= budget:
            return self._at(self._thresholds(best(0.0)), spends_all=False)
        low, high = -300.0, 300.0
        for _ in range(2 * _HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if cost(best(np.exp(middle))) > budget else (low, middle)
        return self._adjusted(self._thresholds(best(np.exp(high))), dearer, budget)

    def divided(self, split: Split, factors: Mapping[str, float]) -> Split:
        """A split with thresholds divided by factors: under a cap no further than to the best.

        A threshold that is smaller than that already stays.
        """
        least = {
            name: 0.0 if self.items[name].setting.cap is None else min(best, split.thresholds[name])
            for name, best in self._best.items()
        }
        return self._at(
            {n: max(theta / factors[n], least[n]) for n, theta in split.thresholds.items()}
        )

    def _adjusted(
        self, thresholds: Mapping[str, float], dearer: Mapping[str, float], budget: float
    ) -> Split:
        """The split off the grid: all thresholds move alike until the budget is spent."""

        def spent(octaves: float) -> float:
            return sum(
                dearer.get(name, 1.0) * self.items[name].cost(theta * 2.0**octaves)
                for name, theta in thresholds.items()
            )

        inner, outer = -1.0, 0.0
        while spent(inner) < budget and inner > -_FARTHEST:
            inner, outer = 2 * inner, inner
        while spent(outer) > budget and outer < _FARTHEST:
            inner, outer = outer, max(1.0, 2 * outer)
        for _ in range(_HALVINGS):
            middle = (inner + outer) / 2
            inner, outer = (middle, outer) if spent(middle) > budget else (inner, middle)
        return self._at({name: theta * 2.0**outer for name, theta in thresholds.items()})

    def _at(self, thresholds: Mapping[str, float], spends_all: bool = True) -> Split:
        expected = {name: self.items[name].cost(theta) for name, theta in thresholds.items()}
        return Split(thresholds, expected, spends_all)

    def _thresholds(self, places: Mapping[str, int]) -> dict[str, float]:
        return {n: float(self._curves[n].thresholds[place]) for n, place in places.items()}

    @cached_property
    def _curves(self) -> dict[str, _Curve]:
        return {name: item.curve(self.budget) for name, item in self.items.items()}

    @cached_property
    def _best(self) -> dict[str, float]:
        """The thresholds of least error."""
        return {n: float(c.thresholds[np.argmin(c.errors)]) for n, c in self._curves.items()}
