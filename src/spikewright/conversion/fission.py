"""Fission: channels that round badly become several, which share their work.

A channel of m copies of threshold theta, each worth 1/m of it, whose starts lie 1/m apart, sends
what one neuron of threshold theta/m sends that may spike m times a step. By Hermite's identity
`sum over i of floor(x + i/m) = floor(m x)`, that is exact for any constant input.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
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
from spikewright.choosing.statistics.channels import by_channel, channel_axis, channel_size
from spikewright.errors import ConversionError, Refusal
from spikewright.graph import Graph, evaluate_all
from spikewright.graph.layers import Activation
from spikewright.lower.populations import Roles
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
    splits = _chosen(conversion, samples, steps, extra, dt)
    graph = SplitChannels(splits)(conversion.canonical).graph
    made = remade(graph, _arguments(conversion, splits))
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


def _chosen(
    conversion: Made, samples: Mapping[str, NDArray], steps: int, extra: float, dt: float
) -> dict[str, Split]:
    """The channels to split: always the one whose next neuron lowers the errors behind it most.

    A neuron that is m neurons has an m-th of the error, so that m + 1 lower its square by
    1/m^2 - 1/(m + 1)^2. Errors are those of rounding values of the source (what is cut off stays
    so), and weigh as much as the weights behind them.
    """
    graph, populations = conversion.canonical, conversion.populations()
    values = evaluate_all(graph, {name: array[:_SAMPLES] for name, array in samples.items()})
    axes = dict(_divisible(graph))
    copies: dict[str, NDArray] = {}
    waiting: list[tuple[float, str, int]] = []
    for name, axis in axes.items():
        ensemble = populations[name]
        most = steps * (ensemble.neuron_type.most_spikes or 0)
        unit = ensemble.neuron_type.amplitude / (ensemble.rate_scale * dt * steps)
        sent = np.clip(values[name] / unit, -most, most)
        errors = by_channel(np.square((sent - np.rint(sent)) * unit), axis).mean(axis=1)
        copies[name] = np.ones(len(errors), int)
        scores = errors * _effects(graph, name, axis)
        waiting += [(-score * _gain(1), name, c) for c, score in enumerate(scores) if score > 0]
    heapq.heapify(waiting)
    left = extra * sum(ensemble.n_neurons for ensemble in populations.values())
    while waiting:
        gain, name, channel = heapq.heappop(waiting)
        size = channel_size(graph.shapes[name], axes[name])
        if size <= left:
            left -= size
            count = copies[name][channel]
            copies[name][channel] += 1
            again = gain * _gain(count + 1) / _gain(count)
            heapq.heappush(waiting, (again, name, channel))
    return {name: Split(n, axes[name]) for name, n in copies.items() if n.max(initial=1) > 1}


def _gain(count: int) -> float:
    return 1.0 / count**2 - 1.0 / (count + 1) ** 2


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


def _arguments(conversion: Made, splits: Mapping[str, Split]) -> dict[str, Any]:
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
        scales[name] = _copied(ensemble.rate_scale, split, ensemble.shape)
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
