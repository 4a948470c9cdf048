"""A budget of spikes, or of energy, spent where it helps most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spikewright.calibrate.case import Case, Choice, Setting
from spikewright.calibrate.layer import LayerStatistics
from spikewright.calibrate.rules.base import (
    ScaleRule,
    check_above,
    check_whole,
    fill_silent,
    refuse,
    register,
    shown,
)
from spikewright.calibrate.sensitivity import fan_out, sensitivities

HOROWITZ_ADD = 0.9e-12
"""Joules of a 32-bit floating-point addition in 45 nm (Horowitz 2014, ISSCC)."""


@register("energy-budget")
@dataclass(frozen=True)
class EnergyBudget(ScaleRule):
    """Thresholds that minimise the expected error of the outputs for a budget a sample.

    A layer that rounds to theta / T errs by theta^2 / (12 T^2) a value; errors of different neurons
    are taken to be independent and small, so the outputs err by sum over layers of
    w theta^2 / (12 T^2), with w the outputs' squared change per variance of the layer's values, as
    measured on examples of the calibration data. Its spikes cost A T / theta a sample, A being the
    mean of its summed magnitudes (times the weights that each spike meets, where `joules` is
    given). Lagrange: theta = (lambda A / (2 w))^(1/3), lambda such that the budget is spent.

    `spikes` a sample or `joules` a sample in `steps` steps of `dt` seconds. Joules count additions,
    at `joules_per_addition` (0.9 pJ: 32-bit floating point in 45 nm; Horowitz 2014, ISSCC), and
    neither neuron updates nor memory nor what an analog first layer multiplies. Where neurons are
    capped, no theta falls below the one at which the largest value fits; what this saves goes to
    other layers, and what nobody can use is not spent.

    Law: an uncapped network spends the budget in the mean over the data, and no other split of it
    has a smaller expected error. Derived here; sensitivities as in mixed-precision quantisation
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

    def choose(self, case: Case) -> dict[str, Choice]:
        """See the class."""
        if case.statistics is None:
            raise TypeError(f"{self!r} needs statistics")
        layers = {name: case.statistics.layers[name] for name in case.settings}
        examples = case.statistics.examples.values
        found = sensitivities(case.graph, list(layers), examples, case.outputs)
        floor = 1e-9 * max(found.values(), default=0.0) or 1.0
        items = {
            name: _Item(layer, max(found[name], floor), self._cost(case, name), case.settings[name])
            for name, layer in layers.items()
        }
        thresholds = self._spend(items)
        return {name: self._choice(items[name], theta) for name, theta in thresholds.items()}

    def _cost(self, case: Case, name: str) -> float:
        """What one spike of a layer costs, in the unit of the budget."""
        if self.joules is None:
            return 1.0
        return fan_out(case.graph, name) * self.joules_per_addition

    def _spend(self, items: Mapping[str, _Item]) -> dict[str, float]:
        """Thresholds whose cost is the budget, by bisection over the logarithm of lambda."""
        budget = next(float(b) for b in (self.spikes, self.joules) if b is not None)

        def thresholds(log: float) -> dict[str, float]:
            return {name: item.threshold(np.exp(log)) for name, item in items.items()}

        low, high = -300.0, 300.0
        for _ in range(200):
            middle = (low + high) / 2
            spent = sum(items[n].cost(theta, self.steps) for n, theta in thresholds(middle).items())
            low, high = (middle, high) if spent > budget else (low, middle)
        return thresholds(high)

    def _choice(self, item: _Item, theta: float) -> Choice:
        (filled,), silent = fill_silent(item.layer, np.array([theta]))
        scale = np.array([1.0 / (filled * self.dt)])
        spent = item.cost(float(filled), self.steps)
        unit = "spikes" if self.joules is None else "J"
        text = (
            f"{self!r}: {spent:.4g} {unit} a sample for a sensitivity of {item.weight:.3g}: "
            f"a spike every {self.dt * 1000:g} ms means {filled:.4g}, scale {shown(scale)}"
        )
        if silent:
            text += "; it sends nothing on the calibration data, so that this is a guess"
        return Choice(np.asarray(scale[0]), text, bool(silent))


@dataclass(frozen=True, eq=False)
class _Item:
    """A layer in the budget: what its errors do (`weight`) and what a spike costs (`price`)."""

    layer: LayerStatistics
    weight: float
    price: float
    setting: Setting

    @cached_property
    def _sum(self) -> float:
        return self.layer.per_sample

    @cached_property
    def smallest(self) -> float:
        """The threshold at which the largest value still fits; 0 without a cap."""
        cap = self.setting.cap
        return 0.0 if cap is None else float(self.layer.magnitudes.highest.max()) / cap

    def threshold(self, multiplier: float) -> float:
        """Where a little more error costs as much as the spikes that it saves."""
        if self.layer.is_silent:
            return 0.0
        best = (multiplier * self._sum * max(self.price, 1e-300) / (2 * self.weight)) ** (1 / 3)
        return max(float(best), self.smallest)

    def cost(self, theta: float, steps: int) -> float:
        """Of the layer's spikes, a sample."""
        return self._sum * steps / theta * self.price if theta > 0 else 0.0
