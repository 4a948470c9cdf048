"""Codes of values in spikes, which are values of `convert(coding=...)`.

Firing rates distinguish T + 1 values in T steps. Signed digits of a binary number distinguish 2^T:
the spike of a layer's step k is worth 2^(T-k), and may be negative, so that later digits correct an
early guess (on-line arithmetic, Ercegovac 1984). Each layer starts some silent steps behind its
inputs, so that it knows their first digits before it sends its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole, refuse
from spikewright._base.schema import AboveZero, Where
from spikewright._base.spec_strings import SpecParser
from spikewright.choosing.rules import MinimumError
from spikewright.choosing.rules.rule import StepsRule, check_fields
from spikewright.choosing.scales import has_budget
from spikewright.choosing.silent_steps import find_silent_steps
from spikewright.choosing.statistics.collect import Batch
from spikewright.errors import Refusal
from spikewright.graph import GraphNode
from spikewright.graph import layers as g
from spikewright.lower import Lowered, by_layer
from spikewright.lower.choices import STEP, rounded
from spikewright.lower.coding import CODINGS, Coding
from spikewright.lower.populations import PopulationChoices, Roles, refusal
from spikewright.network.layer_times import set_times
from spikewright.network.neurons import BipolarIntegrateAndFire, NeuronType, RectifiedLinear
from spikewright.network.neurons.bipolar import MOST_DIGITS
from spikewright.running.protocols import ConversionLike

Digits = Annotated[int, Where(lambda n: 1 <= n <= MOST_DIGITS, f"from 1 to {MOST_DIGITS}")]
Steps = Annotated[int, Where(lambda n: n >= 1, "from 1")]


SilentSteps = int | Mapping[str, int] | Literal["auto"]


@CODINGS.register
@dataclass(frozen=True)
class RateCode(Coding):
    """Values as firing rates: the mean of what was sent tends to the value.

    With `steps` the scale of smallest error for so many, of `dt` seconds, is chosen
    (`sw.MinimumError`) where none is given, and runs that are given no number of steps take so
    many.
    """

    steps: Steps | None = None
    dt: AboveZero = STEP

    def __post_init__(self) -> None:
        check_fields(self)

    def filled(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.steps is None or given["scale_firing_rates"] is not None:
            return given
        rule = MinimumError(self.steps, self.dt, spikes_per_step=1)
        return {**given, "scale_firing_rates": rule}


_NO_PLACE: Mapping[str, tuple[Any, str]] = {
    "synapse": (None, "a filter mixes steps, and in each step a spike is worth another value"),
    "initial_voltage": ("half", "a neuron of digits begins at half a unit, so that it rounds"),
    "bias_correction": (None, "what digits lose is rounding, which has no mean to correct"),
    "weights": (None, "neurons that compute in whole numbers send no digits yet"),
    "max_spikes_per_step": (1, "a digit is one spike of either sign"),
}
"""Arguments of `convert` that digits leave no choice: what may be given beside None, and why."""

MAXIMA = (g.MaxPool, g.GlobalMaxPool)
"""Layers that pass digits on as they come."""


@CODINGS.register
@dataclass(frozen=True)
class SignedDigits(Coding):
    """Values as signed digits of a binary number: one spike of either sign a neuron and step.

    In its own `steps` steps a neuron says a whole number of units from 0 to `2^steps - 1`, or where
    values have both signs from `1 - 2^steps`. Units are those of smallest error on the calibration
    data, one a channel. A layer starts `silent_steps` behind its inputs: a number, one for each
    `{layer: number}`, or "auto": 1, and more for the layers that send most too late, until the
    outputs are at most 1.1 times as far from the source's as those of the rounded twin. With as
    many silent steps as steps a layer waits for all of its input. No weight is changed. Recurrent
    layers that run step by step take `sequence_step=steps`: a step of the sequence takes these, and
    the silent ones along the cell.

    Law: with `silent_steps=steps` the network's values are those of its rounded twin, the same
    network without time whose activations are rounded to units. Source of the parts: Ercegovac
    1984; neurons with negative spikes as You et al. 2024, arXiv:2406.03470.
    """

    steps: Digits
    silent_steps: SilentSteps = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        given = self.silent_steps
        each: list[Any] = [*given.values()] if isinstance(given, Mapping) else [given]
        if given != "auto" and not all(is_whole(n) and 0 <= n <= self.steps for n in each):
            raise refuse(
                "SignedDigits.silent_steps",
                f'it is "auto", or whole numbers from 0 to steps={self.steps}, one or one a layer '
                f"({{layer: number}}), got {given!r}",
            )

    def filled(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if given["spiking"] is not True:
            reason = f"signed digits choose the neurons, got spiking={given['spiking']!r}"
            raise refuse("coding", reason, "Give spiking=True")
        for name, (fitting, why) in _NO_PLACE.items():
            value = given.get(name)
            if not (value is None or (isinstance(value, str | int) and value == fitting)):
                text = repr(value) if isinstance(value, str | int | float) else type(value).__name__
                reason = f"signed digits have no place for it, since {why}; got {text}"
                raise refuse(name, reason, "Leave it out, or give coding=sw.RateCode()")
        self._check_step(given.get("sequence_step"))
        scale = given["scale_firing_rates"]
        self._check_scale(scale)
        found = {**given, "max_spikes_per_step": 1}
        if scale is None:
            found["scale_firing_rates"] = MinimumError(self.steps, per="channel")
        return found

    def _check_step(self, given: Any) -> None:
        """Raise `ConversionError` for steps of a sequence that are not those of a layer."""
        if given not in (None, self.steps):
            raise refuse(
                "sequence_step",
                f"a layer says its digits in {self.steps} steps, also in each step of a sequence, "
                f"got {given!r}",
                f"Give sequence_step={self.steps}",
            )

    def _check_scale(self, given: Any) -> None:
        """Raise `ConversionError` for rules that are for rates, or for other numbers of steps."""
        if has_budget(given):
            reason = "a budget buys numbers of spikes, and what digits say is no number of them"
            raise refuse("scale_firing_rates", reason, "Leave it out, or give coding=sw.RateCode()")
        rules = given.values() if isinstance(given, Mapping) else [given]
        for rule in rules:
            if isinstance(rule, StepsRule) and rule.steps != self.steps:
                reason = f"the rule is for {rule.steps} steps, and digits are said in {self.steps}"
                raise refuse("scale_firing_rates", reason, "Leave it out, or give equal steps")

    @property
    def looks_at_data(self) -> bool:
        return self.silent_steps == "auto"

    @property
    def sends_operands(self) -> bool:
        return True

    def neuron_type(self, rate: NeuronType) -> NeuronType:
        """The type that sends the digits of a rate type's values."""
        response = None if isinstance(rate, RectifiedLinear) else rate
        return BipolarIntegrateAndFire.digits(self.steps, response=response)

    def refused(self, roles: Roles) -> list[Refusal]:
        return [
            refusal(node, (why, "Convert with coding=sw.RateCode()"))
            for node in roles.graph
            if (why := _why_not(node, roles))
        ]

    def refused_scales(self, roles: Roles, choices: PopulationChoices) -> list[Refusal]:
        """Maxima of neurons whose units differ.

        Of one unit the maximum of what was sent rises and falls by whole digits, in the same step.
        """
        refusals = []
        for node in roles.graph:
            read = node.inputs[0] if isinstance(node.layer, MAXIMA) else ""
            if read in choices.scales and _differs(node.layer, choices.scales[read], roles, read):
                why = f"the neurons of {read!r} differ in their thresholds within its windows"
                move = "Give one scale a channel, MinimumError(steps, per='channel')"
                refusals.append(refusal(node, (why, move)))
        return refusals

    def arranged(self, roles: Roles, lowered: Lowered) -> Lowered:
        """Start each layer behind its inputs; "auto" begins with one silent step."""
        given = 1 if self.silent_steps == "auto" else self.silent_steps
        found = by_layer(given, roles.keys, "silent_steps", int)
        silent = {lowered.layers[name]: found[name] for name in roles.populations}
        set_times(lowered.network, silent, STEP)  # type: ignore[arg-type]
        return lowered

    def settled(
        self, conversion: ConversionLike, roles: Roles, samples: Batch | None
    ) -> SignedDigits:
        """The code with a number of silent steps in the place of "auto"; the network is changed."""
        if self.silent_steps != "auto":
            return self
        if not conversion.populations():  # nothing says anything, or waits
            return replace(self, silent_steps=1)
        if samples is None:
            raise refuse(
                "SignedDigits.silent_steps",
                '"auto" runs the network on calibration data, and none was given',
                "Give calibration=x, or a number such as silent_steps=1",
            )

        def waiting(silent: Mapping[str, int]) -> SignedDigits:
            numbers = set(silent.values())
            return replace(self, silent_steps=max(numbers) if len(numbers) == 1 else dict(silent))

        def arrange(silent: Mapping[str, int]) -> None:
            waiting(silent).arranged(roles, conversion.lowered)

        return waiting(find_silent_steps(conversion, arrange, self.steps, samples))


def _differs(pool: g.Layer, scale: NDArray, roles: Roles, read: str) -> bool:
    """True where neurons in one window of a maximum have different scales."""
    shape = roles.graph.shapes[read]
    whole = np.broadcast_to(scale, shape)
    if isinstance(pool, g.MaxPool):
        channel = len(shape) - 1 if pool.channels_last else 0
        axes = tuple(axis for axis in range(len(shape)) if axis != channel)
    else:
        axes = tuple(pool.axes)  # type: ignore[attr-defined]
    return bool(np.any(whole.max(axis=axes) != whole.min(axis=axes)))


def _why_not(node: GraphNode, roles: Roles) -> str:
    """The reason why a layer's values cannot be sent as digits; empty where they can."""
    if node.name in roles.activations and rounded(node.layer) is not None:
        return "it rounds its values to levels of its own, which are no digits"
    return ""


def _silent(text: str) -> int | str:
    """A number of silent steps, or the word "auto"."""
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise ValueError(f"silent_steps is auto or a whole number, not {text!r}") from None


parse_coding = SpecParser(
    "coding", {"rate": RateCode, "digits": SignedDigits}, {"SilentSteps": _silent}
)
"""The code that `digits:4` or `name:value,field=value` means; raises as `SpecParser` does."""
