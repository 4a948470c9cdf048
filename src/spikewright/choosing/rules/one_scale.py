"""One firing-rate scale for all layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikewright._base.schema import AboveZero
from spikewright.choosing.rules.case import RuleCase, ScaleChoice
from spikewright.choosing.rules.rule import ScaleRule, register


@register("one-scale")
@dataclass(frozen=True)
class OneScale(ScaleRule):
    """s = `scale` for every layer, as a number in the place of a rule chooses it.

    It needs no data. With a budget, `EnergyBudget(steps, spikes, like=OneScale())`, the scale is
    the one that spends it. Law: equal for all layers. Source: the global scale of Rasmussen 2019,
    Neuroinformatics 17:611.
    """

    scale: AboveZero = 1.0
    needs_data = False
    tried = "never"

    @classmethod
    def searched(cls) -> dict[str, ScaleRule | None]:
        """The plainest of all, which a search is to beat."""
        return {"one scale": cls()}

    def choose(self, case: RuleCase) -> dict[str, ScaleChoice]:
        """See the class."""
        choice = ScaleChoice(np.asarray(float(self.scale)), f"{self}: scale {self.scale:.4g}")
        return dict.fromkeys(case.settings, choice)
