"""A rectifier with negative spikes, whose total does not depend on the order of its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikewright.network.neurons.base import (
    Array,
    ArrayNamespace,
    Clock,
    State,
    register,
)
from spikewright.network.neurons.rectified import LinearResponse


@register
@dataclass(frozen=True)
class BipolarIntegrateAndFire(LinearResponse):
    """Integrates `J`, sends spikes and takes them back: `N(t) = max(0, floor(v0 + s dt sum J))`.

    `N` is the number of spikes sent less those taken back. A step sends `k = floor(v / threshold)`
    spikes, as far as `N + k >= 0` and at most `max_spikes_per_step` of either sign where that is
    given; the rest follows later. So `N` depends on the sum of the currents alone, and not on their
    order: a spike sent before negative current arrived is taken back. On current that is never
    negative it is `IntegrateAndFire`, spike for spike. Spikes of either sign cost energy. Known as
    bipolar integrate-and-fire with spike tracer (ST-BIF; You et al. 2024, arXiv:2406.03470), and
    the negative spikes of SNM (Wang et al. 2022) and Fast-SNN (Hu et al. 2023).
    """

    amplitude: float = 1.0
    max_spikes_per_step: int | None = None
    spiking = True
    counted_names = ("sent",)
    negative = True
    follows_mean = True
    above_zero = ("amplitude",)

    @property
    def most_spikes(self) -> int | None:
        return self.max_spikes_per_step

    def initial_state(self) -> Mapping[str, float]:
        return {"sent": 0.0}

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.maximum(current, 0.0)

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        cap, least = self.max_spikes_per_step, 0.0 - state["sent"]
        if cap is not None:
            least = xp.maximum(least, -float(cap))
        counts, state["voltage"] = xp.integrate(
            state["voltage"], current, clock.threshold, least=least, cap=cap
        )
        state["sent"] = state["sent"] + counts
        return counts
