"""A budget of spikes, or of energy, spent where it helps most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.schema import AboveZero, Positive
from spikewright.choosing.rules.budget_allocation import (
    BudgetAllocator,
    BudgetSplit,
    LayerBudget,
    MeasuredCost,
)
from spikewright.choosing.rules.context import RuleContext, ScaleChoice
from spikewright.choosing.rules.rule import (
    ScaleRule,
    fill_silent,
    format_range,
    format_ranges,
    format_silence,
    refused,
    register,
)
from spikewright.choosing.statistics.channels import by_channel
from spikewright.choosing.statistics.sensitivity import fan_out, sensitivities
from spikewright.choosing.statistics.statistics import LayerStatistics, Per, Sharing

HOROWITZ_ADD = 0.9e-12
"""Joules of a 32-bit floating-point addition in 45 nm (Horowitz 2014, ISSCC)."""


@register("energy-budget")
@dataclass(frozen=True)
class EnergyBudget(ScaleRule):
    """One theta a layer, or channel, minimising the expected error of the outputs for a budget.

    Errors of different neurons are taken to be independent and small, so the outputs err by the sum
    over layers of w E[(sent - a)^2]. The weight w is the outputs' squared change per variance of
    the layer's values (`per="channel"`: of each channel's), as measured on examples of the
    calibration data. The error is that of `MinimumError`: rounding and, under a cap, cutting off. A
    layer's spikes cost their expected number (times the weights that each meets and the energy of
    an addition, where `joules` is given). Lagrange: each layer minimises error + lambda cost,
    lambda such that the budget is spent. Where rounding is the only error, that is
    theta = (lambda A T^3 / w')^(1/3) for values that sum to A. No layer gets a theta at which nine
    tenths of its power are lost: where that is too dear all grow alike. A channel may fall silent.
    `per="auto"` is "layer", but "channel" where ranges of channels differ so much in some layer
    that one theta would silence many (see `Percentile`).

    With `like`, another rule, the theta are in the proportions of that rule's instead: all are
    moved alike until the budget is spent.

    A conversion runs the network on the calibration data (at most 256 samples; of statistics their
    examples) in the `steps` of the rule, and measures how many more spikes each layer sends than
    expected. It corrects the price of the layer's spikes by that factor, splits again, and moves
    all theta to close the remaining distance. A budget that cannot be kept is refused, and the
    message names the least possible one.

    `spikes` a sample or `joules` a sample in `steps` steps of `dt` seconds. Joules count additions,
    at `joules_per_addition` (0.9 pJ: 32-bit floating point in 45 nm; Horowitz 2014, ISSCC), but not
    neuron updates, memory, or multiplications of an analog first layer. Under a cap the budget is
    not spent beyond the best thresholds, where errors would only grow.

    Law: the spending on the data is the budget, within 5 %, and no other split of the same expected
    cost has a clearly smaller expected error. Derived here; sensitivities as in mixed-precision
    quantisation (Dong et al. 2019, HAWQ, arXiv 1905.03696).
    """

    steps: Positive
    spikes: AboveZero | None = None
    joules: AboveZero | None = None
    dt: AboveZero = 0.001
    joules_per_addition: AboveZero = HOROWITZ_ADD
    per: Sharing = "auto"
    like: ScaleRule | None = None
    tried = "never"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.spikes is None) == (self.joules is None):
            raise refused(self, "spikes", "give a budget of spikes or of joules, one of them")
        if not isinstance(self.like, ScaleRule | None) or isinstance(self.like, EnergyBudget):
            raise refused(self, "like", f"it is None or a rule without a budget, got {self.like!r}")

    @classmethod
    def searched(cls) -> dict[str, ScaleRule | None]:
        """Channel by channel, for the least error: no other rule's proportions."""
        return {"sensitivity": None}

    @property
    def budget(self) -> float:
        """The budget of a sample, in spikes or joules."""
        return next(float(b) for b in (self.spikes, self.joules) if b is not None)

    def choose(self, context: RuleContext) -> dict[str, ScaleChoice]:
        """See the class; the cost of spikes is the expected one."""
        allocator = self.allocator(context)
        return self.choices(context, allocator, allocator.split())

    def allocator(self, context: RuleContext) -> BudgetAllocator:
        """The allocator of the budget, for the layers of `context` that send something."""
        layers = {name: layer for name, layer in context.layers.items() if not layer.is_silent}
        per = self._settled(layers)
        weights, proportions = self._weights(context, list(layers), per), None
        if self.like is not None:
            proportions = proportions_of(self.like, context, layers, per)
        items = {
            name: LayerBudget(
                layer, context.settings[name], self.steps, weights[name], self.price(context, name),
                per,
            )
            for name, layer in layers.items()
        }  # fmt: skip
        return BudgetAllocator(items, self.budget, proportions)

    def _settled(self, layers: Mapping[str, LayerStatistics]) -> Per:
        """The unit of one theta, the same in all layers: their weights are compared."""
        every = {layer.settled(self.per) for layer in layers.values()}
        return "channel" if "channel" in every else "layer"

    def _weights(self, context: RuleContext, names: Sequence[str], per: Per) -> dict[str, NDArray]:
        """The weights of errors; where only proportions count they are all the same."""
        if self.like is not None:
            return dict.fromkeys(names, np.ones(1))
        found = sensitivities(context.graph, names, context.examples, context.outputs, per)
        if per == "channel":
            return found
        floor = 1e-9 * max((float(w[0]) for w in found.values()), default=0.0) or 1.0
        return {name: np.maximum(weights, floor) for name, weights in found.items()}

    def choices(
        self,
        context: RuleContext,
        allocator: BudgetAllocator,
        split: BudgetSplit,
        cost: MeasuredCost | None = None,
    ) -> dict[str, ScaleChoice]:
        """The scales of a split and a text on each, with the `cost` where it was measured."""
        found = {}
        for name, layer in context.layers.items():
            filled, silent = fill_silent(layer, split.thresholds.get(name, np.zeros(1)))
            scale = 1.0 / (filled * self.dt)
            text = f"{self}: "
            if name in allocator.layers:
                text += (
                    f"{self._cost_text(name, split, cost)}{self._reason(allocator.layers[name])}: "
                )
            text += (
                f"a spike every {self.dt * 1000:g} ms means {format_range(filled)}, "
                f"scale {format_range(scale)}"
                f"{format_ranges(layer, self.per)}{format_silence(layer, silent)}"
            )
            if cost is not None and cost.remark:
                text += f"; {cost.remark}"
            doubtful = bool(layer.is_silent or (cost is not None and cost.remark))
            found[name] = ScaleChoice(layer.spread(scale), text, doubtful)
        return found

    def _reason(self, item: LayerBudget) -> str:
        """The reason for the share of a layer, in words."""
        if self.like is not None:
            return f", in the proportions of {self.like}"
        return f", for a sensitivity of {format_range(item.weights, 3)}"

    def _cost_text(self, name: str, split: BudgetSplit, cost: MeasuredCost | None) -> str:
        """The cost of a layer, in words."""
        if cost is None:
            return f"{split.expected[name]:.4g} {self.unit} a sample, expected and not measured"
        how = "estimated" if cost.estimated else "measured"
        of = f"{cost.total:.4g} {self.unit} a sample, {how} on {cost.samples} samples"
        return f"{cost.by_layer.get(name, 0.0):.4g} of {of}"

    @property
    def unit(self) -> str:
        """The unit of the budget."""
        return "spikes" if self.joules is None else "J"

    def price(self, context: RuleContext, name: str) -> float:
        """The price of one spike of a layer, in the unit of the budget."""
        if self.joules is None:
            return 1.0
        return max(fan_out(context.graph, name), 1e-9) * self.joules_per_addition


def proportions_of(
    rule: ScaleRule, context: RuleContext, layers: Mapping[str, LayerStatistics], per: Per
) -> dict[str, NDArray]:
    """The thresholds that a rule chooses for layers, at steps of a millisecond: what counts is how
    they relate. Of several neurons it is their geometric mean.
    """
    found = {}
    choices = rule.choose(context)
    for name, layer in layers.items():
        scales = np.broadcast_to(choices[name].scale, layer.shape)[None]
        logs = np.log(by_channel(scales, layer.axis if per == "channel" else None)).mean(axis=1)
        found[name] = 1000.0 * np.exp(-logs)
    return found
