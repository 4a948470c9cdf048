"""Accuracy and activity of a run as records: rates in Hz, spikes per sample, silent neurons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import SimulationError
from spikewright.measure.exact_counts import ExactCounts
from spikewright.measure.intervals import mean_interval
from spikewright.measure.readout import EveryStep, Readout
from spikewright.measure.run import Population, Run
from spikewright.measure.scores import ACCURACY
from spikewright.measure.targets import Output, labels_of
from spikewright.network.neurons import NeuronType
from spikewright.records import Record


def accuracy(run: Run, labels: ArrayLike, readout: Readout = "mean") -> Record:
    """Accuracy of a run with one output, with its 95 % interval.

    `labels` are class labels, `(samples,)`, as `Conversion.evaluate` takes them. Raises
    `SimulationError` where they and samples, or the outputs, do not fit.
    """
    output = _output(run)
    hits = _hits(output, run.predict(readout), labels)
    return ACCURACY.mean("", hits, {"readout": readout, "steps": run.steps, "dt": run.dt})


def accuracy_over_time(run: Run, labels: ArrayLike, readout: EveryStep = "mean") -> list[Record]:
    """Accuracy had the run ended at each step, one record a step; raises as `accuracy` does."""
    output = _output(run)
    hits = _hits(output, run.predict_at_every_step(readout), labels)
    return [
        ACCURACY.mean("", hits[:, t], {"readout": readout, "steps": t + 1, "dt": run.dt})
        for t in range(run.steps)
    ]


def _output(run: Run) -> Output:
    """The one output; raises `SimulationError` where there are several, or a sequence of it."""
    if len(run.raw) != 1:
        raise SimulationError(f"the network has outputs {list(run.raw)}; accuracy needs one")
    timed = [name for name, time in run.time_axes.items() if time is not None]
    if timed:
        raise SimulationError(
            f"output {timed[0]!r} has values for every step of a sequence; accuracy needs one "
            "answer a sample: compare run.predict() with the labels of each step"
        )
    ((name, values),) = run.raw.items()
    return Output(name, values.shape[2:], run.readouts.get(name))


def _hits(output: Output, values: Any, labels: ArrayLike) -> NDArray:
    """Right answers (booleans) of values `(samples, *shape)` or `(samples, steps, *shape)`."""
    truth = labels_of(labels, output, len(values))
    found = output.decided(values)
    return found == (truth if found.ndim == 1 else truth[:, None])


BITS = "bits per graded spike"
"""The name of the records of what a spike holds where neurons send several a step."""


def activity(run: Run) -> list[Record]:
    """One record per layer and measure, then the spikes of the whole network.

    Rates are in Hz, spikes are numbers per sample, shares of neurons are fractions.
    """
    return activity_records(count(run.populations, run.steps), [run.steps], run.dt)


def count(
    populations: Mapping[str, Population], steps: int, sending: Mapping[str, int] | None = None
) -> ExactCounts:
    """Counts in the layers of some samples up to a step.

    `sending` are the steps that each layer has sent in by then, None for all.

    Of a spiking layer: the spikes of each sample `(samples, 1)`, the number of its saturated
    neurons in each sample, and the spikes of each neuron `(1, *shape)`. Of a rate layer: each
    sample's mean rate in Hz. Of every layer the number of its neurons that count in each sample,
    and where some belong to padding the number of samples in which each neuron does.
    """
    samples: dict[tuple[str, ...], NDArray] = {}
    sums: dict[tuple[str, ...], NDArray] = {}
    for layer, population in populations.items():
        samples["neurons", layer] = _neurons(population)
        if population.real is not None:
            sums["padding", layer] = (~population.real).sum(axis=0, dtype=np.int64)[None]
        if population.spiking:
            totals = population.totals  # whole numbers
            samples["spikes", layer] = _of_samples(totals).astype(np.int64)
            most = population.saturated(steps if sending is None else sending[layer])
            samples["saturated", layer] = _of_samples(most).astype(np.int64)
            sums["spikes", layer] = totals.sum(axis=0, dtype=np.float64).astype(np.int64)[None]
        else:
            rates = population.totals * population.scale / steps
            samples["rate", layer] = _of_samples(rates) / np.maximum(1, _neurons(population))
    return ExactCounts(samples, sums)


def _neurons(population: Population) -> NDArray[np.int64]:
    """The number of neurons that count in each sample, `(samples, 1)`."""
    if population.real is not None:
        return _of_samples(population.real).astype(np.int64)
    return np.full((len(population.totals), 1), population.totals[0].size, np.int64)


def _of_samples(values: NDArray) -> NDArray:
    """Sums over the neurons of each sample, `(samples, 1)`."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return flat.sum(axis=1, dtype=np.int64 if flat.dtype == bool else np.float64)[:, None]


def activity_records(
    counts: ExactCounts,
    at: Sequence[int],
    dt: float,
    sending: Sequence[Mapping[str, int]] | None = None,
) -> list[Record]:
    """Records of the counts of `count` up to each of the steps in `at`.

    `sending` are the steps that each layer has sent in by each of those, None for all.
    """
    layers = [key[1] for key in counts.samples if key[0] in ("spikes", "rate")]
    records = []
    for index, steps in enumerate(at):
        how = {"steps": steps, "dt": dt}
        for layer in layers:
            own = steps if sending is None else sending[index][layer]
            records += _of_layer(counts, layer, index, how, own)
        records += _of_network(counts, index, how)
    return records


def bits_of_spikes(kinds: Mapping[str, NeuronType], at: Sequence[int], dt: float) -> list[Record]:
    """The bits of what a neuron sends in a step as one spike, of layers with several a step.

    log2(n + 1) for 0 to n spikes, log2(2 n + 1) where they may be of either sign. Counts of spikes
    are sums of these numbers. There is one record for all layers where they have the same bits.
    """
    found = {name: _bits(kind) for name, kind in kinds.items() if (kind.most_spikes or 0) > 1}
    alike = len(set(found.values())) == 1 and len(found) == len(kinds)
    records = []
    for steps in at:
        how = {"steps": steps, "dt": dt}
        if alike:
            records.append(Record(BITS, next(iter(found.values())), "bits", how=how))
        records += [Record(BITS, b, "bits", how={**how, "layer": n}) for n, b in found.items()]
    return records


def _bits(kind: NeuronType) -> float:
    most = kind.most_spikes or 0
    return math.log2((2 if kind.negative else 1) * most + 1)


def _of_layer(
    counts: ExactCounts, layer: str, index: int, how: Mapping[str, Any], steps: int
) -> list[Record]:
    """Records of a layer that has sent in so many steps, whose place in the arrays is `index`."""
    n, how = len(counts), {**how, "layer": layer}
    if ("rate", layer) in counts.samples:
        rate = counts.samples["rate", layer][:, index]
        if ("padding", layer) in counts.sums:
            rate = rate * counts.samples["neurons", layer][:, index] / _size(counts, layer)
        rate = rate.mean()
        return [Record("firing rate", float(rate), "Hz", n, how=how)]
    spikes = counts.samples["spikes", layer][:, index]
    saturated = counts.samples["saturated", layer][:, index]
    totals, size = counts.sums["spikes", layer][index], _size(counts, layer)
    if ("padding", layer) in counts.sums:
        totals = totals[counts.sums["padding", layer][index] < n]
    mean, silent = float(spikes.mean()), float(np.mean(totals == 0)) if totals.size else 0.0
    rate = mean / (size * steps * how["dt"])
    return [
        Record("firing rate", float(rate), "Hz", n, how=how),
        Record("spikes per sample", mean, "spikes", n, mean_interval(spikes), how),
        Record("spikes per neuron", mean / size, "spikes", n, how=how),
        Record("silent neurons", silent, "fraction", n, how=how),
        Record("saturated neurons", float(saturated.mean() / size), "fraction", n, how=how),
    ]


def _size(counts: ExactCounts, layer: str) -> float:
    """The number of neurons of a layer that count in a sample, on average."""
    return max(1.0, float(counts.samples["neurons", layer].mean()))


def _of_network(counts: ExactCounts, index: int, how: Mapping[str, Any]) -> list[Record]:
    """Spikes of all layers together at one step."""
    layers = {key[1]: rows[:, index] for key, rows in counts.samples.items() if key[0] == "spikes"}
    if not layers:
        return []
    spikes = np.sum([*layers.values()], axis=0)
    neurons = sum(_size(counts, layer) for layer in layers)
    n, mean = len(counts), float(spikes.mean())
    found = [
        Record("spikes per sample", mean, "spikes", n, mean_interval(spikes), how),
        Record("spikes per neuron", mean / neurons, "spikes", n, how=how),
    ]
    active = counts.samples.get(("active",), np.zeros(1)).mean()  # of the source, where it was run
    if active > 0:
        found.append(Record("spikes per active neuron", float(mean / active), "spikes", n, how=how))
    return found
