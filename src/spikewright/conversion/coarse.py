"""Warnings where neurons hardly spike: values that so few spikes carry are coarse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright.advice import advise
from spikewright.choosing.scales import has_rule
from spikewright.errors import listed
from spikewright.lower.trace import Trace

_COARSE = 1.0  # spikes a neuron and run, below which the trace says so
_LOST = 0.25  # below which it is said aloud, where nobody chose the scales by data


def warn_of_few_spikes(
    trace: Trace, scales: Any, means: Mapping[str, float], steps: int, dt: float
) -> None:
    """Leave a warning for each layer whose neurons spike less than once on average.

    `means` are spikes a neuron in the whole run, by layer; `scales` is the argument of `convert`.
    Rules account for few spikes themselves: of their choices only silence gives a warning.
    """
    coarse = {name: mean for name, mean in means.items() if mean < _COARSE}
    for name, mean in coarse.items():
        text = (
            f"{mean:.2g} spikes a neuron in {steps} steps of {dt} s: values are coarse; "
            "raise scale_firing_rates or steps"
        )
        trace.add("run", name, text, "warning")
    limit = 0.0 if isinstance(scales, Mapping) or has_rule(scales) else _LOST
    lost = [f"{name} {mean:.2g}" for name, mean in coarse.items() if mean <= limit]
    if lost:
        trace.say(
            "run",
            f"neurons hardly spike in {steps} steps of {dt} s, so that outputs say little; spikes "
            f"a neuron: {listed(lost)}. {advise('few spikes', steps=steps)}",
        )
