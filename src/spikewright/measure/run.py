"""One run of a converted network, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import steps_text
from spikewright._base.markup import RichRepr, Rows
from spikewright.errors import SimulationError
from spikewright.graph.layers import Activation
from spikewright.measure.readout import (
    EveryStep,
    Mean,
    Readout,
    named,
    read_out,
    read_out_at_every_step,
)
from spikewright.measure.targets import Output

Values = NDArray | dict[str, NDArray]


@dataclass(frozen=True, eq=False)
class Population:
    """Counts of a run in one layer.

    `totals` is `(batch, *shape)`: spikes of each neuron, of either sign, each counted as one; these
    cost energy. `net` are those above zero less those below, which make up the layer's values. It
    is the same array where none are below. Spikes are whole numbers in as few bytes as surely hold
    them: take sums of them with NumPy's `sum`, which widens them. Of a rate neuron both are sums
    over steps of its rate in Hz, without its sign and with it. `scale` is the layer's firing-rate
    scale, and `cap` the spikes that a neuron may send in a step, or None. `amplitude` is that of
    the neuron type; none of the counts is multiplied by it. `assumed` are the spikes that receivers
    take as sent in the first step, and again after every `window` steps: `net` counts
    them, and `totals` does not. In `net` a spike of first steps counts as often as `heights` says.
    `real` says which neurons count in which samples, `(batch, *shape)`, where some belong to
    padding: all that these sent is 0 here. None where all of them count.
    """

    totals: NDArray
    spiking: bool
    scale: NDArray
    cap: int | None
    net: NDArray = None  # type: ignore[assignment]  # given below where it is left out
    amplitude: float = 1.0
    assumed: int = 0
    window: int | None = None
    heights: tuple[int, ...] = ()
    real: NDArray | None = None

    def __post_init__(self) -> None:
        if self.net is None:
            object.__setattr__(self, "net", self.totals)

    def of(self, samples: slice) -> Population:
        """The counts in some of the samples."""
        totals = self.totals[samples]
        net = totals if self.net is self.totals else self.net[samples]
        real = None if self.real is None else self.real[samples]
        return replace(self, totals=totals, net=net, real=real)

    def counted(self) -> NDArray:
        """The number of samples in which each neuron counts, `(*shape)`."""
        if self.real is None:
            return np.full(self.totals.shape[1:], len(self.totals))
        return self.real.sum(axis=0)

    def mean(self) -> float:
        """The mean of all totals that count."""
        if self.real is not None:
            return float(self.totals.sum(dtype=np.float64)) / max(1, int(self.real.sum()))
        if self.totals.dtype != np.int8 or self.totals[:1].size >= 2**24:
            return float(self.totals.mean())
        rows = self.totals.reshape(len(self.totals), -1)  # bytes: their sums are found by widening
        return float(rows.sum(axis=1, dtype=np.int32).mean() / max(1, rows.shape[1]))

    def taken_as_sent(self, steps: int) -> NDArray:
        """The number of spikes, `(steps,)`, that receivers take as sent in each step of a run."""
        return self._listed((self.assumed,), 0, steps)

    def height(self, steps: int) -> NDArray:
        """The worth of a spike in each step of a run, `(steps,)`."""
        return self._listed(self.heights, 1, steps)

    def _listed(self, values: tuple[int, ...], last: int, steps: int) -> NDArray:
        """A list for the first steps since a start, and `last` after them, at every step."""
        place = np.arange(steps) % (self.window or max(1, steps))
        return np.array((*values, last), np.int64)[np.minimum(place, len(values))]

    def saturated(self, steps: int) -> NDArray:
        """Neurons that sent all they could, `(batch, *shape)`; negative spikes are left out."""
        limit = (((self.cap or 1) + self.taken_as_sent(steps)) * self.height(steps)).sum()
        above: NDArray = self.net >= limit
        if self.net is not self.totals:
            above |= self.net <= -limit
        return above if self.real is None else above & self.real

    def means(self, steps: int, dt: float) -> NDArray:
        """The time mean of each neuron's sent value, `(batch, *shape)`, in the source's unit."""
        if self.spiking:
            return self.net * (self.amplitude / (self.scale * (dt * steps)))
        return self.net * (self.amplitude / steps)


@dataclass(frozen=True, eq=False, repr=False)
class Run(RichRepr):
    """A run of `steps` steps of `dt` seconds over `batch` samples.

    `raw` holds every output `(batch, steps, *out)` before the activations in `readouts`; `record`
    holds the settings that determine the run, its engine and the engine's guarantee.

    `recorded` are layers that were asked for, `(batch, steps, *shape)`: the value that each sends
    at every step, before a synapse, in the unit of the source's values, which the mean over steps
    tends to. `spikes_over_time` has the spikes that those were.

    Where layers start one after the other, as those of signed digits, `steps` are those of each
    layer, and so are all that are counted here; `network_steps` is the number until the last one
    has said all. Else both are one. Outputs of digits have one readout, the `complete` value: the
    mean of `raw` over the steps so far is what is known of it. Of several `frames` each is answered
    by itself, in as many steps, and what is read out is the mean of their answers.

    With a `sequence_step` the run is one of sequences, each step of which took that many steps;
    `time_axes` has the axis of time of every output that the source gives for every step, and None
    for those of the last step.
    """

    raw: Mapping[str, NDArray]
    readouts: Mapping[str, Activation]
    populations: Mapping[str, Population]
    dt: float
    steps: int
    record: Mapping[str, Any]
    sequence_step: int | None = None
    time_axes: Mapping[str, int | None] = field(default_factory=dict)
    recorded: Mapping[str, NDArray] = field(default_factory=dict)
    network_steps: int = 0
    complete: bool = False
    frames: int = 1

    def __post_init__(self) -> None:
        if not self.network_steps:
            object.__setattr__(self, "network_steps", self.steps)

    def __repr__(self) -> str:
        return f"<Run of {self.record['batch']} samples, {self._length}>"

    @property
    def _length(self) -> str:
        return steps_text(self.steps, self.network_steps, f"{self.dt:g} s")

    def _summary(self) -> tuple[str, Rows]:
        rates, spikes = self.firing_rates(), self.spike_counts()
        silent = self.silent_fractions()
        rows = [
            (name, f"{rate:.3g}", f"{spikes[name].mean():.4g}", f"{silent[name]:.1%}")
            for name, rate in rates.items()
            if name in spikes
        ]
        headings = ("layer", "mean rate (Hz)", "spikes per sample", "silent neurons")
        return f"{self.record['batch']} samples, {self._length}.", [
            headings,
            *rows,
        ]

    def _figure(self) -> Any:
        from spikewright.report import figures

        rates, parts = self.neuron_rates(), self.populations
        found = {name: rates[name] for name, part in parts.items() if part.spiking}
        return figures.draw(figures.rates_info(found)) if found else None

    def _single(self, values: dict[str, NDArray]) -> Values:
        return next(iter(values.values())) if len(values) == 1 else values

    def _activated(self, name: str, values: NDArray) -> NDArray:
        """Values of an output, `(..., *out)`, as they are read out."""
        output = Output(name, self.raw[name].shape[2:], self.readouts.get(name))
        return output.activated(values)

    @property
    def output(self) -> Values:
        """Outputs at every step, `(batch, steps, *out)`; several outputs as `{name: array}`.

        An activation without neurons on the output is applied at each step.
        """
        return self._single(
            {name: self._activated(name, value) for name, value in self.raw.items()}
        )

    def predict(self, readout: Readout = "mean") -> Values:
        """Output values `(batch, *out)` under a readout: "last", "mean", `MeanAfter` or a `Window`.

        An activation without neurons on the output is applied to the value read out. Of a run of
        sequences every step is read out by itself, as if it were the run: an output is
        `(batch, time, *out)`, or with time where the source has it, and one that the source gives
        for the last step is `(batch, *out)`. Raises `SimulationError` for a readout that is none,
        and of digits for other than "mean", their complete value.
        """
        self._check_complete(readout)
        return self._single(
            {name: self._predicted(name, value, readout) for name, value in self.raw.items()}
        )

    def predict_frames(self) -> Values:
        """The answer to each frame by itself, `(batch, frames, *out)`; several as `{name: array}`.

        Of layers that say a complete value for each: a run of one sample of signed digits has one
        frame. Raises `SimulationError` for others.
        """
        if not self.complete or self.sequence_step is not None:
            raise SimulationError(
                "frames are answered by themselves where layers say signed digits, and are no "
                "steps of a sequence. Use predict, or predict_at_every_step"
            )
        return self._single(
            {
                name: self._activated(
                    name, value.reshape(len(value), self.frames, -1, *value.shape[2:]).mean(axis=2)
                )
                for name, value in self.raw.items()
            }
        )

    def _predicted(self, name: str, value: NDArray, readout: Readout) -> NDArray:
        if self.sequence_step is None:
            return self._activated(name, read_out(value, readout, self.dt))
        windows, time = self._windows(value), self.time_axes[name]
        if time is None:
            windows = windows[:, -1:]
        flat = windows.reshape(-1, *windows.shape[2:])
        read = self._activated(name, read_out(flat, readout, self.dt))
        read = read.reshape(*windows.shape[:2], *read.shape[1:])
        return read[:, 0] if time is None else np.moveaxis(read, 1, time + 1)

    def _windows(self, value: NDArray) -> NDArray:
        """An output as `(batch, time, sequence_step, *out)`."""
        return value.reshape(len(value), -1, self.sequence_step or 1, *value.shape[2:])

    def predict_at_every_step(self, readout: EveryStep = "mean") -> Values:
        """The result of `predict` had the run ended at each step, `(batch, steps, *out)`.

        `MeanAfter` gives the mean of all steps so far until its start. Of a run of sequences it is
        the result of each of their steps had that step ended there. Raises as `predict` does.
        """
        self._check_complete(readout)
        result = {}
        for name, value in self.raw.items():
            windows = value if self.sequence_step is None else self._windows(value)
            flat = windows.reshape(-1, *windows.shape[windows.ndim - value.ndim + 1 :])
            read = read_out_at_every_step(flat, readout, self.dt).reshape(value.shape)
            result[name] = self._activated(name, read)
        return self._single(result)

    @property
    def named_readouts(self) -> tuple[str, ...]:
        """The names of readouts that the outputs have."""
        return ("mean",) if self.complete else tuple(sorted(named()))

    def _check_complete(self, readout: Readout) -> None:
        if self.complete and readout not in ("mean", Mean()):
            raise SimulationError(
                "signed digits have one readout, the complete value, got "
                f"readout={str(readout)!r}: leave readout out"
            )

    def firing_rates(self) -> dict[str, float]:
        """Mean firing rate of each layer in Hz: spikes / (neurons * seconds), over all samples.

        True spikes of either sign, never the amplitude-scaled output; for rate neurons the rate
        itself, without its sign.
        """
        return {name: _mean(self._rates(p), p) for name, p in self.populations.items()}

    def neuron_rates(self) -> dict[str, NDArray]:
        """Mean firing rate of each neuron in Hz, averaged over samples, `{layer: (*shape)}`."""
        return {name: self._rates(population) for name, population in self.populations.items()}

    def _rates(self, population: Population) -> NDArray:
        mean = population.totals.mean(axis=0, dtype=np.float64)
        if population.real is not None:
            mean *= len(population.totals) / np.maximum(1, population.counted())
        if population.spiking:
            return mean / (self.steps * self.dt)
        return mean * population.scale / self.steps

    def layer_means(self) -> dict[str, NDArray]:
        """The time mean of the values that each layer sent, `{layer: (batch, *shape)}`.

        In the unit of the source's values, which they tend to: a spike below zero takes away.
        """
        return {name: p.means(self.steps, self.dt) for name, p in self.populations.items()}

    def spike_counts(self) -> dict[str, NDArray]:
        """Spikes of each sample over the run, `{layer: (batch,)}`, of spiking layers.

        Those of either sign count as one: each is sent, and costs energy.
        """
        return {
            name: p.totals.reshape(len(p.totals), -1).sum(axis=1)
            for name, p in self.populations.items()
            if p.spiking
        }

    def spikes_over_time(self, layer: str) -> NDArray[np.int64]:
        """Spikes of a recorded layer in every step, `(batch, steps, *shape)`, with their sign.

        Spikes that receivers take as sent are not counted: -1 says that there was none.
        Raises `SimulationError` for a layer that was not recorded, or that has no spikes.
        """
        spiking = [
            n for n in self.recorded if n in self.populations and self.populations[n].spiking
        ]
        if layer not in spiking:
            raise SimulationError(
                f"{layer!r} is none of the spiking layers that were recorded: "
                f"{', '.join(spiking) or 'there are none'}. Run with record=[{layer!r}]"
            )
        population = self.populations[layer]
        of_one = population.scale * (self.dt / population.amplitude)
        sent = np.rint(self.recorded[layer] * of_one).astype(np.int64)
        each = (1, self.steps, *(1,) * (sent.ndim - 2))
        sent //= population.height(self.steps).reshape(each)
        sent -= population.taken_as_sent(self.steps).reshape(each)
        return sent

    def silent_fractions(self) -> dict[str, float]:
        """Fraction of neurons that never spiked, with either sign, for any sample.

        Per spiking layer.
        """
        return {
            name: _share(
                np.logical_not(p.totals.any(axis=0)), None if p.real is None else p.counted() > 0
            )
            for name, p in self.populations.items()
            if p.spiking
        }

    def saturated_fractions(self) -> dict[str, float]:
        """Fraction of (sample, neuron) pairs whose value is all that could be sent.

        Per spiking layer. The limit is `max_spikes_per_step` spikes of one sign in every step;
        without a cap it is one spike a step, where one-spike hardware would clip. Negative
        spikes count against it.
        """
        return {
            name: _share(p.saturated(self.steps), p.real)
            for name, p in self.populations.items()
            if p.spiking
        }


def _mean(rates: NDArray, population: Population) -> float:
    """The mean of rates `(*shape)` of neurons, over all samples in which they count."""
    if population.real is None:
        return float(rates.mean())
    counted = population.counted()
    return float((rates * counted).sum()) / max(1, int(counted.sum()))


def _share(values: NDArray, real: NDArray | None) -> float:
    """The share of values that are true, of those that count."""
    chosen = values if real is None else values[real]
    return float(np.mean(chosen)) if real is None or chosen.size else 0.0
