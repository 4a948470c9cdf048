"""A rectifier with negative spikes, whose total does not depend on the order of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import NetworkError
from spikewright.network.neurons.base import NeuronType, State, register
from spikewright.network.neurons.namespace import Array, ArrayNamespace, Clock
from spikewright.network.neurons.rectified import LinearResponse
from spikewright.network.neurons.wrappers import RunningMeanSpiking

_LAST = 3
"""The last height of single spikes, in whole numbers: those between are as fine as a third."""
_MOST = 2**16
"""What a spike may be worth, and the steps before the first digit; engines hold a number each."""
MOST_DIGITS = 16
_HIGHEST = 64
"""The worth of a first spike, in last ones, where steps send several."""


@register
@dataclass(frozen=True)
class BipolarIntegrateAndFire(LinearResponse):
    """Integrates `J`, sends spikes and takes them back: `N(t) = max(0, floor(v0 + s dt sum J))`.

    `N` is the number of spikes sent less negative ones. A step sends `k = floor(v / threshold)`
    spikes, as far as `N + k >= 0` and at most `max_spikes_per_step` of either sign where that is
    given; the rest follows later. So `N` depends on the sum of the currents alone, and not on their
    order: a spike sent before negative current arrived is taken back. On current that is never
    negative it is `IntegrateAndFire`, spike for spike. Spikes of either sign cost energy. Known as
    bipolar integrate-and-fire with spike tracer (ST-BIF; You et al. 2024, arXiv:2406.03470), and
    the negative spikes of SNM (Wang et al. 2022) and Fast-SNN (Hu et al. 2023).

    A spike of the first steps is worth `spike_heights`, whole numbers that do not rise, and 1
    afterwards. Such a step sends the multiple of its height that is nearest to what is owed: first
    steps say roughly what later ones make exact. `N` may be below zero by half a height. It is made
    for input that comes at once, as `convert` gives it to such neurons: so a neuron knows in its
    first step about how much it is to send. Weights of steps are those of phase codes (Kim et al.
    2018, Deep neural networks with weighted spikes, Neurocomputing 311); here later spikes can take
    take back what earlier ones sent, as in converters of signals by successive approximation.

    Nothing can be taken back in the first step, where messages below zero would be wasted. So where
    heights fall, receivers take `max_spikes_per_step` spikes as sent in it, as by a bias. A neuron
    then sends what differs from that, more or fewer: of one spike at most the step says 0, 1 or 2
    in place of 0 or 1, and a silent neuron costs a spike. Counts (`k`, `N`) are what receivers add
    up, the spikes that are counted what is sent.

    With a `start` the type sends the signed digits of its input. It sends in as many steps behind
    the first `start` as there are heights, and in no others: its own steps. In each of them it
    sends one spike of the sign of what is owed, where that is at least a part of the step's height,
    `spike_thresholds` (default: 1/2); a tie goes up. So with heights 8, 4, 2, 1 it says a whole
    number from 0 to 15, rounded to the nearest. Digits of either sign are redundant, as in on-line
    arithmetic (Ercegovac 1984), so that later ones repair what earlier ones said too soon; a part
    of 2/3 sends few spikes. What is owed is then `f` of all current so far, less what was
    sent. `response` is the rate type of this `f`, None for a ReLU, whose digits take back no more
    than was sent. Input is to come at once, or as digits of others.
    """

    amplitude: float = 1.0
    max_spikes_per_step: int | None = None
    spike_heights: tuple[int, ...] = ()
    start: int | None = None
    spike_thresholds: tuple[float, ...] = ()
    response: NeuronType | None = None
    spiking = True
    counted_names = ("sent",)
    negative = True
    rate_consistent = True
    order_independent = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "spike_heights", _heights(self.spike_heights))
        object.__setattr__(self, "spike_thresholds", tuple(self.spike_thresholds))
        self._check_digits()

    @property
    def takes_back(self) -> bool:  # type: ignore[override]
        """True unless digits say values of both signs."""
        return self.response is None

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        if self.response is None:
            return super().rates(xp, current)
        return self.response.rates(xp, current)

    def _check_digits(self) -> None:
        """Raise `NetworkError` where a start, and what goes with one, do not fit the rest."""
        name = type(self).__name__
        if self.start is None:
            if self.spike_thresholds or self.response is not None:
                raise NetworkError(
                    f"{name}: spike_thresholds and response are for digits: give a start too"
                )
            return
        if not (is_whole(self.start) and 0 <= self.start <= _MOST):
            raise NetworkError(
                f"{name}.start must be None or a whole number of steps from 0 to {_MOST}, "
                f"got {self.start!r}"
            )
        if not (self.max_spikes_per_step == 1 and self.spike_heights):
            raise NetworkError(
                f"{name} with a start sends digits, one spike a step: give spike_heights such as "
                "(8, 4, 2, 1) and max_spikes_per_step=1"
            )
        given = self.spike_thresholds
        fits = all(is_number(part) and 0 < part < 1 for part in given)
        if not (fits and len(given) in (0, len(self.spike_heights))):
            raise NetworkError(
                f"{name}.spike_thresholds are parts of a height between 0 and 1, one for each of "
                f"the {len(self.spike_heights)} heights, got {given!r}"
            )
        if self.response is not None and (
            not isinstance(self.response, NeuronType) or self.response.spiking
        ):
            raise NetworkError(
                f"{name}.response must be None for a ReLU, or a rate type such as LeakyReLU(), "
                f"got {self.response!r}"
            )

    @classmethod
    def digits(
        cls, steps: int, start: int = 0, response: NeuronType | None = None
    ) -> BipolarIntegrateAndFire:
        """The type for signed digits of a binary number in so many steps, behind step `start`.

        Heights are powers of two, down to 1. Thresholds are 2/3 of a height, 0.7 in the last step
        but one and 1/2 in the last one, which rounds; 0.6 of heights from 32 on, which take the
        most digits to make good. They were found on ResNet-20 (docs/accuracy.md). Raises
        `NetworkError` for other than 1 to 16 steps.
        """
        if not (is_whole(steps) and 1 <= steps <= MOST_DIGITS):
            raise NetworkError(
                f"BipolarIntegrateAndFire.digits: steps is a whole number from 1 to {MOST_DIGITS},"
                f" got {steps!r}"
            )
        return cls(
            max_spikes_per_step=1,
            spike_heights=tuple(2**i for i in reversed(range(steps))),
            start=start,
            spike_thresholds=(*[0.6] * (steps - 5), *[2.0 / 3.0] * 3, 0.7, 0.5)[-steps:],
            response=response,
        )

    @classmethod
    def in_steps(cls, steps: int, spikes: int = 1) -> BipolarIntegrateAndFire:
        """The type for `spikes` of either sign in each of so many steps, with heights that fall.

        Of one spike a step, the first is worth `steps / 2` of the last one, and 4/3 at least.
        Heights between are a geometric sequence, and the last two are equal, so that what the first
        says can be taken back. Of n > 1 spikes each is worth (n + 1) / 2 of those in the next step,
        and 64 of the last ones at most. Heights were found on ResNet-20 (docs/few_steps.md). Raises
        `NetworkError` for other than two steps or more, and a spike or more.
        """
        for name, given, least in (("steps", steps, 2), ("spikes", spikes, 1)):
            if not (is_whole(given) and given >= least):
                raise NetworkError(
                    f"BipolarIntegrateAndFire.in_steps: {name} is a whole number from {least}, "
                    f"got {given!r}"
                )
        return cls(max_spikes_per_step=spikes, spike_heights=_falling(steps, spikes))

    def in_one_step(self, steps: int) -> NeuronType:
        if self.start is not None:
            most = sum(self.spike_heights)
            if self.response is not None:
                return RunningMeanSpiking(self.response, max_spikes_per_step=most)
            return BipolarIntegrateAndFire(self.amplitude, max_spikes_per_step=most)
        last = self.height_at(steps)
        held = super().in_one_step(steps)
        return replace(held, spike_heights=(last,) if last > 1 else ())  # type: ignore[call-arg]

    def initial_values(self) -> Mapping[str, float]:
        return {"sent": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        if self.start is not None:
            return self._digit(xp, current, state, clock)
        least = 0.0 - state["sent"]
        cap: Any = self.max_spikes_per_step
        height = clock.listed(self.spike_heights, 1.0) if self.spike_heights else None
        if height is not None:
            least = xp.floor(0.5 - state["sent"] / height)
        if cap is not None:
            assumed = clock.listed((self.assumed,), 0.0)
            least, cap = xp.maximum(least, assumed - cap), cap + assumed
        if height is None:
            counts, state["voltage"] = xp.integrate(
                state["voltage"], current, clock.threshold, least=least, cap=cap
            )
        else:
            counts, state["voltage"] = _of_height(
                xp, height, state["voltage"] + current, clock.threshold, least, cap
            )
        state["sent"] = state["sent"] + counts
        return counts

    def _digit(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        """The digit of a step, times its height; 0 outside the neuron's own steps.

        Voltages begin at half a spike, so that what is owed is half a threshold less.
        """
        before, unit = (0.0,) * (self.start or 0), clock.threshold
        height = clock.listed((*before, *map(float, self.spike_heights)), 0.0)
        parts = self.spike_thresholds or (0.5,) * len(self.spike_heights)
        enough = height * clock.listed((*before, *parts), 0.0)
        voltage = state["voltage"] + current
        known, sent = voltage, state["sent"]
        if self.response is not None:
            scale = float(len(self.spike_heights))
            total = (voltage + (sent - 0.5) * unit) / scale
            known = self.response.rates(xp, total) * scale - (sent - 0.5) * unit
        up = xp.where(known >= (enough + 0.5) * unit, 1.0, 0.0)
        down = known < (0.5 - enough) * unit
        if self.response is None:
            down = down & (sent > 0.0)
        counts = (up - xp.where(down, 1.0, 0.0)) * height
        state["voltage"] = voltage - counts * unit
        state["sent"] = sent + counts
        return counts


def _of_height(
    xp: ArrayNamespace, height: Any, voltage: Array, threshold: Array, least: Array, cap: Any
) -> tuple[Array, Array]:
    """The multiple of a height nearest to what is owed, `v / threshold - 1/2`, and what is left."""
    rounding = (height - 1.0) * 0.5 * threshold  # so that flooring is to the nearest multiple
    spikes, left = xp.integrate(voltage, rounding, threshold * height, least=least, cap=cap)
    return spikes * height, left - rounding


def _falling(steps: int, spikes: int) -> tuple[int, ...]:
    """The heights of so many spikes in each of two or more steps."""
    if spikes == 1:
        ratio, places = max(steps / 2.0, 4.0 / 3.0), max(1, steps - 2)
        between = (round(_LAST * ratio ** (1.0 - i / places)) for i in range(steps - 1))
        return (*between, _LAST)
    last = 2 - spikes % 2  # so that the ratio of even numbers is one of whole numbers too
    falls = (min(((spikes + 1) / 2) ** i, _HIGHEST) for i in reversed(range(steps)))
    return tuple(round(last * fall) for fall in falls)


def _heights(given: Any) -> tuple[int, ...]:
    """Heights of spikes, checked; raises `NetworkError`."""
    several = isinstance(given, Sequence | np.ndarray)
    whole = several and all(is_whole(height) and 1 <= height <= _MOST for height in given)
    if not whole or any(later > before for before, later in pairwise(given)):
        raise NetworkError(
            "BipolarIntegrateAndFire.spike_heights must be whole numbers from 1 to "
            f"{_MOST} of which none is above the one before it, such as (3, 2, 2, 1), got {given!r}"
        )
    return tuple(map(int, given))
