"""Ways to convert for a given number of steps: rules, neurons, corrections, readouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.choosing.correction import BiasCorrection, VoltageCorrection
from spikewright.choosing.rules import (
    LocalThresholdBalancing,
    MinimumError,
    Percentile,
    ThresholdIteration,
)
from spikewright.measure import After, EveryStep
from spikewright.network.neurons import BipolarIntegrateAndFire, IntegrateAndFire, RectifiedLinear

_UNCAPPED = (1, 2, 4, 8)  # spikes a step that thresholds make room for where nothing bounds them
_SHARES = (0.9, 0.75)  # of the steps, in which a neuron is counted on to spike


@dataclass(frozen=True, eq=False)
class Candidate:
    """A way to convert: `arguments` of `convert` but its model and data, `readouts` to try."""

    name: str
    arguments: Mapping[str, Any]
    readouts: Sequence[EveryStep] = ("mean",)


def first_candidates(
    steps: int, dt: float, cap: int | None, rectifies: bool = True
) -> list[Candidate]:
    """Every rule, for ReLU with neurons that take spikes back and with ones that do not."""
    return [
        Candidate(f"{name}{what}", {**neurons, "scale_firing_rates": rule}, _readouts(steps, dt))
        for what, neurons in _neurons(cap, rectifies).items()
        for name, rule in _rules(steps, dt, cap).items()
    ]


def _neurons(cap: int | None, rectifies: bool) -> dict[str, dict[str, Any]]:
    """Arguments that choose neurons, by their description."""
    if not rectifies:
        return {"": {"spiking": True, "max_spikes_per_step": cap}}
    types = {", takes spikes back": BipolarIntegrateAndFire(), "": IntegrateAndFire()}
    return {
        what: {"spiking": {RectifiedLinear: neurons}, "max_spikes_per_step": cap}
        for what, neurons in types.items()
    }


def _rules(steps: int, dt: float, cap: int | None) -> dict[str, Any]:
    """Rules by name; where nothing bounds spikes a step, one for each of several bounds."""
    if cap is None:
        return {
            f"MinimumError, room for {most} spikes a step": MinimumError(
                steps, dt=dt, spikes_per_step=most
            )
            for most in _UNCAPPED
        }
    return {
        "MinimumError": MinimumError(steps, dt=dt),
        **{
            f"MinimumError, {share:.0%} of the steps": MinimumError(steps, dt=dt, share=share)
            for share in _SHARES
        },
        "Percentile": Percentile(99.9, dt=dt, per="channel"),
        "LocalThresholdBalancing": LocalThresholdBalancing(dt=dt),
        "ThresholdIteration": ThresholdIteration(steps, dt=dt),
    }


def _readouts(steps: int, dt: float) -> tuple[EveryStep, ...]:
    """The mean over all steps, and over those after the first eighth, quarter and half of them."""
    starts = sorted({steps // part for part in (8, 4, 2)} - {0})
    return ("mean", *(After(start * dt) for start in starts))


def corrected(
    candidate: Candidate, numbers: Mapping[str, Any], data: Any, steps: int, dt: float
) -> list[Candidate]:
    """The same with corrections of mean errors, measured on `data`.

    `numbers` are the arguments that its rules came to: they do not choose anew.
    """
    changes: dict[str, dict[str, Any]] = {
        "voltages corrected": {"initial_voltage": VoltageCorrection(steps, dt=dt)},
        "biases corrected": {"bias_correction": BiasCorrection(steps, dt=dt)},
    }
    return [
        Candidate(
            f"{candidate.name}, {name}",
            {**numbers, **change, "calibration": data},
            candidate.readouts,
        )
        for name, change in changes.items()
    ]
