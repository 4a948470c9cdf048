"""Causes of a loss in words: what makes a layer's error, with figures, and what helps.

A cause is named where the loss is at most half as large without it, everything else being as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.registries import Registry
from spikewright.choosing.rules.rule import format_range
from spikewright.choosing.statistics.channels import by_channel, channel_axis, spread
from spikewright.diagnosis.layer_losses import LayerLoss, ablation_change, change_if_sent
from spikewright.diagnosis.mean_propagation import LossyLayer, MeanPropagation, network_means
from spikewright.diagnosis.proposals import Diagnosed
from spikewright.engines.grid import on_grid
from spikewright.graph import GraphNode
from spikewright.graph.layers import Affine, Convolution

_LEAST = 0.02  # of the output, that a layer has to change for its cause to be looked for
_HALF = 0.5  # of its loss, that is left without the cause
_NARROW, _SHARE = 0.25, 0.2  # of the levels of the widest channel; of the channels
_ONE_SIDED = 4.0  # times as far as the one sign the other reaches


@dataclass(frozen=True)
class Cause:
    """A cause of the loss of a layer.

    `kind` is its name in the registry; `text` says it with figures, and `move` says what helps.
    `before` is the change of the output, or for "cancelling sums" of the layer's value, and `after`
    what it would be without the cause.
    """

    kind: str
    layer: str
    text: str
    move: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.layer}: {self.text}. {self.move}."


Finder = Callable[[Diagnosed], Iterable[Cause]]
CAUSES: Registry[Finder] = Registry("cause")
"""Every cause that is looked for, by its kind (read only): it is found in a finished survey."""


_register = CAUSES.named


def causes(case: Diagnosed) -> tuple[Cause, ...]:
    """All causes that are found, kind by kind, the layers that lose most first."""
    return tuple(cause for finder in CAUSES.values() for cause in finder(case))


@_register("narrow channels")
def _narrow_channels(case: Diagnosed) -> Iterator[Cause]:
    """Channels of few levels beside others of many, under thresholds that do not follow them."""
    for layer, lossy in _losing(case):
        factor = _as_many_levels(case, lossy)
        if factor is None:
            continue
        before = ablation_change(case.samples, layer.name)
        after = ablation_change(case.samples, layer.name, factor)
        if after <= _HALF * before:
            ranges = _ranges(case, lossy)
            text = (
                f"{ranges}. As many levels for each channel would cut what the layer alone changes "
                f"from {_percent(before)} to {_percent(after)}"
            )
            move = f"Choose for channels: scale_firing_rates={_rule_of_channels(case, lossy)}"
            yield Cause("narrow channels", layer.name, text, move, before, after)


@_register("narrow sign")
def _narrow_sign(case: Diagnosed) -> Iterator[Cause]:
    """Values of one sign that are small beside those of the other, with one threshold for both."""
    for layer, lossy in _losing(case):
        value = case.samples.first.value(layer.name)
        ends = float(value.max(initial=0.0)), float(-value.min(initial=0.0))
        small, large = sorted(ends)
        if small == 0 or large < _ONE_SIDED * small or lossy.neurons is None:
            continue
        sign = 1.0 if ends[0] == small else -1.0

        def repaired(exact: NDArray, sent: NDArray, sign: float = sign) -> NDArray:
            return np.where(sign * exact > 0, exact, sent)

        before = change_if_sent(case.samples, layer.name, lambda exact, sent: sent)
        after = change_if_sent(case.samples, layer.name, repaired)
        if before >= _LEAST and after <= _HALF * before:
            text = _signs(value, lossy, sign, ends, (before, after))
            move = (
                f"One threshold serves both signs: {_times(large / small)} times the scale of "
                f"{layer.name} gives the smaller as many levels, and so do as many times the steps"
            )
            yield Cause("narrow sign", layer.name, text, move, before, after)


@_register("cancelling sums")
def _cancelling_sums(case: Diagnosed) -> Iterator[Cause]:
    """Weighted sums in which terms cancel, but not their errors: linear bottlenecks and heads."""
    plan, batch = case.samples.plan, case.samples.first
    values = network_means(plan, batch.source, batch.disorder)

    def error(name: str) -> float:
        exact = batch.value(name)
        whole = float(np.linalg.norm(exact))
        found = batch.value(name, values[name])
        return float(np.linalg.norm(exact - found)) / whole if whole else 0.0

    for node in plan.graph:
        if not isinstance(node.layer, Affine | Convolution):
            continue
        arriving, leaving = error(node.inputs[0]), error(node.name)
        if leaving < _LEAST or arriving > _HALF * leaving:
            continue
        terms = _terms(node.layer, batch.value(node.inputs[0]), batch.value(node.name))
        if terms * _HALF >= 1.0:
            text = (
                f"{_form(plan, node)}terms of its sums cancel to {_percent(1 / terms)} of their "
                f"size, and errors do not: what arrives is {_percent(arriving)} off, its own "
                f"values {_percent(leaving)}"
            )
            names = ", ".join(_senders(plan, node)) or "the layers before it"
            move = (
                f"More levels in front of it help: {_times(leaving / arriving)} times the scale of "
                f"{names}, or as many times the steps"
            )
            yield Cause("cancelling sums", node.name, text, move, leaving, arriving)


@_register("rounded sums")
def _rounded_sums(case: Diagnosed) -> Iterator[Cause]:
    """Weights of spikes so small beside others of their channel that 24 bits do not hold them."""
    plan, batch = case.samples.plan, case.samples.first
    values = network_means(plan, batch.source, batch.disorder)
    for node in plan.graph:
        if not isinstance(node.layer, Affine | Convolution) or not _reads_spikes(plan, node):
            continue
        read, exact = batch.value(node.inputs[0], values[node.inputs[0]]), batch.value(node.name)
        axis = channel_axis(plan.graph, node.name)
        held = replace(node.layer, weight=_weights_on_grid(plan, node))
        before, after = (
            _errors_by_channel(exact, batch.value(node.name, layer.evaluate(read)), axis)
            for layer in (held, node.layer)
        )
        worst = int(np.argmax(before - after))
        if before[worst] < _LEAST or after[worst] > _HALF * before[worst]:
            continue
        text = (
            f"sums over spikes hold weights to 24 bits of a channel's largest, and channel {worst} "
            f"has smaller ones that matter: its values are {_percent(before[worst])} off, and "
            f"{_percent(after[worst])} with all bits"
        )
        move = (
            'Run it with precision="float64", which holds 53 bits, or choose scales by channel, so '
            "that heights of spikes level the weights"
        )
        yield Cause(
            "rounded sums", node.name, text, move, float(before[worst]), float(after[worst])
        )


def _reads_spikes(plan: MeanPropagation, node: GraphNode) -> bool:
    """Whether populations that spike are all that a layer reads."""
    neurons = [plan.lossy_layers[name].neurons for name in _senders(plan, node)]
    return bool(neurons) and all(c is not None and c.neuron_type.spiking for c in neurons)


def _weights_on_grid(plan: MeanPropagation, node: GraphNode) -> NDArray:
    """A layer's weights as sums over spikes hold them, times heights that differ by channel."""
    weight = np.asarray(node.layer.weight, np.float64)  # type: ignore[attr-defined]
    sender = plan.lossy_layers.get(node.inputs[0])
    heights = np.ones(1)
    if sender is not None and sender.neurons is not None and np.ndim(sender.neurons.height):
        shape = plan.graph.shapes[sender.name]
        each = np.broadcast_to(sender.neurons.height, (1, *shape))
        heights = by_channel(each, channel_axis(plan.graph, sender.name)).mean(axis=1)
    if len(heights) != weight.shape[1]:
        return on_grid(weight, "float32")
    scaled = heights.reshape(1, -1, *[1] * (weight.ndim - 2))
    found: NDArray = on_grid(weight * scaled, "float32") / scaled
    return found


def _errors_by_channel(exact: NDArray, found: NDArray, axis: int | None) -> NDArray:
    """The distance of each channel's values from the source's, relative to these."""
    apart, whole = (
        np.linalg.norm(by_channel(value, axis), axis=1) for value in (exact - found, exact)
    )
    return np.asarray(apart / np.where(whole > 0.0, whole, 1.0) * (whole > 0.0))


def _losing(case: Diagnosed) -> Iterator[tuple[LayerLoss, LossyLayer]]:
    """Layers with spikes that count what arrives, and change the output by enough to matter."""
    for layer in sorted(case.layers, key=lambda found: -found.loss.change):
        lossy = case.samples.plan.lossy_layers[layer.name]
        counts = lossy.neurons is not None and lossy.neurons.integrates
        if counts and layer.loss.change >= _LEAST:
            yield layer, lossy


def _channels(case: Diagnosed, lossy: LossyLayer, value: NDArray) -> NDArray:
    """Values `(batch, *shape)` as `(channels, values)`."""
    return by_channel(value, channel_axis(case.samples.plan.graph, lossy.name))


def _largest(case: Diagnosed, lossy: LossyLayer) -> NDArray:
    """The largest magnitude of each channel in the source."""
    value = np.abs(case.samples.first.value(lossy.name))
    return np.asarray(_channels(case, lossy, value).max(axis=1))


def _as_many_levels(case: Diagnosed, lossy: LossyLayer) -> NDArray | None:
    """Factors of rates at which each channel has as many levels as the widest.

    None where channels have about as many already.
    """
    assert lossy.neurons is not None
    graph, largest = case.samples.plan.graph, _largest(case, lossy)
    shape = graph.shapes[lossy.name]
    heights = _channels(case, lossy, np.broadcast_to(lossy.neurons.height, (1, *shape))).mean(
        axis=1
    )
    levels, sends = largest / heights, largest > 0
    if sends.sum() < 2 or np.mean(levels[sends] < _NARROW * levels.max()) < _SHARE:
        return None
    factors = np.where(sends, levels.max() / np.where(sends, levels, 1.0), 1.0)
    return spread(factors, shape, channel_axis(graph, lossy.name))


def _ranges(case: Diagnosed, lossy: LossyLayer) -> str:
    """The ranges of channels beside the value of a spike, in words."""
    assert lossy.neurons is not None
    largest = _largest(case, lossy)
    sends = largest > 0
    totals = case.samples.run.populations[lossy.name].totals
    silent = int((sends & ~_channels(case, lossy, totals != 0).any(axis=1)).sum())
    return (
        f"the largest values of its channels span {format_range(largest[sends], 3)}. One spike in "
        f"the whole run means {format_range(lossy.neurons.unit, 3)}, and {silent} of "
        f"{int(sends.sum())} active channels send nothing"
    )


def _rule_of_channels(case: Diagnosed, lossy: LossyLayer) -> str:
    """The rule that chooses for channels, as one would write it."""
    assert lossy.neurons is not None
    plan = case.samples.plan
    steps = f"steps={plan.steps}"
    dt = "" if plan.dt == 0.001 else f", dt={plan.dt:g}"
    if lossy.neurons.cap is not None:
        return f"sw.MinimumError({steps}{dt})"
    spikes = max(1, round(case.spikes))
    return f'sw.EnergyBudget({steps}, spikes={spikes}{dt}, per="channel")'


def _signs(
    value: NDArray,
    lossy: LossyLayer,
    sign: float,
    ends: tuple[float, float],
    changes: tuple[float, float],
) -> str:
    """The ranges of both signs beside the value of a spike, in words."""
    assert lossy.neurons is not None
    narrow = sign * value > 0
    lost = float(np.mean((np.abs(value) < lossy.neurons.unit / 2)[narrow]))
    below, above = ("above", "below") if sign > 0 else ("below", "above")
    (small, large), (before, after) = sorted(ends), changes
    return (
        f"values {below} 0 reach {small:.3g} and those {above} it {large:.3g}. One spike in "
        f"the whole run means {format_range(lossy.neurons.unit, 3)}, and {_percent(lost)} of the "
        f"values {below} 0 are less than half a spike. Without their errors the layer alone would "
        f"change the outputs by {_percent(after)} in place of {_percent(before)}"
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _times(ratio: float) -> int:
    """A power of two, not less than this."""
    return int(2 ** np.ceil(np.log2(ratio)))


def _terms(layer: Affine | Convolution, read: NDArray, value: NDArray) -> float:
    """The terms of a layer's sums over the sums, root mean square: as errors of terms add up."""
    squared = replace(layer, weight=np.square(layer.weight), bias=None)
    terms, sums = squared.evaluate(np.square(read)).mean(), np.square(value).mean()
    return float(np.sqrt(terms / sums)) if sums > 0 else 0.0


def _form(plan: MeanPropagation, node: GraphNode) -> str:
    """That there are no neurons between a layer and who reads it, where it is so."""
    readers = plan.graph.consumers[node.name]
    return "" if any(reader in plan.lossy_layers for reader in readers) else "it has no neurons; "


def _senders(plan: MeanPropagation, node: GraphNode) -> list[str]:
    """The populations whose spikes reach a layer without passing another."""
    waiting, found = list(node.inputs), dict[str, None]()
    while waiting:
        name = waiting.pop()
        if name in plan.lossy_layers:
            found[name] = None
        else:
            waiting += plan.graph[name].inputs
    return list(found)
