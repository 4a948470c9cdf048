"""A survey of the loss of each layer and its parts, and of layers alone, were they otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.loss import Judge, Loss, LossTally
from spikewright.diagnosis.samples import PARTS, Batch, DiagnosedSamples, Part, shares
from spikewright.diagnosis.sites import Site, Values, alone, follow, outputs_of


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
    spiking neurons have None for these.
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


class _Account:
    """Adds up one layer, batch by batch."""

    def __init__(self, site: Site, samples: DiagnosedSamples, judge: Judge | None) -> None:
        self.site, self.samples = site, samples
        self.tally = LossTally(judge, samples.real_outputs)
        self.whole = self.gap = 0.0
        self.parts: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
        self.active: NDArray | bool = False
        self.values = self.small = 0

    def add(self, batch: Batch) -> None:
        plan, name = self.samples.plan, self.site.name
        found = outputs_of(plan, alone(plan, batch.source, batch.disorder, name))
        self.tally.add(batch.samples, outputs_of(plan, batch.source), found)
        value = batch.value(name)
        gap, parts = shares(batch.parts[name])
        self.whole += float(np.vdot(value, value))
        self.gap += gap
        for part, amount in parts.items():
            self.parts[part] += amount
        if self.site.cells is not None:
            used = value != 0
            self.active = self.active | used.any(axis=0)
            self.values += int(used.sum())
            self.small += int(np.sum(used & (np.abs(value) < self.site.cells.unit)))

    @property
    def result(self) -> LayerLoss:
        gap = float(np.sqrt(self.gap / self.whole)) if self.whole else float(self.gap > 0)
        to_gap = gap / self.gap if self.gap else 0.0
        parts = {name: amount * to_gap for name, amount in self.parts.items()}
        return LayerLoss(self.site.name, self.tally.loss, gap, parts, *self._activity())

    def _activity(self) -> tuple[float | None, ...]:
        cells, name = self.site.cells, self.site.name
        if cells is None or not cells.neuron_type.spiking:
            return None, None, None, None, None
        run = self.samples.run
        population = run.populations[name]
        counts, silent = population.counted() > 0, ~population.totals.any(axis=0)
        saturated = None if cells.cap is None else run.saturated_fractions()[name]
        return (
            float((self.active & silent).sum()) / max(1, int(counts.sum())),
            saturated,
            self.small / self.values if self.values else 0.0,
            float(run.spike_counts()[name].mean()),
            self.values / len(self.samples),
        )


def survey(
    samples: DiagnosedSamples, judge: Judge | None, advance: Callable[[int], None]
) -> tuple[tuple[LayerLoss, ...], dict[str, NDArray]]:
    """Every site's loss, the largest first, and the source's outputs for all samples.

    `advance` is told of each site and batch.
    """
    plan = samples.plan
    accounts = [_Account(site, samples, judge) for site in plan.sites.values()]
    outputs: dict[str, list[NDArray]] = {name: [] for name in plan.graph.outputs}
    for batch in samples:
        for name, value in outputs_of(plan, batch.source).items():
            outputs[name].append(value)
        for account in accounts:
            account.add(batch)
            advance(1)
    found = [account.result for account in accounts]
    found.sort(key=lambda layer: (layer.loss.value, layer.loss.change), reverse=True)
    return tuple(found), {name: np.concatenate(parts) for name, parts in outputs.items()}


_LARGEST = 2.0**14  # times the rates of a layer


def change_alone(samples: DiagnosedSamples, name: str, factor: float | NDArray = 1.0) -> float:
    """By the layer alone at rates multiplied by `factor`, the order of its spikes included."""
    batch = samples.first
    return _change(samples, alone(samples.plan, batch.source, batch.disorder, name, factor))


Sent = Callable[[NDArray, NDArray], NDArray]
"""Of the source's values and those that readers get now, `(batch, *shape)` each, what they get."""


def change_if_sent(samples: DiagnosedSamples, name: str, sent: Sent) -> float:
    """By the layer alone if readers got what `sent` makes of it, for evenly arriving current."""
    source = samples.first.source

    def send(site: Site, arriving: tuple[NDArray, ...]) -> NDArray:
        return sent(source[name], site.reaches(*arriving))

    return _change(samples, follow(samples.plan, source, send, {name}))


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
        change = change_alone(samples, layer.name, factor)
    return float(factor)
