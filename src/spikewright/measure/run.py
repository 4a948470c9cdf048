"""One run of a converted network, and what can be read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.readout import EveryStep, Readout, read_out, read_out_at_every_step

Values = NDArray | dict[str, NDArray]


@dataclass(frozen=True, eq=False)
class Population:
    """What a run counted in one layer.

    `totals` is `(batch, *shape)`: spikes of each neuron (of a rate neuron, the sum over steps of
    its rate in Hz), before amplitude. `scale` is the layer's firing-rate scale and `cap` the spikes
    that a neuron may send in a step, or None.
    """

    totals: NDArray
    spiking: bool
    scale: NDArray
    cap: int | None


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run of `steps` steps of `dt` seconds over `batch` samples.

    `raw` holds every output `(batch, steps, *out)` before the activations in `readouts`; `record`
    says what the run is a function of, and which engine ran it under which guarantee.
    """

    raw: Mapping[str, NDArray]
    readouts: Mapping[str, Callable[[NDArray], NDArray]]
    populations: Mapping[str, Population]
    dt: float
    steps: int
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Run of {self.record['batch']} samples, {self.steps} steps of {self.dt:g} s>"

    def _single(self, values: dict[str, NDArray]) -> Values:
        return next(iter(values.values())) if len(values) == 1 else values

    def _activated(self, name: str, value: NDArray) -> NDArray:
        activation = self.readouts.get(name)
        return value if activation is None else activation(value)

    def _activated_at_every_step(self, name: str, values: NDArray) -> NDArray:
        flat = values.reshape(-1, *values.shape[2:])
        return self._activated(name, flat).reshape(values.shape)

    @property
    def output(self) -> Values:
        """Outputs at every step, `(batch, steps, *out)`; several outputs as `{name: array}`.

        An activation without neurons on the output is applied at each step.
        """
        return self._single(
            {name: self._activated_at_every_step(name, value) for name, value in self.raw.items()}
        )

    def predict(self, readout: Readout = "mean") -> Values:
        """Output values `(batch, *out)` under a readout: "last", "mean", `After` or a `Window`.

        An activation without neurons on the output is applied to the value read out.
        """
        return self._single(
            {
                name: self._activated(name, read_out(value, readout, self.dt))
                for name, value in self.raw.items()
            }
        )

    def predict_at_every_step(self, readout: EveryStep = "mean") -> Values:
        """What `predict` would give had the run ended at each step, `(batch, steps, *out)`.

        `After` gives the mean of what there is until its start.
        """
        result = {}
        for name, value in self.raw.items():
            read = read_out_at_every_step(value, readout, self.dt)
            result[name] = self._activated_at_every_step(name, read)
        return self._single(result)

    def firing_rates(self) -> dict[str, float]:
        """Mean firing rate of each layer in Hz: spikes / (neurons * seconds), over all samples.

        True spikes, never the amplitude-scaled output; for rate neurons the rate itself.
        """
        return {
            name: float(self._rates(population).mean())
            for name, population in self.populations.items()
        }

    def _rates(self, population: Population) -> NDArray:
        """Rate of each neuron for each sample in Hz, `(batch, *shape)`."""
        if population.spiking:
            return population.totals / (self.steps * self.dt)
        return population.totals * population.scale / self.steps

    def neuron_rates(self) -> dict[str, NDArray]:
        """Rate of each neuron in Hz, averaged over samples, `{layer: (*shape)}`."""
        return {name: self._rates(p).mean(axis=0) for name, p in self.populations.items()}

    def spike_counts(self) -> dict[str, NDArray]:
        """Spikes of each sample over the run, `{layer: (batch,)}`, of spiking layers."""
        return {
            name: p.totals.reshape(len(p.totals), -1).sum(axis=1)
            for name, p in self.populations.items()
            if p.spiking
        }

    def silent_fractions(self) -> dict[str, float]:
        """Fraction of neurons that never spiked for any sample, per spiking layer."""
        return {
            name: float(np.mean(p.totals.sum(axis=0) == 0))
            for name, p in self.populations.items()
            if p.spiking
        }

    def saturated_fractions(self) -> dict[str, float]:
        """Fraction of (sample, neuron) pairs that sent all that they could, per spiking layer.

        The limit is `max_spikes_per_step` in every step; without a cap it is one spike a step,
        where one-spike hardware would clip.
        """
        return {
            name: float(np.mean(p.totals >= (p.cap or 1) * self.steps))
            for name, p in self.populations.items()
            if p.spiking
        }
