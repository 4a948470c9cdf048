"""Firing-rate scales from rules: the rule of each layer, and the facts that it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright.choosing import Case, Choice, ScaleRule, Setting, Statistics
from spikewright.choosing.rules import EnergyBudget
from spikewright.choosing.rules.rule import brief
from spikewright.choosing.rules.spending import Spending
from spikewright.errors import ConversionError, listed
from spikewright.graph import Graph
from spikewright.lower import Options
from spikewright.lower.choices import per_layer
from spikewright.lower.populations import Roles, resolve
from spikewright.lower.trace import Trace
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
class Budget:
    """A rule that spends a budget, its question, and the layers that share the budget."""

    rule: EnergyBudget
    case: Case
    spending: Spending


@dataclass(frozen=True, eq=False)
class Chosen:
    """Firing-rate scales as they were given, with numbers in the place of rules.

    `choices` are those of rules, by layer; `budgets` limit the spikes that the network sends.
    """

    given: Any
    choices: Mapping[str, Choice] = field(default_factory=dict)
    budgets: Sequence[Budget] = ()

    @property
    def scales(self) -> Any:
        """The scales, as `convert` takes them."""
        if not self.choices:
            return self.given
        return {
            name: _number(self.choices[name]) if name in self.choices else value
            for name, value in self.given.items()
        }

    def corrected(self, choices: Mapping[str, Choice]) -> Chosen:
        """The same with other choices for some layers."""
        return replace(self, choices={**self.choices, **choices})

    def tell(self, trace: Trace) -> None:
        """Leave a trace of every choice; say aloud where a rule has doubts."""
        doubts: dict[str, list[str]] = {}
        for name, choice in self.choices.items():
            trace.add("calibrate", name, choice.text, "warning" if choice.doubtful else "exact")
            if choice.doubtful:
                doubts.setdefault(brief(self.given[name]), []).append(name)
        for rule, names in doubts.items():
            text = self.choices[names[0]].text
            trace.say("calibrate", f"{rule} has doubts about {listed(names)}: {text}")


def choose_scales(
    options: Options, graph: Graph, read: Graph, statistics: Callable[[], Statistics]
) -> Chosen:
    """The scales that rules in `options.scale_firing_rates` choose.

    `graph` is the one that is lowered, `read` the model as it was read; `statistics` is asked only
    where a rule needs data. Raises `ConversionError` for layers that a rule has no answer for.
    """
    value = options.scale_firing_rates
    if not has_rule(value):
        return Chosen(value)
    roles = Roles(graph, options.stepping)
    wanted = per_layer(
        value, roles.populations, roles.names(), "scale_firing_rates", lambda item: item
    )
    settings = _settings(roles, replace(options, scale_firing_rates=1.0))
    outputs = tuple(
        graph[name].inputs[0] if name in roles.read_out else name for name in graph.outputs.values()
    )
    choices: dict[str, Choice] = {}
    budgets: list[Budget] = []
    for rule in _different(wanted):
        mine = {name: settings[name] for name in wanted if _is(wanted[name], rule)}
        case = Case(graph, read, mine, outputs, statistics() if rule.needs_data else None)
        if isinstance(rule, EnergyBudget):
            budget = Budget(rule, case, rule.spending(case))
            budgets.append(budget)
            choices |= rule.choices(case, budget.spending, budget.spending.split())
        else:
            choices |= rule.choose(case)
    ordered = {name: choices[name] for name in wanted if name in choices}
    return Chosen(wanted, ordered, budgets)


def _is_rule(item: Any) -> bool:
    return isinstance(item, ScaleRule)


def _is(item: Any, rule: ScaleRule) -> bool:
    """Whether a layer's scale is left to a rule; others may be arrays, which equal no one thing."""
    return _is_rule(item) and bool(item == rule)


def _different(wanted: Mapping[str, Any]) -> list[ScaleRule]:
    """The rules among the layers' scales, equal ones once."""
    found: list[ScaleRule] = []
    for item in wanted.values():
        if isinstance(item, ScaleRule) and item not in found:
            found.append(item)
    return found


def _number(choice: Choice) -> float | NDArray:
    return float(choice.scale) if choice.scale.ndim == 0 else choice.scale


def _settings(roles: Roles, options: Options) -> dict[str, Setting]:
    """The facts about each layer's neurons that rules may use."""
    choices = resolve(roles, options)
    return {
        name: Setting(
            choices.types[name].most_spikes,
            _start(choices.starts[name]),
            _averages(choices.synapses[name]),
        )
        for name in roles.populations
    }


def _start(value: Any) -> float | None:
    """The voltage before the first step in spikes, its mean over neurons; None: drawn uniformly."""
    if isinstance(value, str):
        return {"zero": 0.0, "half": 0.5, "uniform": None}[value]
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
        "Give some hundred samples, calibration=x, or statistics that were collected: "
        "sw.convert(model).calibrate(x); FromWeights needs none",
    )
