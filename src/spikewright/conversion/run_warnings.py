"""Warnings about a run: of another length than the exact one, or with hardly a spike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikewright._base.amounts import counted
from spikewright.advice import advise
from spikewright.choosing.scales import has_rule
from spikewright.errors import listed
from spikewright.lower.choices import seconds_until_exact
from spikewright.lower.trace import Trace, kind_of, steps_in
from spikewright.running.converted import Converted

_RUN = "this run has"
_COARSE = 1.0  # spikes a neuron and run, below which the trace says so
_LOST = 0.25  # below which it is said aloud, where nobody chose the scales by data


def warn_of_length(conversion: Converted, steps: int, dt: float, about: str = _RUN) -> None:
    """Warn of a run of another length than the right one, once per conversion and length."""
    doubt = doubt_of_length(conversion, (steps,), dt, about)
    if doubt:
        conversion.trace.say(f"run of {steps} x {dt}" if about == _RUN else about, doubt)


def doubt_of_length(
    conversion: Converted, lengths: Sequence[int], dt: float, about: str = _RUN
) -> str:
    """The sentences on runs that are read out after these numbers of steps, if none is right.

    Layers that round by themselves are exact after a number of steps; input that comes at once is
    that of a number of steps, and of a shorter run it is too much. With `sequence_step` each step
    of the sequence is a run.
    """
    lowered = conversion.lowered
    if lowered.stepping is not None:
        lengths, about = (lowered.stepping.steps,), "a step of the sequence has"
    longest = max(lengths)
    return _too_short(lowered.at_once, longest, about) or _not_exact(
        _lengths(conversion), lengths, dt, f"{about} {counted(longest, 'step')} of {dt * 1000:g} ms"
    )


def _too_short(at_once: int, steps: int, about: str) -> str:
    if steps >= at_once:
        return ""
    return (
        f"{about} {counted(steps, 'step')}, and the input of {at_once} comes at once in the first, "
        f"so that every value is {at_once / steps:.3g} times too large. Give {at_once} steps or "
        "more, or choose neurons for fewer: sw.BipolarIntegrateAndFire.in_steps(steps)"
    )


def _lengths(conversion: Converted) -> dict[str, float]:
    """The seconds after which each layer is exact, of those that were promised to be and still are.

    A layer that a correction fitted to a number of steps is exact after none.
    """
    promised = {e.layer for e in conversion.trace if kind_of(e.status) == "exact after"}
    fitted = {e.layer for e in conversion.trace if e.stage == "correct"}
    found = {
        name: seconds_until_exact(conversion.canonical[name].layer, ensemble)
        for name, ensemble in conversion.populations().items()
        if name in promised - fitted
    }
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _not_exact(found: Mapping[str, float], lengths: Sequence[int], dt: float, has: str) -> str:
    """The sentences on layers that are exact after none of the numbers of steps, or nothing."""
    steps = {name: steps_in(seconds, dt) for name, seconds in found.items()}
    numbers = set(steps.values())
    if not found or (len(numbers) == 1 and numbers <= set(lengths)):
        return ""
    shown = {name: _time(found[name], dt) for name in found}
    if len(set(shown.values())) > 1:
        each = listed([f"{name} after {time}" for name, time in shown.items()])
        longest = max(found.values())
        return (
            f"layers that round are exact after different numbers of steps ({each}), so that no "
            f"run has the source's values, and {has}. With the firing-rate scale levels / "
            f"(threshold x {longest:.6g}) for each of them all are exact after "
            f"{_time(longest, dt)}"
        )
    time = next(iter(shown.values()))
    return (
        f"layers that round ({listed(list(found))}) are exact after {time} and at no other "
        f"length, and {has}: outputs are not the source's. Run {time}, or train the source with "
        "as many levels as there are to be steps"
    )


def _time(seconds: float, dt: float) -> str:
    """A number of steps, or milliseconds where no whole number of steps lasts so long."""
    steps = steps_in(seconds, dt)
    return f"{seconds * 1000:.6g} ms" if steps is None else counted(steps, "step")


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
