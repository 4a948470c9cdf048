"""The settings that `convert(steps=...)` chooses for a number of steps: what the tables put first.

Signed digits lose least in as many steps, whatever the network (docs/few_steps.md); where a layer
or an argument has no place in them, one spike of either sign a step, with the scale of smallest
error and corrected means. Units, scales and corrections are found on the calibration data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spikewright._base.arguments import is_whole, refuse
from spikewright.advice import advise
from spikewright.choosing.calibration import is_statistics
from spikewright.choosing.coding import RateCode, SignedDigits
from spikewright.choosing.correction import StepCorrection
from spikewright.choosing.rules import MinimumError
from spikewright.network.neurons.bipolar import MOST_DIGITS, BipolarIntegrateAndFire

ENOUGH = 256
"""Samples that a choice is made on where nobody says which: more gain under .05 points on
Fashion-MNIST, and take longer."""


def candidates(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments of `convert` with the choice made, the best first; themselves without `steps`.

    Raises `ConversionError` for `steps` beside a code, without data or without spikes.
    """
    steps = given.get("steps")
    if steps is None:
        yield dict(given)
        return
    _check(given)
    rest = {**given, "steps": None}
    if steps <= MOST_DIGITS:
        yield {**rest, "coding": SignedDigits(steps)}
    rates = _in_rates(rest, steps)
    if given["spiking"] is True and given.get("weights") is None:  # else they bring their neurons
        yield {**rates, "spiking": {"relu": BipolarIntegrateAndFire()}}
    yield rates


def _in_rates(given: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Firing rates: one spike a step, the scale of smallest error, means corrected."""
    chosen: dict[str, Any] = {
        "coding": RateCode(steps),
        "max_spikes_per_step": 1,
        "scale_firing_rates": MinimumError(steps),
    }
    if given.get("weights") is None and given["sequence_step"] is None and _has_samples(given):
        chosen["bias_correction"] = StepCorrection(steps)
    return {**given, **{name: value for name, value in chosen.items() if given[name] is None}}


def _has_samples(given: Mapping[str, Any]) -> bool:
    """Whether means can be corrected: there are samples, and no start was given."""
    return given["initial_voltage"] is None and not is_statistics(given["calibration"])


def _check(given: Mapping[str, Any]) -> None:
    steps = given["steps"]
    if not (is_whole(steps) and steps >= 1):
        raise refuse("steps", f"it is None or a whole number from 1, got {steps!r}")
    if given.get("coding") is not None:
        reason = f"coding={given['coding']!r} says in how many steps a layer says a value"
        raise refuse("steps", reason, "Leave one of them out")
    if given["spiking"] is False:
        raise refuse("steps", "rate neurons answer in one step", "Give spiking=True")
    if given["calibration"] is None:
        reason = "the choice for so many steps is made on samples, and none were given"
        raise refuse("steps", reason, advise("data for a rule"))
