"""Firing-rate scales from rules: the rule of each layer, and the data that it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikewright._base.arguments import refuse
from spikewright.advice import advise
from spikewright.choosing import NeuronConfig, RuleContext, ScaleChoice, ScaleRule, Statistics
from spikewright.choosing.rules import EnergyBudget
from spikewright.choosing.rules.budget_allocation import BudgetAllocator
from spikewright.choosing.rules.rule import brief
from spikewright.errors import ConversionError, listed
from spikewright.graph import Graph
from spikewright.lower import Options
from spikewright.lower.choices import LayerDefaults, in_numbers, plain
from spikewright.lower.populations import PopulationChoices, Roles, as_scale, check, resolve
from spikewright.lower.trace import Trace
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.network.synapses import Synapse

_LONGEST = 100_000  # steps of an impulse response that are looked at


def has_rule(value: Any) -> bool:
    """Whether scales, one for all layers or `{layer: ...}`, are left to a rule somewhere."""
    items = value.values() if isinstance(value, Mapping) else [value]
    return any(isinstance(item, ScaleRule) for item in items)


def has_budget(value: Any) -> bool:
    """Whether scales are left somewhere to a rule whose budget is to be kept."""
    items = value.values() if isinstance(value, Mapping) else [value]
    return any(isinstance(item, EnergyBudget) for item in items)


@dataclass(frozen=True, eq=False)
class ScaleBudget:
    """A rule that spends a budget, what it may look at, and the split among its layers."""

    rule: EnergyBudget
    context: RuleContext
    allocator: BudgetAllocator


@dataclass(frozen=True, eq=False)
class ChosenScales:
    """The choices for each layer with neurons, with numbers in the place of rules.

    `given` are the firing-rate scales as they were given, by layer where there are rules; `found`
    are the choices of rules, by layer; `budgets` limit the spikes that the network sends.
    """

    given: Any
    layers: PopulationChoices
    found: Mapping[str, ScaleChoice] = field(default_factory=dict)
    budgets: Sequence[ScaleBudget] = ()

    @property
    def scales(self) -> Any:
        """The scales, as `convert` takes them."""
        if not self.found:
            return in_numbers(self.given, self.layers.scales, LayerDefaults().scale)
        return {
            name: plain(self.found[name].scale) if name in self.found else value
            for name, value in self.given.items()
        }

    def start(self, given: Any) -> Any:
        """The initial voltages, as `convert` takes them, where these were `given`."""
        return in_numbers(given, self.layers.starts, LayerDefaults().start)

    @property
    def in_numbers(self) -> PopulationChoices:
        """The choices in numbers, as lowering takes them."""
        if not self.found:
            return self.layers
        scales = {name: as_scale(scale) for name, scale in self.scales.items()}
        return replace(self.layers, scales=scales)

    def corrected(self, found: Mapping[str, ScaleChoice]) -> ChosenScales:
        """The same with other choices of rules for some layers."""
        return replace(self, found={**self.found, **found})

    def add_to_trace(self, trace: Trace) -> None:
        """Add every choice of a rule to the trace; warn where a rule has doubts."""
        doubts: dict[str, list[str]] = {}
        for name, choice in self.found.items():
            trace.add("calibrate", name, choice.text, "warning" if choice.doubtful else "exact")
            if choice.doubtful:
                doubts.setdefault(brief(self.given[name]), []).append(name)
        for rule, names in doubts.items():
            text = self.found[names[0]].text
            trace.warn("calibrate", f"{rule} has doubts about {listed(names)}: {text}")


def choose_scales(
    options: Options, roles: Roles, read: Graph, statistics: Callable[[], Statistics]
) -> ChosenScales:
    """The choices for each layer, with the scales that rules in `options` choose.

    `roles` are those of the graph that is lowered, `read` is the model as it was read; `statistics`
    is asked only where a rule needs data. Raises `ConversionError` for layers that a rule has no
    answer for.
    """
    value = options.scale_firing_rates
    if not has_rule(value):
        return ChosenScales(value, resolve(roles, options))
    choices = resolve(roles, options, _rule_or_scale)
    wanted = choices.scales
    ones = dict.fromkeys(wanted, np.ones(()))
    check(roles, replace(choices, scales=ones))  # before data is gone through
    graph, settings = roles.graph, _settings(choices)
    outputs = roles.read_from()
    found: dict[str, ScaleChoice] = {}
    budgets: list[ScaleBudget] = []
    for rule in _different(wanted):
        mine = {name: settings[name] for name in wanted if _is(wanted[name], rule)}
        context = RuleContext(graph, read, mine, outputs, statistics() if rule.needs_data else None)
        if isinstance(rule, EnergyBudget):
            budget = ScaleBudget(rule, context, rule.allocator(context))
            budgets.append(budget)
            found |= rule.choices(context, budget.allocator, budget.allocator.split())
        else:
            found |= rule.choose(context)
    ordered = {name: found[name] for name in wanted if name in found}
    return ChosenScales(wanted, choices, ordered, budgets)


def _rule_or_scale(item: object) -> object:
    """A layer's rule or scale as it was given; raises `NetworkError` for anything else."""
    if not isinstance(item, ScaleRule):
        as_scale(item)
    return item


def _is(item: Any, rule: ScaleRule) -> bool:
    """Whether a layer's scale is left to a rule; others may be arrays, which equal no one thing."""
    return isinstance(item, ScaleRule) and bool(item == rule)


def _different(wanted: Mapping[str, Any]) -> list[ScaleRule]:
    """The rules among the layers' scales, equal ones once."""
    found: list[ScaleRule] = []
    for item in wanted.values():
        if isinstance(item, ScaleRule) and item not in found:
            found.append(item)
    return found


def _settings(choices: PopulationChoices) -> dict[str, NeuronConfig]:
    """The facts about each layer's neurons that rules may use."""
    return {
        name: NeuronConfig(
            neuron_type.most_spikes,
            _start(choices.starts[name]),
            _averages(choices.synapses[name]),
            neuron_type.spike_heights,
            neuron_type.assumed,
        )
        for name, neuron_type in choices.types.items()
    }


def _start(value: Any) -> float | None:
    """The voltage before the first step in spikes, its mean over neurons; None: drawn uniformly."""
    if isinstance(value, str):
        return None if value == "uniform" else NAMED_VOLTAGES[value]
    return float(np.mean(value))


def _averages(synapse: Synapse | None) -> Callable[[float], float]:
    """Over how many steps of dt a synapse averages: 1 / sum of its squared impulse response.

    That is by how much it lowers the variance of noise that is new at every step.
    """
    if synapse is None:
        return lambda dt: 1.0

    def averages(dt: float) -> float:
        found = synapse.discretise(dt)
        state = np.array(found.B, float)
        squares = float(found.feedthrough or 0.0) ** 2
        for _ in range(_LONGEST):
            response = float(found.C @ state)
            squares += response**2
            state = found.A @ state
            if float(np.abs(state).max(initial=0.0)) < 1e-9 * (1.0 + squares):
                break
        return max(1.0, 1.0 / squares) if squares > 0 else 1.0

    return averages


def need_data(what: str) -> ConversionError:
    """An error about a rule without data."""
    return refuse(
        "calibration",
        f"{what} needs data, and none was given",
        f"{advise('data for a rule')}, or statistics that were collected; DataFreeCalibration "
        "needs none",
    )
