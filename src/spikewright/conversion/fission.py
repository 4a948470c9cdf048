"""Fission: channels that round badly become several, which share their work.

A channel of m copies of threshold theta, each worth 1/m of it, whose starts lie 1/m apart, sends
what one neuron of threshold theta/m sends that may spike m times a step. By Hermite's identity
`sum over i of floor(x + i/m) = floor(m x)`, that is exact for any constant input.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole, refuse
from spikewright.choosing.correction import (
    StepCorrection,
    VoltageCorrection,
    correct_steps,
    correct_voltages,
)
from spikewright.choosing.rules import MinimumError
from spikewright.choosing.rules.coding import coding_error
from spikewright.choosing.rules.minimum_error import best_threshold
from spikewright.choosing.statistics.channels import by_channel, channel_axis, channel_size
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.errors import ConversionError, Refusal
from spikewright.graph import Graph, evaluate_all
from spikewright.graph.layers import Activation
from spikewright.lower.populations import Roles
from spikewright.network import Ensemble
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.passes.split_channels import Split, SplitChannels
from spikewright.running.converted import Made

_SAMPLES, _AT_ONCE = 64, 32


def fission(
    conversion: Made,
    x: Any,
    steps: int,
    extra: float,
    dt: float,
    remade: Callable[[Graph, Mapping[str, Any]], Made],
) -> Made:
    """See `Conversion.fission`; `remade` converts a graph with arguments of `convert`."""
    _check(conversion, steps, extra, dt)
    samples = conversion.as_inputs(x)
    layers = _layers(conversion, samples, steps, dt)
    neurons = sum(ensemble.n_neurons for ensemble in conversion.populations().values())
    splits = _chosen(layers, extra * neurons)
    graph = SplitChannels(splits)(conversion.canonical).graph
    made = remade(graph, _arguments(conversion, splits, layers, dt))
    for name, split in splits.items():
        made.trace.add("fission", name, split.text, "exact")
    return _corrected(made, conversion.arguments, samples, splits)


def _corrected(
    made: Made,
    arguments: Mapping[str, Any],
    samples: dict[str, NDArray],
    splits: Mapping[str, Split],
) -> Made:
    """The network with biases of each step and starts as `arguments` ask, of copies together."""
    steps, starts = arguments["bias_correction"], arguments["initial_voltage"]
    found: dict[str, Any] = {}

    def shared(name: str, gap: NDArray) -> NDArray:
        return _shared(gap, splits.get(name))

    if isinstance(steps, StepCorrection):
        found["bias_correction"] = correct_steps(made, steps, samples, shared)
    if isinstance(starts, VoltageCorrection):
        found["initial_voltage"] = correct_voltages(made, starts, samples, shared)
    if not found:
        return made
    again: Any = made.again(**found)
    again.trace = made.trace
    result: Made = again
    return result


def _check(conversion: Made, steps: Any, extra: Any, dt: Any) -> None:
    """Raise `ConversionError` for arguments and networks without fission."""
    if not (is_whole(steps) and steps >= 1):
        raise refuse("steps", f"it is a whole number from 1, got {steps!r}")
    if not (is_number(extra) and 0 <= extra < math.inf):
        raise refuse("extra", f"it is a number of neurons for each one, from 0, got {extra!r}")
    if not (is_number(dt) and 0 < dt < math.inf):
        raise refuse("dt", f"it is a number of seconds above 0, got {dt!r}")
    if conversion.lowered.stepping is not None:
        reason = "steps of a sequence share neurons, whose starts would be those of the first alone"
        raise refuse("sequence_step", reason, "Convert without it")
    refusals = []
    for name, ensemble in conversion.populations().items():
        kind, start = ensemble.neuron_type, ensemble.initial_voltage
        if not (kind.spiking and kind.follows_mean) or kind.stochastic or kind.rounds_charge:
            why = f"{kind} sends no rounded sum of its input, so that copies would not share it"
            refusals.append(Refusal(name, "neurons", why, "Use sw.BipolarIntegrateAndFire"))
        elif kind.most_spikes is None:
            why = (
                "without a cap on spikes a step a larger scale gives the same levels for no neurons"
            )
            refusals.append(Refusal(name, "neurons", why, "Raise scale_firing_rates"))
        elif isinstance(start, str) and start not in NAMED_VOLTAGES:
            why = "starts are drawn, and copies need theirs apart"
            refusals.append(Refusal(name, "initial_voltage", why, 'Use initial_voltage="half"'))
    if refusals:
        raise ConversionError(refusals)


@dataclass(eq=False)
class _Layer:
    """A layer whose channels may become several: the thresholds and errors of so many copies.

    With `rule` thresholds are the rule's for as many levels as all copies send together; without
    one they stay as they are.
    """

    values: Histogram
    axis: int
    size: int
    effects: NDArray
    thresholds: NDArray
    cap: int
    steps: int
    rule: MinimumError | None
    found: dict[int, tuple[NDArray, NDArray]] = field(default_factory=dict)

    def of(self, copies: int) -> tuple[NDArray, NDArray]:
        """Thresholds of channels that are so many, and mean squared errors, `(channels,)`."""
        if copies not in self.found:
            steps, theta = copies * self.steps, self.thresholds
            if self.rule is not None and copies > 1:
                best = best_threshold(self.values, steps, self.rule.usable(self.cap, steps), 0.5)
                theta = np.where(best > 0, best, theta)
            self.found[copies] = theta, coding_error(self.values, theta, steps, self.cap, 0.5)
        return self.found[copies]

    def gain(self, channel: int, copies: int) -> float:
        """The error that another copy of a channel takes away, in the currents behind it."""
        less = self.of(copies)[1][channel] - self.of(copies + 1)[1][channel]
        return float(less * self.effects[channel])


def _layers(
    conversion: Made, samples: Mapping[str, NDArray], steps: int, dt: float
) -> dict[str, _Layer]:
    graph, populations = conversion.canonical, conversion.populations()
    values = evaluate_all(graph, {name: array[:_SAMPLES] for name, array in samples.items()})
    rule = conversion.arguments["scale_firing_rates"]
    found = {}
    for name, axis in _divisible(graph):
        ensemble, shape = populations[name], graph.shapes[name]
        theta = ensemble.neuron_type.amplitude / (ensemble.rate_scale * dt)
        along = np.broadcast_to(theta, shape).swapaxes(0, axis).reshape(shape[axis], -1)
        found[name] = _Layer(
            Histogram.of(by_channel(values[name], axis)),
            axis,
            channel_size(shape, axis),
            _effects(graph, name, axis),
            along.mean(axis=1),
            ensemble.neuron_type.most_spikes or 0,
            steps,
            rule if isinstance(rule, MinimumError) else None,
        )
    return found


def _chosen(layers: Mapping[str, _Layer], left: float) -> dict[str, Split]:
    """The channels to split: always the one whose next neuron lowers the errors behind it most.

    So long as some of `left` neurons are left. Errors are those of rounding and cutting off values
    of the source, and weigh as much as the weights behind them.
    """
    copies = {name: np.ones(layer.values.channels, int) for name, layer in layers.items()}
    waiting = [
        (-layer.gain(channel, 1), name, channel)
        for name, layer in layers.items()
        for channel in range(layer.values.channels)
    ]
    waiting = [one for one in waiting if one[0] < 0]
    heapq.heapify(waiting)
    while waiting:
        _, name, channel = heapq.heappop(waiting)
        layer = layers[name]
        if layer.size <= left:
            left -= layer.size
            copies[name][channel] += 1
            gain = layer.gain(channel, int(copies[name][channel]))
            if gain > 0:
                heapq.heappush(waiting, (-gain, name, channel))
    return {n: Split(c, layers[n].axis) for n, c in copies.items() if c.max(initial=1) > 1}


def _divisible(graph: Graph) -> Iterator[tuple[str, int]]:
    """Layers whose channels can be split, with their axis: none that is an output itself."""
    for name in Roles(graph).activations:
        axis, rank = channel_axis(graph, name), len(graph.shapes[name])
        images = axis == 0 and rank <= 4
        plain = isinstance(graph[name].layer, Activation) and not graph.is_output(name)
        if axis is not None and (axis == rank - 1 or images) and plain:
            yield name, axis


def _effects(graph: Graph, name: str, axis: int) -> NDArray:
    """The squares of the weights from a neuron of each channel, summed, `(channels,)`.

    They lead to the currents of the next neurons, and to whatever else is not linear.
    """
    shape = graph.shapes[name]
    signs = np.random.default_rng(0).choice([-1.0, 1.0], shape)
    found = np.zeros(shape[axis])
    for first in range(0, shape[axis], _AT_ONCE):
        channels = np.arange(first, min(first + _AT_ONCE, shape[axis]))
        only = np.moveaxis(
            np.eye(shape[axis])[channels].reshape(-1, *(1,) * (len(shape) - 1), shape[axis]),
            -1,
            axis + 1,
        )
        ends = zip(
            _linear(graph, name, only * signs), _linear(graph, name, -only * signs), strict=True
        )
        for up, down in ends:
            found[channels] += np.square((up - down) / 2).reshape(len(channels), -1).sum(axis=1)
    return found / channel_size(shape, axis)


def _linear(graph: Graph, name: str, value: NDArray) -> list[NDArray]:
    """The values that a layer's value leads to, through linear layers, where these end."""
    values, ends = {name: value}, []
    for node in graph:
        if node.layer.linear and values.keys() & set(node.inputs):
            zero = {n: np.zeros((len(value), *graph.shapes[n])) for n in node.inputs}
            values[node.name] = node.layer.evaluate(*({**zero, **values}[n] for n in node.inputs))
    for found in values:
        users = [graph[user].layer.linear for user in graph.consumers[found]]
        if not all(users) or not users:
            ends.append(values[found])
    return ends


def _arguments(
    conversion: Made, splits: Mapping[str, Split], layers: Mapping[str, _Layer], dt: float
) -> dict[str, Any]:
    """The arguments of `convert` with what each copy has of its channel's."""
    populations, correction = conversion.populations(), conversion.arguments["initial_voltage"]
    scales, starts, biases = {}, {}, {}
    added = conversion.resolved["bias_correction"]
    if isinstance(conversion.arguments["bias_correction"], StepCorrection):
        added = None  # copies spike at other steps
    for name, ensemble in populations.items():
        split, start = splits.get(name), ensemble.initial_voltage
        if isinstance(correction, VoltageCorrection):
            start = correction.start
        start = np.asarray(NAMED_VOLTAGES[start] if isinstance(start, str) else start)
        scale = np.asarray(ensemble.rate_scale)
        if split is not None and layers[name].rule is not None:
            scale = _scales(ensemble, split, layers[name], dt)
        scales[name] = _copied(scale, split, ensemble.shape)
        starts[name] = _apart(_copied(start, split, ensemble.shape), split, len(ensemble.shape))
        if added is not None:
            mine = added[name] if isinstance(added, Mapping) else added
            biases[name] = _copied(np.asarray(mine), split, ensemble.shape)
    return {
        **conversion.resolved,
        "scale_firing_rates": scales,
        "initial_voltage": starts,
        "bias_correction": biases or None,
        "outputs": None,
    }


def _scales(ensemble: Ensemble, split: Split, layer: _Layer, dt: float) -> NDArray:
    """Scales of a layer's channels, anew for those that are several."""
    shape, scale = ensemble.shape, np.asarray(ensemble.rate_scale)
    theta = np.stack([layer.of(n)[0] for n in range(1, split.copies.max() + 1)])
    chosen = theta[split.copies - 1, np.arange(len(split.copies))]
    anew = split.along(ensemble.neuron_type.amplitude / (chosen * dt), len(shape))
    return np.where(split.along(split.copies, len(shape)) > 1, anew, scale)


def _copied(value: NDArray, split: Split | None, shape: tuple[int, ...]) -> NDArray:
    """A value that broadcasts to a layer's shape, perhaps one for each step, for its copies."""
    if split is None or value.ndim == 0:
        return value
    whole = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
    axis = split.axis + whole.ndim - len(shape)
    return whole if whole.shape[axis] == 1 else whole.take(split.channels, axis)


def _apart(start: NDArray, split: Split | None, rank: int) -> NDArray:
    """Starts of copies: `(i + 1/2) / m - 1/2` from that of their channel, whose mean they keep."""
    if split is None:
        return start
    return start + split.along((split.turns + 0.5) * split.shares - 0.5, rank)


def _shared(gap: NDArray, split: Split | None) -> NDArray:
    """The mean gap of all copies `(steps, *shape)`, for each: some lack what others have."""
    if split is None:
        return gap
    sums = np.add.reduceat(gap, np.flatnonzero(split.turns == 0), axis=split.axis + 1)
    return sums.take(split.channels, split.axis + 1) * split.along(split.shares, gap.ndim - 1)
