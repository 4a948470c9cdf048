"""Neurons some of whose spikes are lost on their way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.network.distributions import Distribution
from spikewright.network.neurons.base import (
    Array,
    ArrayNamespace,
    Clock,
    NeuronType,
    State,
    register,
)
from spikewright.network.neurons.rectified import IntegrateAndFire
from spikewright.network.neurons.wrappers import Wrapping, of_base


@register
@dataclass(frozen=True)
class LosingSpikes(Wrapping):
    """Neurons of `base_type`, each of whose spikes is lost with the probability `lost`.

    A neuron does not know: its voltage is that of one whose spikes arrive. Of `k` spikes in one
    step `floor(k (1 - lost) + u)` arrive, `u` uniform from 0 to 1, which for one spike is the
    probability and for several its mean.
    """

    lost: float
    base_type: NeuronType = field(default_factory=IntegrateAndFire)
    spiking = True
    stochastic = True

    def __post_init__(self) -> None:
        if not isinstance(self.base_type, NeuronType) or not self.base_type.spiking:
            raise NetworkError(
                "LosingSpikes.base_type must be a spiking type such as IntegrateAndFire(), "
                f"got {self.base_type!r}"
            )
        if self.base_type.stochastic:
            raise NetworkError(
                f"LosingSpikes.base_type draws its spikes at random, got {self.base_type!r}"
            )
        if not (is_number(self.lost) and 0 <= self.lost < 1):
            raise NetworkError(
                f"LosingSpikes.lost is a probability from 0 and below 1, got {self.lost!r}"
            )
        super().__post_init__()

    amplitude = of_base("amplitude")
    scaling = of_base("scaling")
    threshold_current = of_base("threshold_current")
    counted_names = of_base("counted_names")
    made_names = of_base("made_names")
    most_spikes = of_base("most_spikes")
    assumed_spikes = of_base("assumed_spikes")
    spike_heights = of_base("spike_heights")
    has_voltage = of_base("has_voltage")
    rounds_charge = of_base("rounds_charge")
    leaks = of_base("leaks")
    hard_reset = of_base("hard_reset")

    def capped(self, most: int) -> NeuronType:
        try:
            return replace(self, base_type=self.base_type.capped(most))
        except NetworkError as error:
            raise NetworkError(f"LosingSpikes: {error}") from None

    def initial_values(self) -> Mapping[str, float]:
        return self.base_type.initial_values()

    @property
    def starts(self) -> Mapping[str, NDArray | Distribution]:
        """Those of the base type where it has others."""
        return {**self.base_type.starts, **super().starts}

    def voltage_unit(self, threshold: Array) -> Array:
        return self.base_type.voltage_unit(threshold)

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return self.base_type.rates(xp, current) * (1.0 - self.lost)

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        return self.base_type.gain_bias(max_rates / (1.0 - self.lost), intercepts)

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        height = clock.listed(self.spike_heights, 1.0)
        assumed = clock.listed(self.assumed, 0.0) * height
        sent = (self.base_type.step(xp, current, state, clock) - assumed) / height
        arrived = xp.floor(xp.abs(sent) * (1.0 - self.lost) + clock.uniform(0))
        return arrived * xp.sign(sent) * height + assumed
