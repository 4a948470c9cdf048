"""Proposals for signed digits: a digit more against rounding, a silent step more for lateness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spikewright.choosing.coding import SignedDigits
from spikewright.choosing.rules import MinimumError
from spikewright.diagnosis.proposals import Diagnosed, Proposal
from spikewright.network.neurons.bipolar import MOST_DIGITS
from spikewright.running.protocols import ConversionLike


def coding_of(conversion: ConversionLike) -> SignedDigits | None:
    """The code of signed digits of a conversion, None of firing rates."""
    coding = conversion.coding
    return coding if isinstance(coding, SignedDigits) else None


def remedies_of_digits(case: Diagnosed, coding: SignedDigits) -> list[Proposal]:
    """One more digit, against rounding, and one more silent step, against lateness."""
    found = [*_more_digits(case, coding), *_waits(case, coding)]
    return [replace(r, arguments={**case.settled, **r.arguments}) for r in found]


def _silent_steps(conversion: ConversionLike) -> dict[str, int]:
    """The steps that each layer waits behind its inputs."""
    times, layers = conversion.lowered.times, conversion.populations()
    assert times is not None
    return {name: times.silent_steps(ensemble) for name, ensemble in layers.items()}


def _more_digits(case: Diagnosed, coding: SignedDigits) -> Iterator[Proposal]:
    """One more digit for every layer, at scales of least error for them: less is rounded."""
    steps = coding.steps + 1
    if steps > MOST_DIGITS:
        return
    more = replace(coding, steps=steps)
    text = f"{steps} digits in place of {coding.steps}"
    scales = case.chosen(text, MinimumError(steps, per="channel"), coding=more)
    if scales is not None:
        yield Proposal("digits", text, steps, {"coding": more, "scale_firing_rates": scales})


def _waits(case: Diagnosed, coding: SignedDigits) -> Iterator[Proposal]:
    """One more silent step of the layer that is latest, of those that do not wait for all."""
    every = _silent_steps(case.conversion)
    silent = {name: times for name, times in every.items() if times < coding.steps}
    late = {layer.name: layer.late or 0.0 for layer in case.layers if layer.name in silent}
    latest = max(late, key=lambda name: late[name], default="")
    if late.get(latest, 0.0) == 0.0:
        return
    waiting = {**every, latest: silent[latest] + 1}
    text = (
        f"{waiting[latest]} silent steps of {latest}, of which {100 * late[latest]:.2f} % is late"
    )
    changes = {"coding": replace(coding, silent_steps=waiting)}
    yield Proposal("silent steps", text, coding.steps, changes)
