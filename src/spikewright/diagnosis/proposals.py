"""Proposals against the losses that a diagnosis found: changes, and their predicted effects."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import joules
from spikewright.choosing import ScaleRule
from spikewright.choosing.rules import EnergyBudget, MinimumError
from spikewright.choosing.rules.rule import format_range
from spikewright.diagnosis.layer_losses import Batch, DiagnosedSamples, LayerLoss, level_with_others
from spikewright.diagnosis.loss import Loss, LossTally, Scorer
from spikewright.diagnosis.mean_propagation import MeanPropagation, network_means, outputs_of
from spikewright.diagnosis.mean_response import LayerNeurons
from spikewright.errors import SpikewrightError
from spikewright.network.neurons import BipolarIntegrateAndFire, IntegrateAndFire, RectifiedLinear
from spikewright.running.protocols import ConversionLike

_WORST = 3  # layers whose own scale is looked at
_MATTERS = 0.02  # of the largest loss, or of a layer's gap: less is not worth a change
_TIMES = (2, 4)
_SHARES = (1, 2, 4, 8)  # of a factor: what a layer loses need not all be won back

Scale = float | NDArray


@dataclass(frozen=True)
class ProposalEffect:
    """The effect of a change: the decrease of the loss, and the additional spikes a sample."""

    gain: float
    price: float


@dataclass(frozen=True, eq=False)
class Proposal:
    """A change to make: `conversion.replace(**arguments)`, run for `steps` steps.

    Those of one `kind` change the same thing, more or less of it. `spikes` a sample are known where
    they were measured already. `predicted` follows the means through the network as it would be;
    `measured` is the effect in a run on the same samples, None before that run. Gains are in
    accuracy (a fraction), or without labels in the relative change of the output; prices in spikes
    a sample.
    """

    kind: str
    text: str
    steps: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    spikes: float | None = None
    predicted: float = 0.0
    price: float = 0.0
    measured: ProposalEffect | None = None

    @property
    def effect(self) -> ProposalEffect:
        """The measured effect, or else the predicted one."""
        return self.measured or ProposalEffect(self.predicted, self.price)


@dataclass(frozen=True, eq=False)
class Diagnosed:
    """The findings: the conversion, its run, layers (the worst first), spikes a sample.

    `failures` collects the reasons of changes that could not be tried, by their text.
    """

    conversion: ConversionLike
    samples: DiagnosedSamples
    layers: Sequence[LayerLoss]
    spikes: float
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return self.samples.plan.steps

    def neurons(self) -> dict[str, LayerNeurons]:
        """The layers of spiking neurons whose rates can be scaled."""
        return {
            name: lossy.neurons
            for name, lossy in self.samples.plan.lossy_layers.items()
            if lossy.neurons is not None
            and lossy.neurons.neuron_type.spiking
            and lossy.neurons.neuron_type.scaling != "refused"
        }

    def suffers(self, *parts: str) -> bool:
        """Whether these parts are a share of any layer's gap."""
        return any(
            layer.parts[name] > _MATTERS * layer.gap  # type: ignore[index]
            for layer in self.layers
            for name in parts
        )

    def argument(self, name: str) -> Any:
        """The argument that the conversion was made with."""
        return self.conversion.arguments[name]

    @cached_property
    def scales(self) -> dict[str, Scale]:
        """The firing-rate scale of every layer with neurons."""
        populations = self.conversion.populations()
        scales = {name: np.asarray(ensemble.rate_scale) for name, ensemble in populations.items()}
        return {name: float(s) if s.ndim == 0 else s for name, s in scales.items()}

    @cached_property
    def _data(self) -> dict[str, NDArray]:
        return dict(self.samples.inputs)  # one object, whose statistics are collected once

    def chosen(
        self, what: str, rule: ScaleRule | Mapping[str, Any], **others: Any
    ) -> dict[str, Scale] | None:
        """The scales that a rule chooses on the samples, for all layers or some of them.

        `others` are other arguments that change. None where it cannot, which is noted as a failure
        of `what`.
        """
        changes = {"scale_firing_rates": rule, "calibration": self._data, **others}
        try:
            made = self.conversion.replace(**{**self.settled, **changes})
        except SpikewrightError as error:
            self.failures[what] = str(error)
            return None
        scales: dict[str, Scale] = made.resolved["scale_firing_rates"]
        return scales

    @property
    def budget(self) -> EnergyBudget | None:
        """The rule that chose the scales, where it was one with a budget."""
        given = self.argument("scale_firing_rates")
        items = given.values() if isinstance(given, Mapping) else [given]
        return next((item for item in items if isinstance(item, EnergyBudget)), None)

    @property
    def settled(self) -> dict[str, Any]:
        """Arguments that were left to rules, in numbers, where they had data: none is needed."""
        given, numbers = self.conversion.arguments, self.conversion.resolved
        if given["calibration"] is None:
            return {}
        return {name: value for name, value in numbers.items() if value is not given[name]}


def remedies(case: Diagnosed) -> list[Proposal]:
    """Every remedy against the losses found, in no order."""
    families = (_policies, _scales_of_worst, _caps, _neurons, _synapses, _starts, _of_all, _rules)
    found = [remedy for family in families for remedy in family(case)]
    return [replace(r, arguments={**case.settled, **r.arguments}) for r in found]


def _policies(case: Diagnosed) -> Iterator[Proposal]:
    if case.argument("max_pool") == "average" and case.suffers("policy"):
        yield Proposal("pooling", "max pooling as in the source", case.steps, {"max_pool": "gate"})


def _scales_of_worst(case: Diagnosed) -> Iterator[Proposal]:
    """The scale of each of the worst layers: so that it loses no more than others do, or least."""
    worst = max(layer.loss.value for layer in case.layers)
    able = case.neurons()
    for layer in [found for found in case.layers if found.name in able][:_WORST]:
        if layer.loss.value < _MATTERS * worst:
            continue
        if able[layer.name].cap is None:
            factor = level_with_others(case.samples, case.layers, layer)
            for less in _SHARES:
                if factor / less > 1.0:
                    yield _moved(case, layer.name, case.scales[layer.name] * (factor / less))
        else:
            rule = MinimumError(case.steps, case.samples.plan.dt, per="auto")
            what = f"the scale of least error for {layer.name} (MinimumError)"
            scales = case.chosen(what, {**case.scales, layer.name: rule})
            if scales is not None:
                yield _moved(case, layer.name, scales[layer.name])


def _moved(case: Diagnosed, name: str, scale: Scale) -> Proposal:
    """One layer's scale, all others kept: complete, in numbers."""
    old, new = np.asarray(case.scales[name]), np.asarray(scale)
    verb = "raise" if new.mean() > old.mean() else "lower"
    text = f"{verb} the scale of {name} from {format_range(old)} to {format_range(new)}"
    scales = {**case.scales, name: scale}
    return Proposal(f"scale of {name}", text, case.steps, {"scale_firing_rates": scales})


def _caps(case: Diagnosed) -> Iterator[Proposal]:
    """More spikes a step, where the cap cuts values off."""
    caps = {neurons.cap for neurons in case.neurons().values() if neurons.cap is not None}
    cap = case.argument("max_spikes_per_step")
    if cap is None or caps != {cap} or not case.suffers("clipping"):
        return
    for times in _TIMES:
        text = f"let a neuron send up to {times * cap} spikes a step"
        yield Proposal("cap", text, case.steps, {"max_spikes_per_step": times * cap})
    yield Proposal(
        "cap", "lift the cap on spikes a step", case.steps, {"max_spikes_per_step": None}
    )


def _neurons(case: Diagnosed) -> Iterator[Proposal]:
    """Rectifiers with negative spikes, where the order of arrival matters."""
    types = {type(ensemble.neuron_type) for ensemble in case.conversion.populations().values()}
    if IntegrateAndFire not in types or not case.suffers("arrival order"):
        return
    spiking = case.argument("spiking")
    kept = spiking if isinstance(spiking, Mapping) else {}
    chosen = {**kept, RectifiedLinear: BipolarIntegrateAndFire()}
    if any(isinstance(neurons, IntegrateAndFire) for neurons in kept.values()):
        chosen = {
            key: BipolarIntegrateAndFire(max_spikes_per_step=neurons.most_spikes)
            if isinstance(neurons, IntegrateAndFire)
            else neurons
            for key, neurons in kept.items()
        }
    changes = {"spiking": chosen}
    yield Proposal("neurons", "neurons with negative spikes", case.steps, changes)


def _synapses(case: Diagnosed) -> Iterator[Proposal]:
    if case.suffers("settling"):
        yield Proposal("synapse", "no synapse", case.steps, {"synapse": None})


def _starts(case: Diagnosed) -> Iterator[Proposal]:
    start = case.argument("initial_voltage")
    halves = start is None or (isinstance(start, str) and start == "half")
    if not halves and case.suffers("quantisation", "arrival order"):
        yield Proposal("start", "start from half a spike", case.steps, {"initial_voltage": "half"})


def _of_all(case: Diagnosed) -> Iterator[Proposal]:
    """More of everything: rates, or time."""
    able = case.neurons()
    capped = any(neurons.cap is not None for neurons in able.values())
    scalable = bool(able) and set(able) == set(case.scales) and not capped
    for times in _TIMES:
        if scalable:
            scales = {name: scale * times for name, scale in case.scales.items()}
            text = f"{times} times the firing rates of every layer"
            yield Proposal("rates", text, case.steps, {"scale_firing_rates": _one_number(scales)})
        yield Proposal("steps", f"{times} times as many steps", times * case.steps)


def _rules(case: Diagnosed) -> Iterator[Proposal]:
    """Scales chosen anew on these samples: of least error at a cap, else by effects of spikes."""
    able, steps, dt = case.neurons(), case.steps, case.samples.plan.dt
    capped = {neurons.cap is not None for neurons in able.values()}
    if set(able) != set(case.scales) or len(capped) != 1:
        return
    if capped == {True}:
        text = "scales of least error for each channel (MinimumError)"
        rules: Iterable[tuple[str, ScaleRule, float | None]] = [
            (text, MinimumError(steps, dt), None)
        ]
    else:
        rules = _budgets(case)
    for text, rule, spikes in rules:
        scales = case.chosen(text, rule)
        if scales is not None:
            yield Proposal("rule", text, steps, {"scale_firing_rates": scales}, spikes)


def _budgets(case: Diagnosed) -> Iterator[tuple[str, ScaleRule, float | None]]:
    """Budgets to try: a text, the rule, and the spikes where those are the budget.

    A budget in joules stays one, at the price of an addition that was given for it.
    """
    steps, dt, rule = case.steps, case.samples.plan.dt, case.budget
    for times in (1, *_TIMES):
        if rule is not None and rule.joules is not None:
            paid, each = times * rule.joules, rule.joules_per_addition
            price = f"{joules(paid)} a sample, in additions of {joules(each)},"
            text = f"spend {price} where they do most (EnergyBudget)"
            yield text, replace(rule, steps=steps, dt=dt, joules=paid), None
        elif case.spikes > 0:
            budget = times * case.spikes
            spikes = f"{budget:,.0f}" if budget > 99.5 else f"{budget:.3g}"
            text = f"spend {spikes} spikes a sample where they do most (EnergyBudget)"
            yield text, EnergyBudget(steps, spikes=budget, dt=dt), budget


def _one_number(scales: Mapping[str, Scale]) -> Scale | Mapping[str, Scale]:
    """One number for all layers, where the scales are that."""
    numbers = {scale if isinstance(scale, float) else None for scale in scales.values()}
    (number, *others) = numbers
    return scales if others or number is None else number


_ALIKE = 20  # gains within a twentieth of what was lost count as equal: the cheaper goes first
_LEAST = 1e-9  # a gain


def predict(
    samples: DiagnosedSamples,
    scorer: Scorer | None,
    spikes: float,
    plans: Sequence[MeanPropagation],
    advance: Callable[[int], None],
) -> list[ProposalEffect]:
    """The predicted effect of each plan on the samples of a run that had `spikes` a sample."""
    present_plan, accounts = (
        samples.plan,
        [_Forecast(scorer, samples) for _ in range(len(plans) + 1)],
    )
    for batch in samples:
        for plan, account in zip((present_plan, *plans), accounts, strict=True):
            account.add(batch, present_plan, plan)
        advance(1)
    now, *then = accounts
    # a net count leaves out negative spikes
    a_spike = spikes / now.spikes if min(spikes, now.spikes) > 0 else 1.0 / len(samples)
    return [
        ProposalEffect(
            now.tally.loss.value - found.tally.loss.value,
            (found.spikes - now.spikes) * a_spike,
        )
        for found in then
    ]


class _Forecast:
    """Adds up outputs and spikes of a plan, batch by batch."""

    def __init__(self, scorer: Scorer | None, samples: DiagnosedSamples) -> None:
        self.tally, self.spikes = LossTally(scorer, samples.real_outputs), 0.0

    def add(self, batch: Batch, before: MeanPropagation, plan: MeanPropagation) -> None:
        values = network_means(plan, batch.source, carried_over(batch.disorder, before, plan))
        source = outputs_of(plan, batch.source)
        self.tally.add(batch.samples, source, outputs_of(plan, values))
        self.spikes += sum(
            lossy.spikes(batch.value(name, values[name]))
            for name, lossy in plan.lossy_layers.items()
        )


def carried_over(
    disorder: Mapping[str, NDArray], before: MeanPropagation, after: MeanPropagation
) -> dict[str, NDArray]:
    """The loss to arrival order in another plan.

    Nothing is lost where the new neurons follow the sum of their currents, and the old do not. Else
    the loss falls with the number of steps, and with the height of the arriving spikes.
    """
    found = {}
    for name, lost in disorder.items():
        old = before.lossy_layers[name].neurons
        new = after.lossy_layers[name].neurons if name in after.lossy_layers else None
        if old is None or new is None:
            continue
        if new.neuron_type.order_independent and not old.neuron_type.order_independent:
            continue
        heights = [
            share * _height(after, sender) / _height(before, sender)
            for sender, share in before.blamed[name].items()
            if sender != name
        ]
        relative = sum(heights) if heights else 1.0
        found[name] = lost * (relative * before.steps / after.steps)
    return found


def _height(plan: MeanPropagation, name: str) -> float:
    neurons = plan.lossy_layers[name].neurons
    return 1.0 if neurons is None else neurons.mean_height


def ranked(proposals: Sequence[Proposal], lost: Loss) -> tuple[Proposal, ...]:
    """The proposals that gain something, the largest gain first, of equal gains the cheapest.

    One is left out where another of its kind brings as much for no more spikes and no more steps.
    """
    unit = max(lost.value / _ALIKE, _LEAST)

    def rank(proposal: Proposal) -> tuple[float, float, int]:
        effect = proposal.effect
        return -float(np.round(effect.gain / unit)), effect.price, proposal.steps

    found: list[Proposal] = []
    for proposal in sorted((p for p in proposals if p.effect.gain >= unit), key=rank):
        places = [(rank(other), rank(proposal)) for other in found if other.kind == proposal.kind]
        if not any(all(map(operator.le, better, place)) for better, place in places):
            found.append(proposal)
    return tuple(found)
