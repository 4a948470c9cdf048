"""The parameters of a network's conversion, and the arguments that their values stand for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_plain_number, is_plain_whole
from spikewright._base.formatting import label_to_name
from spikewright._base.options import Check, one_of
from spikewright.choosing import LayerStatistics, NeuronConfig, RuleContext, ScaleRule
from spikewright.choosing.rules import RULES, EnergyBudget, parse
from spikewright.choosing.rules.budget_allocation import BudgetAllocator, LayerBudget, Thresholds
from spikewright.choosing.rules.energy_budget import proportions_of
from spikewright.choosing.rules.rule import brief
from spikewright.choosing.statistics.sensitivity import sensitivities
from spikewright.conversion import Conversion
from spikewright.errors import ConversionError, TuningError
from spikewright.lower.coding import Coding
from spikewright.lower.populations import Roles
from spikewright.measure.readout import READOUTS
from spikewright.network.neurons import BipolarIntegrateAndFire, IntegrateAndFire, RectifiedLinear
from spikewright.study.search.coding import CODING, code_of, with_code
from spikewright.study.search.space import (
    Choices,
    Parameter,
    Plain,
    Range,
    Space,
    Values,
    begin,
    choices_of,
)

_CURVES = 64  # of layers, that are held at once


class Allocation:
    """Spreads spikes over the channels of all layers of `context`, by one of `rules`.

    A rule keeps thresholds in the proportions that it chooses them in; None spends spikes where
    they do most, as `EnergyBudget(per="channel")` does. `weights` `{layer: (channels,)}` say how
    much the outputs change per variance of errors there.
    """

    def __init__(
        self,
        context: RuleContext,
        weights: Mapping[str, NDArray],
        rules: Mapping[str, ScaleRule | None],
    ) -> None:
        self._context, self._weights, self.rules = context, weights, rules
        self._allocator = lru_cache(max(1, _CURVES // len(self.layers)))(self._make_allocator)
        self._proportions = lru_cache(maxsize=16)(self._make_proportions)

    @property
    def layers(self) -> Mapping[str, LayerStatistics]:
        """The statistics of the layers."""
        return self._context.layers

    @cached_property
    def neurons(self) -> int:
        """Neurons of all layers."""
        return sum(int(np.prod(layer.shape)) for layer in self.layers.values())

    def thresholds(
        self,
        rule: str,
        spikes: float,
        shares: Mapping[str, float],
        steps: int,
        setting: NeuronConfig,
    ) -> dict[str, NDArray]:
        """Thresholds `(channels,)` of every layer at which about `spikes` are spent on a sample.

        As they are expected in `steps` steps, by the values that calibration data had. `shares` are
        powers of two: a layer with 1 has half the thresholds (for the least error about half).
        """
        proportions = self._proportions(rule, setting)
        allocator = self._allocator(steps, setting)
        return allocator.near(spikes, shares=shares, proportions=proportions)

    def _make_allocator(self, steps: int, setting: NeuronConfig) -> BudgetAllocator:
        items = {
            name: LayerBudget(layer, setting, steps, self._weights[name], per="channel")
            for name, layer in self.layers.items()
        }
        return BudgetAllocator(items, 1.0)

    def _make_proportions(self, name: str, setting: NeuronConfig) -> Thresholds | None:
        rule = self.rules[name]
        return None if rule is None else self.chosen(rule, setting)

    def chosen(self, rule: ScaleRule, setting: NeuronConfig) -> Thresholds:
        """The thresholds `(channels,)` of every layer as a rule chooses them itself."""
        context = replace(self._context, settings=dict.fromkeys(self.layers, setting))
        return proportions_of(rule, context, self.layers, "channel")


def allocate(
    conversion: Conversion,
    samples: Mapping[str, NDArray],
    work: float,
    rules: Mapping[str, ScaleRule | None],
) -> Allocation:
    """The rules' data: values of the layers on some samples, and the effect of errors in them."""
    graph, layers = conversion.canonical, tuple(conversion.populations())
    outputs = Roles(graph).read_from()
    statistics = conversion.calibrate(samples, progress=False)
    settings = dict.fromkeys(layers, NeuronConfig())
    context = RuleContext(graph, conversion.graph, settings, outputs, statistics)
    weights = sensitivities(graph, layers, samples, outputs, "channel", work)
    return Allocation(context, weights, rules)


STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SCALES = "scales"
"""Under this name a refined setting has the scales of all channels, as JSON."""

CORRECTION, EACH_STEP = "correction", "each step"
"""The parameter, and the correction that gives channels a bias for each step."""

_NEURONS, _STARTS = ("default", "bipolar"), ("half", "zero")
_WHOLE = Check("a whole number from 1", lambda value: is_plain_whole(value) and value >= 1)
_SECONDS = Check("a number of seconds above 0", lambda value: is_plain_number(value) and value > 0)

_FIRST = ("sensitivity", "percentile", "channel percentile", "minimum error", "one scale")
_DIGITS = 4  # of a scale or a budget, so that it can be written down
_OFFSET = "offset "


def space_of(conversion: Conversion) -> dict[str, Parameter]:
    """Everything that may be searched for this network.

    "level" is the logarithm to base 2 of the spikes that a neuron is to send for a sample,
    "offset LAYER" a layer's own share. "steps" and "readout" are read off each run.
    """
    types = [ensemble.neuron_type for ensemble in conversion.populations().values()]
    integrate = all(isinstance(neuron_type, IntegrateAndFire) for neuron_type in types)
    space: dict[str, Parameter] = {
        "steps": Choices(STEPS, _WHOLE),
        "readout": Choices(tuple(READOUTS), one_of(READOUTS)),
        "rule": Choices(tuple(searched_rules())),
        "max_spikes_per_step": Choices((None, 1), _or_none(_WHOLE)),
        "neuron": Choices(("default", "bipolar") if integrate else ("default",), one_of(_NEURONS)),
        "initial_voltage": Choices(_STARTS, one_of(_STARTS)),
        "synapse": Choices((None, 0.002, 0.005), _or_none(_SECONDS)),
        CORRECTION: Choices(
            (None,) if conversion.lowered.stepping else (None, EACH_STEP), one_of((None, EACH_STEP))
        ),
        "level": Range(-10.0, 8.0, -1.0),
    }
    if len(types) > 1:
        layers = conversion.populations()
        space |= {offset_of(name): Range(-4.0, 4.0, 0.0) for name in layers}
    return space


def _or_none(check: Check) -> Check:
    return Check(f"None or {check.must}", lambda value: value is None or check.holds(value))


def offset_of(layer: str) -> str:
    """The parameter of a layer's own share: studies name it without the kind that is printed."""
    return _OFFSET + label_to_name(layer)


def searched_rules() -> dict[str, ScaleRule | None]:
    """All rules that are searched, by name; None spends spikes where they do most.

    Those that studies have always known come first: a study keeps the order. Raises `TuningError`
    where two kinds have one name.
    """
    found: dict[str, ScaleRule | None] = {}
    for kind in RULES.values():
        for name, rule in kind.searched().items():
            if name in found:
                raise TuningError(f"space: two kinds of rules are searched as {name!r}")
            found[name] = rule
    return {**{name: found[name] for name in _FIRST}, **found}


def with_rules(
    wanted: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, ScaleRule | None]]:
    """A restriction of the space with rules by name, and all rules that it may name.

    Layers of offsets may have the kinds that they are printed with. A rule is one of
    `searched_rules`, a `ScaleRule`, or one as text, as the command line takes it.
    Raises `TuningError` for anything else.
    """
    known = searched_rules()
    wanted = {
        offset_of(name.removeprefix(_OFFSET)) if str(name).startswith(_OFFSET) else name: value
        for name, value in wanted.items()
    }
    if "rule" not in wanted:
        return wanted, known
    given = wanted["rule"]
    several = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
    names = []
    for item in several:
        names.append(str(item) if isinstance(item, ScaleRule) else item)
        if isinstance(item, ScaleRule) or (isinstance(item, str) and item not in known):
            known[names[-1]] = _proportions(item)
        elif not isinstance(item, str):
            raise TuningError(f"space: 'rule' is a rule or a name of one, got {item!r}")
    return {**wanted, "rule": names}, known


def _proportions(given: str | ScaleRule) -> ScaleRule | None:
    """The rule whose proportions are searched; of a rule with a budget, the one that it is like."""
    try:
        rule = parse(given) if isinstance(given, str) else given
    except (ValueError, ConversionError) as error:
        known = ", ".join(searched_rules())
        raise TuningError(f"space: 'rule' is one of {known}, or a rule as text: {error}") from error
    return rule.like if isinstance(rule, EnergyBudget) else rule


@dataclass(frozen=True, eq=False)
class Translation:
    """From values of parameters to arguments of `convert`."""

    allocation: Allocation
    dt: float

    def arguments(self, values: Mapping[str, Plain]) -> dict[str, Any]:
        """Arguments of `convert`: scales as numbers, of few digits."""
        if values.get(SCALES) is not None:
            return self._refined(values)
        setting, layers = _setting(values), self.allocation.layers
        shares = {name: float(values.get(offset_of(name)) or 0.0) for name in layers}
        spikes = self.allocation.neurons * 2.0 ** float(values["level"] or 0.0)
        rule, steps = str(values["rule"]), int(values["steps"] or 1)
        found = self.allocation.thresholds(rule, spikes, shares, steps, setting)
        scales = {name: 1.0 / (theta * self.dt) for name, theta in found.items()}
        return self._with(scales, values)

    def as_chosen(self, values: Mapping[str, Plain], rule: ScaleRule) -> Values:
        """Values with the thresholds that a rule chooses itself, in the place of a level."""
        found = self.allocation.chosen(rule, _setting(values))
        scales = {name: 1.0 / (theta * self.dt) for name, theta in found.items()}
        return self.refined(values, scales)

    def rule(self, values: Mapping[str, Plain], steps: int, spikes: float) -> ScaleRule | None:
        """The rule of these values, with so many spikes a sample to spend; None with none.

        A code with steps of its own has none either.
        """
        if not spikes > 0 or values.get(CODING) is not None:
            return None
        like = self.allocation.rules[str(values["rule"])]
        budget = float(f"{spikes:.{_DIGITS}g}")
        return EnergyBudget(steps, spikes=budget, dt=self.dt, per="channel", like=like)

    def refined(self, values: Mapping[str, Plain], scales: Mapping[str, NDArray]) -> Values:
        """Values that stand for these scales `(channels,)` of each layer, all else the same."""
        neutral = {name: 0.0 for name in values if name == "level" or name.startswith(_OFFSET)}
        written = {name: rounded(scale).tolist() for name, scale in scales.items()}
        return {**values, **neutral, SCALES: json.dumps(written)}

    def shortened(self, values: Values, steps: int) -> Values:
        """Values of the same network in fewer steps: its scales, written down."""
        if steps == values["steps"]:
            return values
        return {**self.refined(values, self.scales(values)), "steps": steps}

    def scales(self, values: Mapping[str, Plain]) -> dict[str, NDArray]:
        """The scales `(channels,)` of each layer."""
        return self.by_channel(self.arguments(values)["scale_firing_rates"])

    def by_channel(self, found: Mapping[str, Any]) -> dict[str, NDArray]:
        """Scales of each layer, as a network has them, one for each channel."""
        return {
            name: np.broadcast_to(np.reshape(found[name], -1), (layer.values.channels,))
            for name, layer in self.allocation.layers.items()
        }

    def _refined(self, values: Mapping[str, Plain]) -> dict[str, Any]:
        """Scales that are written down; level and offsets are powers of two that multiply them."""
        level = float(values["level"] or 0.0)
        scales = {
            name: np.array(scale) * 2.0 ** (level + float(values.get(offset_of(name)) or 0.0))
            for name, scale in json.loads(str(values[SCALES])).items()
        }
        return self._with(scales, values)

    def _with(self, scales: Mapping[str, NDArray], values: Mapping[str, Plain]) -> dict[str, Any]:
        layers = self.allocation.layers
        return {
            "scale_firing_rates": {
                name: _plain(layers[name].spread(rounded(scale))) for name, scale in scales.items()
            },
            **neurons_of(values),
        }


def neurons_of(values: Mapping[str, Plain]) -> dict[str, Any]:
    """Arguments of `convert` that choose neurons and their code."""
    code = code_of(values)
    return {
        "synapse": values["synapse"],
        "initial_voltage": values["initial_voltage"],
        "spiking": {RectifiedLinear: BipolarIntegrateAndFire()}
        if values["neuron"] == "bipolar"
        else True,
        "max_spikes_per_step": values["max_spikes_per_step"],
        **({} if code is None else {"coding": code}),
    }


_NEURONS_OF_CODES = ("max_spikes_per_step", "neuron", "initial_voltage", "synapse", CORRECTION)
"""Parameters that a code may leave no choice."""


def values_for(code: Coding, space: Space) -> Values:
    """The first values of a space that a code has a place for, all but its scales.

    Raises `TuningError` for steps that are not those of the code, and as `convert` does where none
    have a place.
    """
    steps, allowed = code.steps, choices_of(space, "steps")
    if steps not in allowed and allowed != STEPS:
        raise TuningError(
            f"space: 'steps' is {list(allowed)}, and {brief(code)} says its values in {steps}: "
            "leave steps out of the space, or give a code of as many"
        )
    refused: ConversionError | None = None
    for chosen in product(*(choices_of(space, name) for name in _NEURONS_OF_CODES)):
        values = {**begin(space), **dict(zip(_NEURONS_OF_CODES, chosen, strict=True))}
        given = {"bias_correction": values[CORRECTION], "scale_firing_rates": None}
        try:
            code.filled({**neurons_of(values), **given})
        except ConversionError as error:
            refused = refused or error
        else:
            return with_code({**values, "steps": steps}, code)
    assert refused is not None
    raise refused


def _setting(values: Mapping[str, Plain]) -> NeuronConfig:
    """The facts about neurons that rules use."""
    cap: Any = values["max_spikes_per_step"]
    return NeuronConfig(cap, 0.5 if values["initial_voltage"] == "half" else 0.0)


def rounded(values: NDArray) -> NDArray:
    """All values in one axis, rounded to a few significant digits."""
    return np.array([float(f"{value:.{_DIGITS}g}") for value in values.reshape(-1)])


def _plain(scale: NDArray) -> float | NDArray:
    """One number where all are the same."""
    if np.all(scale == scale.reshape(-1)[0]):
        return float(scale.reshape(-1)[0])
    return scale
