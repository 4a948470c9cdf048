"""A budget of spikes, or of energy, spent where it helps most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.calibrate.case import Case, Choice, Setting
from spikewright.calibrate.layer import LayerStatistics
from spikewright.calibrate.rule import (
    ScaleRule,
    check_above,
    check_whole,
    fill_silent,
    refuse,
    register,
    said_of_silence,
    shown,
)
from spikewright.calibrate.rules.minimum_error import coding_error, expected_spikes
from spikewright.calibrate.sensitivity import fan_out, sensitivities

HOROWITZ_ADD = 0.9e-12
"""Joules of a 32-bit floating-point addition in 45 nm (Horowitz 2014, ISSCC)."""

_POINTS = 300  # thresholds of a layer that are compared
_SMALLEST = 1.0 / 128  # of the largest value, under a cap
_HALVINGS = 60


@register("energy-budget")
@dataclass(frozen=True)
class EnergyBudget(ScaleRule):
    """One theta a layer, minimising the expected error of the outputs for a budget a sample.

    Errors of different neurons are taken to be independent and small, so the outputs err by the sum
    over layers of w E[(sent - a)^2], with w the outputs' squared change per variance of the layer's
    values, as measured on examples of the calibration data, and the error of `MinimumError`:
    rounding and, under a cap, cutting off. A layer's spikes cost their expected number (times the
    weights that each meets and the energy of an addition, where `joules` is given). Lagrange: each
    layer minimises error + lambda cost, lambda such that the budget is spent. Where rounding is all
    that happens, that is theta = (lambda A T^3 / w')^(1/3) for values that sum to A.

    `spikes` a sample or `joules` a sample in `steps` steps of `dt` seconds. Joules count additions,
    at `joules_per_addition` (0.9 pJ: 32-bit floating point in 45 nm; Horowitz 2014, ISSCC), and
    neither neuron updates nor memory nor what an analog first layer multiplies. What would only
    make errors larger, beyond the best thresholds under a cap, is not spent.

    Law: the budget is what is spent in the mean over the data, and no other split of it has a
    clearly smaller expected error. Derived here; sensitivities as in mixed-precision quantisation
    (Dong et al. 2019, HAWQ, arXiv 1905.03696).
    """

    steps: int
    spikes: float | None = None
    joules: float | None = None
    dt: float = 0.001
    joules_per_addition: float = HOROWITZ_ADD

    def __post_init__(self) -> None:
        check_whole(self, steps=self.steps)
        check_above(self, dt=self.dt, joules_per_addition=self.joules_per_addition)
        if (self.spikes is None) == (self.joules is None):
            raise refuse(self, "spikes", "give a budget of spikes or of joules, one of them")
        name, budget = ("spikes", self.spikes) if self.joules is None else ("joules", self.joules)
        check_above(self, **{name: budget})

    @property
    def _budget(self) -> float:
        return next(float(b) for b in (self.spikes, self.joules) if b is not None)

    def choose(self, case: Case) -> dict[str, Choice]:
        """See the class."""
        layers = case.layers
        found = sensitivities(case.graph, list(layers), case.examples, case.outputs)
        floor = 1e-9 * max(found.values(), default=0.0) or 1.0
        items = {
            name: _Item(
                layer, case.settings[name], self.steps, max(found[name], floor),
                self._price(case, name),
            )
            for name, layer in layers.items()
        }  # fmt: skip
        spent = _spend({n: i for n, i in items.items() if not i.layer.is_silent}, self._budget)
        return {name: self._choice(item, spent.get(name, 0.0)) for name, item in items.items()}

    def _price(self, case: Case, name: str) -> float:
        """What one spike of a layer costs, in the unit of the budget."""
        if self.joules is None:
            return 1.0
        return max(fan_out(case.graph, name), 1e-9) * self.joules_per_addition

    def _choice(self, item: _Item, theta: float) -> Choice:
        filled, silent = fill_silent(item.layer, np.array([theta]))
        scale = 1.0 / (filled * self.dt)
        unit = "spikes" if self.joules is None else "J"
        text = (
            f"{self}: {item.cost(float(filled[0])):.4g} {unit} a sample for a sensitivity of "
            f"{item.weight:.3g}: a spike every {self.dt * 1000:g} ms means {shown(filled)}, "
            f"scale {shown(scale)}{said_of_silence(item.layer, silent)}"
        )
        return Choice(scale.reshape(()), text, bool(silent))


class _Curve(NamedTuple):
    """Thresholds of a layer, what each makes the outputs err, and what its spikes cost."""

    thresholds: NDArray
    errors: NDArray
    costs: NDArray


@dataclass(frozen=True, eq=False)
class _Item:
    """A layer in the budget: what its errors do (`weight`) and what a spike costs (`price`)."""

    layer: LayerStatistics
    setting: Setting
    steps: int
    weight: float
    price: float

    @cached_property
    def neurons(self) -> int:
        """How many neurons the layer has."""
        return int(np.prod(self.layer.shape, dtype=int))

    def cost(self, theta: float) -> float:
        """Of the layer's spikes, a sample."""
        values, setting = self.layer.magnitude("layer"), self.setting
        counts = expected_spikes(values, np.array([theta]), self.steps, setting.cap, setting.start)
        return float(counts[0]) * self.neurons * self.price

    def error(self, theta: float) -> float:
        """Of the outputs: sensitivities are those of the values that are not zero."""
        values, setting = self.layer.magnitude("layer"), self.setting
        squared = coding_error(values, np.array([theta]), self.steps, setting.cap, setting.start)
        active = 1.0 - float(values.counts[values.means == 0].sum() / values.total[0])
        return self.weight * float(squared[0]) / active

    def curve(self, budget: float) -> _Curve:
        """From the threshold that alone spends the budget to one at which nothing spikes."""
        largest = float(self.layer.magnitude("layer").highest[0])
        low = self.layer.per_sample * self.steps * self.price / (2 * budget)
        if self.setting.cap is not None:
            low = max(low, largest * _SMALLEST / self.setting.cap)
        high = 4 * self.steps * largest
        thresholds = np.geomspace(high, min(low, high / 2), _POINTS)
        errors = np.array([self.error(theta) for theta in thresholds])
        return _Curve(thresholds, errors, np.array([self.cost(theta) for theta in thresholds]))


def _spend(items: Mapping[str, _Item], budget: float) -> dict[str, float]:
    """Thresholds that spend the budget, or the best ones where those cost less."""
    curves = {name: item.curve(budget) for name, item in items.items()}

    def best(multiplier: float) -> dict[str, int]:
        return {n: int(np.argmin(c.errors + multiplier * c.costs)) for n, c in curves.items()}

    def cost(places: Mapping[str, int]) -> float:
        return sum(float(curves[name].costs[place]) for name, place in places.items())

    def thresholds(places: Mapping[str, int], factor: float = 1.0) -> dict[str, float]:
        return {n: factor * float(curves[n].thresholds[place]) for n, place in places.items()}

    if not items or cost(best(0.0)) <= budget:
        return thresholds(best(0.0))
    low, high = -300.0, 300.0
    for _ in range(2 * _HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(best(np.exp(middle))) > budget else (low, middle)
    places = best(np.exp(high))

    def spent(factor: float) -> float:
        return sum(items[n].cost(theta) for n, theta in thresholds(places, factor).items())

    inner, outer = 0.5, 1.0  # what the grid left over is spent by all layers together
    while spent(inner) < budget and inner > 1e-6:
        inner, outer = inner / 2, inner
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if spent(middle) > budget else (inner, middle)
    return thresholds(places, outer)
