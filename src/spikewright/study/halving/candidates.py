"""Ways to convert for a given number of steps: rules, neurons, corrections, readouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright.choosing.correction import (
    BiasCorrection,
    StepCorrection,
    VoltageCorrection,
)
from spikewright.choosing.rules import RULES, ScaleRule
from spikewright.measure.readout import READOUTS, EveryStep
from spikewright.network.neurons import BipolarIntegrateAndFire, IntegrateAndFire, RectifiedLinear
from spikewright.study.setting import StudySetting

_FEW = 8  # steps, up to which first spikes that are taken as sent are tried
_SOME = 32  # steps, up to which heights that fall are


def candidates_of(
    rules: Mapping[str, ScaleRule], steps: int, dt: float, cap: int | None, rectifies: bool = True
) -> list[StudySetting]:
    """Rules by name, for ReLU with neurons that take spikes back and with ones that do not.

    In few steps and under a cap also with first spikes that receivers take as sent, and with spikes
    of falling heights.
    """
    return [
        StudySetting(f"{name}{what}", {**neurons, "scale_firing_rates": rule}, _readouts(steps, dt))
        for what, neurons in _neurons(steps, cap, rectifies).items()
        for name, rule in rules.items()
    ]


def compared_rules(steps: int, dt: float, cap: int | None) -> dict[str, ScaleRule]:
    """All registered rules for so many steps, by name."""
    return {
        name: rule
        for kind in RULES.values()
        for name, rule in kind.compared(steps, dt, cap).items()
    }


def _worth_assuming(steps: int) -> int:
    """The number of first steps in which receivers are to take a spike as sent.

    The last one has to stay free for what comes late, unless there are too few; in many steps the
    room that it makes is little beside the spikes that silent neurons send.
    """
    return max(min(steps, 2), steps - 1) if steps <= _FEW else 0


def _neurons(steps: int, cap: int | None, rectifies: bool) -> dict[str, dict[str, Any]]:
    """Arguments that choose neurons, by their description."""
    if not rectifies:
        return {"": {"spiking": True, "max_spikes_per_step": cap}}
    types = {", takes spikes back": BipolarIntegrateAndFire(), "": IntegrateAndFire()}
    assumed = 0 if cap is None else _worth_assuming(steps)
    if assumed:
        types[f", {assumed} taken as sent"] = BipolarIntegrateAndFire(assumed_spikes=assumed)
    if cap is not None and steps <= _SOME and max(steps, cap) > 1:
        what = ", heights fall" if steps > 1 else f", {cap} taken as sent at once"
        types[what] = BipolarIntegrateAndFire.in_steps(steps, cap)
    return {
        what: {"spiking": {RectifiedLinear: neurons}, "max_spikes_per_step": cap}
        for what, neurons in types.items()
    }


def _readouts(steps: int, dt: float) -> tuple[EveryStep, ...]:
    """Every readout that is compared for so many steps, the mean over all of them first."""
    return tuple(r for name, kind in READOUTS.items() for r in kind.compared(name, steps, dt))


def corrected(
    candidate: StudySetting, numbers: Mapping[str, Any], data: Any, steps: int, dt: float
) -> list[StudySetting]:
    """The same with corrections of mean errors, measured on `data`.

    `numbers` are the arguments that its rules came to: they do not choose anew.
    """
    changes: dict[str, dict[str, Any]] = {
        "voltages corrected": {"initial_voltage": VoltageCorrection(steps, dt=dt)},
        "steps corrected": {"bias_correction": StepCorrection(steps, dt=dt)},
        "biases corrected": {"bias_correction": BiasCorrection(steps, dt=dt)},
    }
    return [
        StudySetting(
            f"{candidate.name}, {name}",
            {**numbers, **change, "calibration": data},
            candidate.readouts,
        )
        for name, change in changes.items()
    ]
