"""Allocation of a number of spikes to the channels of a network, in a rule's proportions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing import LayerStatistics, RuleCase, ScaleRule, Setting
from spikewright.choosing.rules.energy_budget import proportions_of
from spikewright.choosing.rules.spending import Item, Spending, Thresholds

_CURVES = 64  # of layers, that are held at once


class Allocation:
    """Spreads spikes over the channels of all layers of `case`, by one of `rules`.

    A rule keeps thresholds in the proportions that it chooses them in; None spends spikes where
    they do most, as `EnergyBudget(per="channel")` does. `weights` `{layer: (channels,)}` say how
    much the outputs change per variance of errors there.
    """

    def __init__(
        self, case: RuleCase, weights: Mapping[str, NDArray], rules: Mapping[str, ScaleRule | None]
    ) -> None:
        self._case, self._weights, self.rules = case, weights, rules
        self._spending = lru_cache(max(1, _CURVES // len(self.layers)))(self._make_spending)
        self._proportions = lru_cache(maxsize=16)(self._make_proportions)

    @property
    def layers(self) -> Mapping[str, LayerStatistics]:
        """The statistics of the layers."""
        return self._case.layers

    @cached_property
    def neurons(self) -> int:
        """Neurons of all layers."""
        return sum(int(np.prod(layer.shape)) for layer in self.layers.values())

    def thresholds(
        self, rule: str, spikes: float, shares: Mapping[str, float], steps: int, setting: Setting
    ) -> dict[str, NDArray]:
        """Thresholds `(channels,)` of every layer at which about `spikes` are spent on a sample.

        As they are expected in `steps` steps, by the values that calibration data had. `shares` are
        powers of two: a layer with 1 has half the thresholds (for the least error about half).
        """
        proportions = self._proportions(rule, setting)
        spending = self._spending(steps, setting)
        return spending.near(spikes, shares=shares, proportions=proportions)

    def _make_spending(self, steps: int, setting: Setting) -> Spending:
        items = {
            name: Item(layer, setting, steps, self._weights[name], per="channel")
            for name, layer in self.layers.items()
        }
        return Spending(items, 1.0)

    def _make_proportions(self, name: str, setting: Setting) -> Thresholds | None:
        rule = self.rules[name]
        return None if rule is None else self.chosen(rule, setting)

    def chosen(self, rule: ScaleRule, setting: Setting) -> Thresholds:
        """The thresholds `(channels,)` of every layer as a rule chooses them itself."""
        case = replace(self._case, settings=dict.fromkeys(self.layers, setting))
        return proportions_of(rule, case, self.layers, "channel")
