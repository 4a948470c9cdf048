"""The mean response of a population: the value that it sends over a run for a steady current."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.network import Connection, Ensemble, NeuronsView
from spikewright.network.neurons import (
    NUMPY_NEURONS,
    TOLERANCE,
    IntegrateAndFire,
    NeuronType,
    SpikingLeakyReLU,
)
from spikewright.network.synapses import Synapse


@dataclass(frozen=True, eq=False)
class LayerNeurons:
    """Neurons of one layer in a run of `steps` steps.

    `height` is the value of a spike in the step in which it is sent, `amplitude / (s dt)`, a scalar
    or an array that broadcasts to the layer. `start` is the voltage before the first step, in
    spikes. `passed` is the share of a steady value that the mean behind the synapse has reached by
    the end.
    """

    neuron_type: NeuronType
    height: NDArray
    start: NDArray
    steps: int
    passed: float

    @property
    def unit(self) -> NDArray:
        """The share of one spike in the mean over the run: the resolution of sent values."""
        return self.height / self.steps

    @property
    def mean_height(self) -> float:
        """The height of a spike, averaged over neurons."""
        return float(np.mean(self.height))

    @property
    def cap(self) -> int | None:
        """The most spikes that a neuron may send in one step, or None."""
        return self.neuron_type.most_spikes

    @property
    def most(self) -> float:
        """The most spikes that a neuron can have sent at the end, less negative ones."""
        if self.neuron_type.sends_digits:
            return float(sum(self.neuron_type.spike_heights))
        most = self.neuron_type.most_in(self.steps)
        return np.inf if most is None else float(most)

    @property
    def lowest(self) -> float:
        """The smallest mean value that these neurons can send."""
        known = self.neuron_type
        signed = known.negative and not known.takes_back
        return -np.inf if signed else 0.0

    @property
    def integrates(self) -> bool:
        """Whether the sum that arrived determines the value sent, except for its order."""
        known = self.neuron_type
        return known.spiking and not known.stochastic and known.scaling in ("gain", "integrator")

    def scaled(self, factor: float | NDArray) -> LayerNeurons:
        """The same neurons at firing rates multiplied by `factor`, which broadcasts to them."""
        return replace(self, height=self.height / factor)

    def spikes(self, value: NDArray) -> NDArray:
        """The number of spikes that a mean value takes; none for rate neurons."""
        if not self.neuron_type.spiking:
            return np.zeros_like(value)
        return np.abs(value) / self.unit

    def response(self, current: NDArray) -> NDArray:
        """The value that neurons of unlimited rate would send for a mean current."""
        rates = finite(partial(self.neuron_type.rates, NUMPY_NEURONS), current)
        return np.asarray(rates * self.neuron_type.amplitude, np.float64)

    def clipped(self, value: NDArray) -> NDArray:
        """A value clipped to the range that the cap allows."""
        most = self.most * self.unit
        return np.clip(value, -most, most)

    def steady(self, current: NDArray) -> NDArray:
        """The mean value that is sent where this current arrives evenly, in every step alike.

        A soft-reset integrator has sent `floor(v0 + charge)` spikes, within its cap; types that
        answer otherwise (drawn at random, or with dynamics of their own) are taken at their rate.
        """
        value = self.clipped(self.response(current))
        if not self.integrates:
            return value
        counts = self._whole(self.start + self._charge(current, value))
        return np.minimum(counts, self.most) * self.unit

    def _whole(self, voltage: NDArray) -> NDArray:
        """The spikes that a voltage amounts to, were it never reset."""
        if isinstance(self.neuron_type, SpikingLeakyReLU):  # counts towards zero
            return np.trunc(voltage + np.copysign(TOLERANCE, voltage))
        return np.maximum(np.floor(voltage + TOLERANCE), self.lowest)

    def _charge(self, current: NDArray, value: NDArray) -> NDArray:
        """The charge of the run, in spikes; of rectifiers negative current counts too."""
        charge = value / self.unit
        if isinstance(self.neuron_type, IntegrateAndFire):  # the start is sent in the first step
            return np.where(current < 0, current / self.height, charge)
        if self.neuron_type.takes_back:
            return np.where(current < 0, current / self.unit, charge)
        return charge


def finite(function: Callable[..., NDArray], *means: NDArray) -> NDArray:
    """A function of means that arrive; 0 where it has no value, as at a logarithm's pole.

    There the network sends nothing.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = function(*means)
    return np.where(np.isfinite(value), value, 0.0)


def layer_neurons(
    ensemble: Ensemble,
    start: NDArray,
    steps: int,
    dt: float,
    connections: Iterable[Connection],
) -> LayerNeurons:
    """The neurons of an ensemble; `start` is its initial voltage as built, `(*shape)`."""
    neuron_type = ensemble.neuron_type
    height = neuron_type.amplitude / (ensemble.rate_scale * dt)
    return LayerNeurons(
        neuron_type, height, start, steps, _passed(ensemble, connections, steps, dt)
    )


def _passed(ensemble: Ensemble, connections: Iterable[Connection], steps: int, dt: float) -> float:
    leaving = [
        c.synapse
        for c in connections
        if isinstance(c.pre, NeuronsView) and c.pre.ensemble is ensemble
    ]
    found = set(leaving)
    if len(found) > 1:
        raise SimulationError(
            f"layer {ensemble.label!r} sends through several synapses, {leaving}: its readers see "
            "different values, so that it has no one error. Give its connections one synapse"
        )
    synapse = next(iter(found), None)
    return 1.0 if synapse is None else passed(synapse, steps, dt)


def passed(synapse: Synapse, steps: int, dt: float) -> float:
    """Mean over a run of a synapse's output for a steady 1, from the step after it begins."""
    found = synapse.discretise(dt)
    state, total = np.zeros(found.order), 0.0
    through = found.feedthrough
    emitted = 0.0
    for _ in range(steps):
        total += emitted
        if through is None:
            state = found.A @ state + found.B
            emitted = float(found.C @ state)
        else:
            emitted = float(found.C @ state) + through
            state = found.A @ state + found.B
    return total / steps
