"""The samples of a diagnosis, the parts of each layer's gap on them, and the loss of each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.loss import Loss, LossTally, Scorer
from spikewright.diagnosis.mean_propagation import (
    LossyLayer,
    MeanPropagation,
    Values,
    outputs_of,
    propagate,
    single_layer_means,
)
from spikewright.graph import evaluate_all
from spikewright.graph.masks import Real, masks_of
from spikewright.measure import Run

Part = Literal["inherited", "policy", "clipping", "quantisation", "arrival order", "settling"]
PARTS: tuple[Part, ...] = get_args(Part)
_VALUES = 4_000_000  # values of all layers that are looked at at once


def without_padding(real: Real | None, name: str, values: NDArray) -> NDArray:
    """A layer's values `(batch, *shape)` with 0 for those of padding."""
    counts = None if real is None else real.of(name)
    return values if counts is None else np.where(counts, values, 0.0)


@dataclass(frozen=True, eq=False)
class Batch:
    """Some samples, the source's values for them, and each layer's gaps.

    `source` holds the source's value of every layer, `(batch, *shape)`; `parts` of each layer's gap
    and `disorder`, the part of every population's gap that is due to the order of arrival. Both
    are 0 at padding; `real` tells what that is, None where there is none.
    """

    samples: slice
    source: Mapping[str, NDArray]
    parts: Mapping[str, Mapping[Part, NDArray]]
    real: Real | None = None

    def value(self, name: str, of: NDArray | None = None) -> NDArray:
        """A layer's values in the source, or these in place of them, with 0 for padding."""
        return without_padding(self.real, name, self.source[name] if of is None else of)

    @property
    def disorder(self) -> dict[str, NDArray]:
        """The loss of each layer to arrival order."""
        return {name: parts["arrival order"] for name, parts in self.parts.items()}


@dataclass(frozen=True, eq=False)
class DiagnosedSamples:
    """All samples of a run, to be gone through in batches.

    `inputs` are `{name: array}`; `real_outputs` says which values of outputs count, of those that
    have some at padding.
    """

    plan: MeanPropagation
    inputs: Mapping[str, NDArray]
    run: Run
    real_outputs: Mapping[str, NDArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def slices(self) -> list[slice]:
        """The batches, as large as memory lets them be."""
        values = sum(prod(shape) for shape in self.plan.graph.shapes.values())
        size = max(1, _VALUES // max(1, values))
        return [slice(i, min(i + size, len(self))) for i in range(0, len(self), size)]

    def __iter__(self) -> Iterator[Batch]:
        """Every batch; all but the first are worked out anew each time, for want of memory."""
        yield self.first
        for samples in self.slices[1:]:
            yield self._batch(samples)

    @cached_property
    def first(self) -> Batch:
        """The first batch: all samples, where they are few."""
        return self._batch(self.slices[0])

    def _batch(self, samples: slice) -> Batch:
        plan = self.plan
        given = {n: x[samples] for n, x in self.inputs.items()}
        source, real = evaluate_all(plan.graph, given), masks_of(plan.graph).real(given)
        parts: dict[str, Mapping[Part, NDArray]] = {}

        def measured(lossy: LossyLayer, arriving: tuple[NDArray, ...]) -> NDArray:
            sent = self._sent(lossy, arriving, samples)
            found = split(lossy, source[lossy.name], arriving, sent)
            parts[lossy.name] = {p: without_padding(real, lossy.name, v) for p, v in found.items()}
            return lossy.passed_on(sent)

        propagate(plan, source, measured, plan.lossy_layers)
        return Batch(samples, source, parts, real)

    def _sent(self, lossy: LossyLayer, arriving: tuple[NDArray, ...], samples: slice) -> NDArray:
        """The mean that a layer sent in the run: counted, or computed for one without neurons."""
        if lossy.neurons is None:
            return lossy.network_value(*arriving)
        return self.run.populations[lossy.name].of(samples).means(self.plan.steps, self.plan.dt)


def split(
    lossy: LossyLayer, value: NDArray, arriving: tuple[NDArray, ...], sent: NDArray
) -> dict[Part, NDArray]:
    """The parts, `(batch, *shape)` each; their sum is `value` less the value that readers got.

    `value` is the source's, `arriving` the means that reached the layer and `sent` the mean that it
    sent. With `f` the source's layer and `z` the mean current,

    * inherited: `value - f(arriving)`, the loss of earlier layers,
    * policy: `f(arriving) - g(z)`, changes made on purpose. `g` is the rate function of the chosen
      neurons, or the layer that replaced `f`; `z` holds additions to the bias,
    * clipping: the part of `g(z)` above the cap on spikes,
    * quantisation: the part of the rest that whole spikes cannot express, from the voltage at the
      start on, where the current arrives evenly,
    * arrival order: the loss where the current arrived unevenly (spikes sent too early are not
      taken back, late ones do not come any more); the noise of neurons that draw at random,
    * settling: the part that the synapse had not passed on by the end.
    """
    exact = lossy.source_value(*arriving)
    neurons = lossy.neurons
    if neurons is None:
        response = clipped = steady = lossy.network_value(*arriving)
    else:
        current = lossy.current(*arriving)
        response = neurons.response(current)
        clipped, steady = neurons.clipped(response), neurons.steady(current)
    return {
        "inherited": value - exact,
        "policy": exact - response,
        "clipping": response - clipped,
        "quantisation": clipped - steady,
        "arrival order": steady - sent,
        "settling": sent - lossy.passed_on(sent),
    }


def shares(parts: Mapping[Part, NDArray]) -> tuple[float, dict[Part, float]]:
    """The gap's sum of squares, and the share of each part in it: `sum(part * gap)`.

    Contributions add up to the sum of squares exactly; one below zero makes up for others.
    """
    gap = np.sum(list(parts.values()), axis=0)
    return float(np.vdot(gap, gap)), {name: float(np.vdot(p, gap)) for name, p in parts.items()}


@dataclass(frozen=True)
class LayerLoss:
    """The loss of one layer.

    `loss` is the loss of the output where this layer alone is as in the network and all others are
    the source's. `gap` is the root mean square of source less mean over that of the source. `parts`
    holds the share of each part in it; they sum to it. `dead` is the share of neurons that are
    active in the source, for some sample, and never spike; `saturated` that of (sample, neuron)
    pairs that sent the most that the cap allows, None without a cap; `unresolved` that of the
    source's values other than 0 that are smaller than one spike. `spikes` are per sample, and
    `active` is the number of neurons whose value in the source is not 0, per sample. Layers without
    spiking neurons have None for these. `late` is the share of neurons of digits that did not say
    what they knew in the end, None of others.
    """

    name: str
    loss: Loss
    gap: float
    parts: Mapping[Part, float]
    dead: float | None
    saturated: float | None
    unresolved: float | None
    spikes: float | None
    active: float | None = None
    late: float | None = None


class _LossBreakdown:
    """Adds up the loss of one layer and its parts, batch by batch."""

    def __init__(self, lossy: LossyLayer, samples: DiagnosedSamples, scorer: Scorer | None) -> None:
        self.lossy, self.samples = lossy, samples
        self.tally = LossTally(scorer, samples.real_outputs)
        self.whole = self.gap = 0.0
        self.parts: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
        self.active: NDArray | bool = False
        self.values = self.small = self.late = 0

    def add(self, batch: Batch) -> None:
        plan, name = self.samples.plan, self.lossy.name
        found = outputs_of(plan, single_layer_means(plan, batch.source, batch.disorder, name))
        self.tally.add(batch.samples, outputs_of(plan, batch.source), found)
        value = batch.value(name)
        gap, parts = shares(batch.parts[name])
        self.whole += float(np.vdot(value, value))
        self.gap += gap
        for part, amount in parts.items():
            self.parts[part] += amount
        if self.lossy.neurons is not None:
            used = value != 0
            self.active = self.active | used.any(axis=0)
            self.values += int(used.sum())
            unit = self.lossy.neurons.unit
            self.small += int(np.sum(used & (np.abs(value) < unit)))
            self.late += int(np.sum(np.abs(batch.disorder[name]) > 0.5 * unit))

    @property
    def result(self) -> LayerLoss:
        gap = float(np.sqrt(self.gap / self.whole)) if self.whole else float(self.gap > 0)
        to_gap = gap / self.gap if self.gap else 0.0
        parts = {name: amount * to_gap for name, amount in self.parts.items()}
        return LayerLoss(self.lossy.name, self.tally.loss, gap, parts, *self._activity())

    def _activity(self) -> tuple[float | None, ...]:
        neurons, name = self.lossy.neurons, self.lossy.name
        if neurons is None or not neurons.neuron_type.spiking:
            return None, None, None, None, None, None
        run = self.samples.run
        population = run.populations[name]
        counts, silent = population.counted() > 0, ~population.totals.any(axis=0)
        saturated = None if neurons.cap is None else run.saturated_fractions()[name]
        late = self.late / max(1, int(population.counted().sum()))
        return (
            float((self.active & silent).sum()) / max(1, int(counts.sum())),
            saturated,
            self.small / self.values if self.values else 0.0,
            float(run.spike_counts()[name].mean()),
            self.values / len(self.samples),
            late if neurons.neuron_type.sends_digits else None,
        )


def survey(
    samples: DiagnosedSamples, scorer: Scorer | None, advance: Callable[[int], None]
) -> tuple[tuple[LayerLoss, ...], dict[str, NDArray]]:
    """Every layer's loss, the largest first, and the source's outputs for all samples.

    `advance` is called after each layer and batch.
    """
    plan = samples.plan
    breakdowns = [_LossBreakdown(lossy, samples, scorer) for lossy in plan.lossy_layers.values()]
    outputs: dict[str, list[NDArray]] = {name: [] for name in plan.graph.outputs}
    for batch in samples:
        for name, value in outputs_of(plan, batch.source).items():
            outputs[name].append(value)
        for breakdown in breakdowns:
            breakdown.add(batch)
            advance(1)
    found = [breakdown.result for breakdown in breakdowns]
    found.sort(key=lambda layer: (layer.loss.value, layer.loss.change), reverse=True)
    return tuple(found), {name: np.concatenate(parts) for name, parts in outputs.items()}


_LARGEST = 2.0**14  # times the rates of a layer


def ablation_change(samples: DiagnosedSamples, name: str, factor: float | NDArray = 1.0) -> float:
    """By the layer alone at rates multiplied by `factor`, the order of its spikes included."""
    batch = samples.first
    return _change(
        samples, single_layer_means(samples.plan, batch.source, batch.disorder, name, factor)
    )


Sent = Callable[[NDArray, NDArray], NDArray]
"""Of the source's values and those that readers get now, `(batch, *shape)` each, what they get."""


def change_if_sent(samples: DiagnosedSamples, name: str, sent: Sent) -> float:
    """By the layer alone if readers got what `sent` makes of it, for evenly arriving current."""
    source = samples.first.source

    def send(lossy: LossyLayer, arriving: tuple[NDArray, ...]) -> NDArray:
        return sent(source[name], lossy.reaches(*arriving))

    return _change(samples, propagate(samples.plan, source, send, {name}))


def _change(samples: DiagnosedSamples, values: Values) -> float:
    plan, batch, tally = samples.plan, samples.first, LossTally(None, samples.real_outputs)
    tally.add(batch.samples, outputs_of(plan, batch.source), outputs_of(plan, values))
    return tally.loss.change


def level_with_others(
    samples: DiagnosedSamples, layers: Sequence[LayerLoss], layer: LayerLoss
) -> float:
    """The least power of two at which the layer alone changes the output as others do.

    That is the median of the other layers that have neurons; 1 where it changes it by no more.
    """
    others = [
        other.loss.change
        for other in layers
        if other.name != layer.name and other.spikes is not None
    ]
    level = max(float(np.median(others)) if others else 0.0, layer.loss.change / 64)
    factor, change = 1.0, layer.loss.change
    while change > level and factor < _LARGEST:
        # the change falls about as one over the factor, later only where the layer was silent
        factor *= 2.0 ** max(1.0, np.floor(np.log2(change / level)))
        change = ablation_change(samples, layer.name, factor)
    return float(factor)
