"""Splits a budget among layers or channels: where spikes reduce the error most for their price."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.rules.context import NeuronConfig, SpikeQuantizer
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.choosing.statistics.statistics import LayerStatistics, Per

_POINTS = 300  # thresholds of a layer that are compared
_PER_OCTAVE, _OCTAVES, _ABOVE = 8, 16, 2  # those of channels; the first are above all values
_SMALLEST = 1.0 / 128  # of the largest value, under a cap
_MOST_LOST = 0.9  # of a layer's power that may be lost: what loses more says next to nothing
_HALVINGS = 60
_LOGARITHMS = (-300.0, 300.0)  # between which a multiplier or a factor is looked for
_FARTHEST = 60.0  # octaves by which all thresholds together may grow

AS_EXPECTED: Mapping[str, float] = MappingProxyType({})
"""Every layer sends as many spikes as are expected of it."""

EVEN: Mapping[str, float] = MappingProxyType({})
"""No layer has a larger share than its errors are worth."""

Thresholds = Mapping[str, NDArray]
"""Of each layer `(1,)`, or of its channels `(channels,)`."""


class Curves(NamedTuple):
    """Falling thresholds, errors and the cost of spikes, `(channels, points)` each.

    Errors are those of the outputs.
    """

    thresholds: NDArray
    errors: NDArray
    costs: NDArray

    def cost(self, places: NDArray) -> float:
        """The cost of the layer where each channel has the threshold at its place."""
        return float(self.costs[np.arange(len(places)), places].sum())

    def cost_near(self, thresholds: NDArray) -> float:
        """The cost at the nearest of the thresholds, which are evenly spaced octaves."""
        octaves = np.log2(self.thresholds[:, 0] / np.maximum(thresholds, 1e-300)) * _PER_OCTAVE
        return self.cost(np.clip(np.round(octaves), 0, self.thresholds.shape[1] - 1).astype(int))

    def at(self, places: NDArray) -> NDArray:
        """The threshold of each channel at its place."""
        return np.asarray(self.thresholds[np.arange(len(places)), places])


@dataclass(frozen=True, eq=False)
class LayerBudget:
    """A layer in the budget: the weights of its errors in the outputs, and the price of a spike.

    It has one threshold, and one weight `(1,)`, or of both one `per` channel.
    """

    layer: LayerStatistics
    setting: NeuronConfig
    steps: int
    weights: NDArray
    price: float = 1.0
    per: Per = "layer"

    @cached_property
    def values(self) -> Histogram:
        """The values that share a threshold."""
        return self.layer.sends(self.per)

    @cached_property
    def neurons(self) -> NDArray:
        """The number of neurons that share a threshold, or the mean of those that count."""
        return self.layer.neurons if self.per == "channel" else self.layer.neurons.sum()

    @cached_property
    def _active(self) -> float:
        """The share of values that sensitivities are those of: a layer's that are not zero."""
        if self.per == "channel":
            return 1.0
        values = self.values
        return 1.0 - float(values.counts[values.means == 0].sum() / values.total[0])

    @property
    def _code(self) -> SpikeQuantizer:
        return self.setting.code(self.steps, self.steps, self.setting.cap)

    def costs(self, thresholds: NDArray) -> NDArray:
        """The expected cost of each channel's spikes in a sample."""
        return self._code.spikes(self.values, thresholds) * self.neurons * self.price

    def cost(self, thresholds: NDArray) -> float:
        """The expected cost of all spikes of the layer."""
        return float(self.costs(thresholds).sum())

    def errors(self, thresholds: NDArray) -> NDArray:
        """The expected error of the outputs, for each channel."""
        return self.weights * self._code.error(self.values, thresholds) / self._active

    def curves(self, budget: float) -> Curves:
        """Errors and costs from the largest useful threshold to one that spends the budget alone.

        Down to the smallest that make sense, where neurons have a cap. A channel may fall silent.
        """
        thresholds = self._of_channels() if self.per == "channel" else self._of_layer(budget)
        errors, costs = (
            np.stack([function(theta) for theta in thresholds.T], axis=1)
            for function in (self.errors, self.costs)
        )
        first = 0
        if self.per == "layer":
            says = errors[0] <= _MOST_LOST * self.weights * self._power / self._active
            first = int(np.argmax(says)) if says.any() else 0
        return Curves(thresholds[:, first:], errors[:, first:], costs[:, first:])

    def _of_layer(self, budget: float) -> NDArray:
        largest = float(self.layer.magnitude("layer").highest[0])
        low = self.layer.per_sample * self.steps * self.price / (4 * budget)
        if self.setting.cap is not None:
            low = max(low, largest * _SMALLEST / self.setting.cap)
        high = 4 * self.steps * largest
        return np.geomspace(high, min(low, high / 2), _POINTS)[None]

    def _of_channels(self) -> NDArray:
        highest = self.layer.magnitudes.highest.astype(float)
        top = np.where(highest > 0, highest, highest.max() or 1.0)
        octaves = np.arange((_OCTAVES + _ABOVE) * _PER_OCTAVE) / _PER_OCTAVE - _ABOVE
        thresholds: NDArray = top[:, None] * 2.0**-octaves * self.steps
        return thresholds

    @cached_property
    def _power(self) -> float:
        return float(self.values.squared_error(np.zeros(len(self.values.means)))[0])


class BudgetSplit(NamedTuple):
    """Thresholds by layer, the expected spending of each, and whether they spend the whole budget.

    It is less where the best thresholds cost less.
    """

    thresholds: Thresholds
    expected: Mapping[str, float]
    spends_all: bool

    def cost(self, price_factors: Mapping[str, float]) -> float:
        """The cost of all layers, with prices of spikes `price_factors` times the expected ones."""
        return sum(price_factors.get(name, 1.0) * cost for name, cost in self.expected.items())


class MeasuredCost(NamedTuple):
    """The measured cost of a run, `by_layer` and in total, on `samples` samples, with a `remark`.

    `estimated` where the samples are only a few of the calibration data.
    """

    by_layer: Mapping[str, float]
    samples: int
    estimated: bool = False
    remark: str = ""

    @property
    def total(self) -> float:
        """The cost of all layers."""
        return sum(self.by_layer.values())


@dataclass(frozen=True, eq=False)
class BudgetAllocator:
    """Splits `budget` among layers: for the least error, or in `proportions` of thresholds.

    For the least error every channel takes the threshold at which weight x error + lambda cost is
    least, and lambda is such that the budget is spent (Lagrange; as bits are allocated in
    rate-distortion theory: Shoham & Gersho, IEEE Trans. ASSP 36, 1445-1453, 1988).
    """

    layers: Mapping[str, LayerBudget]
    budget: float
    proportions: Thresholds | None = None

    def split(
        self, price_factors: Mapping[str, float] = AS_EXPECTED, share: float = 1.0
    ) -> BudgetSplit:
        """The split of the budget, or of a `share` of it.

        `price_factors` says how many times as much as expected the spikes of a layer cost. No layer
        has thresholds at which it says nothing: where that costs too much, the thresholds of all
        layers grow alike.
        """
        budget = self.budget * share
        if self.proportions is not None:
            largest = self._largest(self.proportions)
            if largest is not None and self._at(largest).cost(price_factors) <= budget:
                return self._at(largest, spends_all=False)
            return self._adjusted(self.proportions, price_factors, budget)
        free = self._cheapest(0.0, price_factors, EVEN)
        if self._cost(free, price_factors) <= budget:
            return self._at(self._thresholds(free), spends_all=False)
        return self._adjusted(self.near(budget, price_factors), price_factors, budget)

    def near(
        self,
        budget: float,
        price_factors: Mapping[str, float] = AS_EXPECTED,
        shares: Mapping[str, float] = EVEN,
        proportions: Thresholds | None = None,
    ) -> dict[str, NDArray]:
        """Thresholds that spend about `budget`, as near as those that are compared come to it.

        `shares` are powers of two: a layer with 1 has half the thresholds. For the least error it
        has eight times the weight, whose cube root fine thresholds follow. `proportions` are those
        of channels' thresholds, in place of the least error.
        """
        if proportions is None:
            price = _bisected(
                lambda log: self._cost(
                    self._cheapest(np.exp(log), price_factors, shares), price_factors
                ),
                budget,
            )
            return self._thresholds(self._cheapest(np.exp(price), price_factors, shares))
        base = {n: v * 2.0 ** -shares.get(n, 0.0) for n, v in proportions.items()}
        factor = _bisected(
            lambda log: sum(self._curves[n].cost_near(v * np.exp(log)) for n, v in base.items()),
            budget,
        )
        return {name: values * np.exp(factor) for name, values in base.items()}

    def divided(self, split: BudgetSplit, factors: Mapping[str, float]) -> BudgetSplit:
        """A split with thresholds divided by factors: under a cap no further than to the best.

        A threshold that is smaller than that already stays.
        """
        return self._at(
            {
                name: np.maximum(theta / factors[name], self._least(name, theta))
                for name, theta in split.thresholds.items()
            }
        )

    def _largest(self, proportions: Thresholds) -> Thresholds | None:
        """The spending of least error in these proportions; None where no cap bounds what helps."""
        if any(layer_budget.setting.cap is None for layer_budget in self.layers.values()):
            return None

        def moved(octaves: float) -> Thresholds:
            return {name: theta * 2.0**octaves for name, theta in proportions.items()}

        def error(octaves: float) -> float:
            thetas = moved(octaves).items()
            return sum(float(self.layers[name].errors(theta).sum()) for name, theta in thetas)

        near = min(np.arange(-_FARTHEST, _FARTHEST + 1), key=error)
        fine = np.arange(-_PER_OCTAVE, _PER_OCTAVE + 1) / _PER_OCTAVE
        return moved(min(near + fine, key=error))

    def _least(self, name: str, thresholds: NDArray) -> NDArray:
        if self.layers[name].setting.cap is None:
            return np.zeros_like(thresholds)
        return np.minimum(self._best[name], thresholds)

    def _cheapest(
        self, price: float, price_factors: Mapping[str, float], shares: Mapping[str, float]
    ) -> dict[str, NDArray]:
        """The place of every channel's threshold where a spike costs `price` errors."""
        return {
            name: np.argmin(
                curves.errors * 8.0 ** shares.get(name, 0.0)
                + price * price_factors.get(name, 1.0) * curves.costs,
                axis=1,
            )
            for name, curves in self._curves.items()
        }

    def _cost(self, places: Mapping[str, NDArray], price_factors: Mapping[str, float]) -> float:
        return sum(
            price_factors.get(n, 1.0) * self._curves[n].cost(place) for n, place in places.items()
        )

    def _adjusted(
        self, thresholds: Thresholds, price_factors: Mapping[str, float], budget: float
    ) -> BudgetSplit:
        """The split off the grid: all thresholds move alike until the budget is spent."""

        def spent(octaves: float) -> float:
            return sum(
                price_factors.get(name, 1.0) * self.layers[name].cost(theta * 2.0**octaves)
                for name, theta in thresholds.items()
            )

        inner, outer = -1.0, 0.0
        while spent(inner) < budget and inner > -_FARTHEST:
            inner, outer = 2 * inner, inner
        while spent(outer) > budget and outer < _FARTHEST:
            inner, outer = outer, max(1.0, 2 * outer)
        octaves = _bisected(spent, budget, inner, outer)
        return self._at({name: theta * 2.0**octaves for name, theta in thresholds.items()})

    def _at(self, thresholds: Thresholds, spends_all: bool = True) -> BudgetSplit:
        expected = {name: self.layers[name].cost(theta) for name, theta in thresholds.items()}
        return BudgetSplit(thresholds, expected, spends_all)

    def _thresholds(self, places: Mapping[str, NDArray]) -> dict[str, NDArray]:
        return {name: self._curves[name].at(place) for name, place in places.items()}

    @cached_property
    def _curves(self) -> dict[str, Curves]:
        return {
            name: layer_budget.curves(self.budget) for name, layer_budget in self.layers.items()
        }

    @cached_property
    def _best(self) -> dict[str, NDArray]:
        """The thresholds of least error."""
        return {n: c.at(np.argmin(c.errors, axis=1)) for n, c in self._curves.items()}


def _bisected(
    spent: Callable[[float], float],
    budget: float,
    low: float = _LOGARITHMS[0],
    high: float = _LOGARITHMS[1],
) -> float:
    """The least number at which no more than the budget is spent; the larger, the less it is."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > budget else (low, middle)
    return high
