"""Fission: channels that round badly become several, which share their work.

A channel of m copies of threshold theta, each worth 1/m of it, whose starts lie 1/m apart, sends
what one neuron of threshold theta/m sends that may spike m times a step. By Hermite's identity
`sum over i of floor(x + i/m) = floor(m x)`, that is exact for any constant input.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright._base.schema import AboveZero, Positive, Where
from spikewright.choosing.rules.rule import check_fields
from spikewright.choosing.sent import real_in
from spikewright.choosing.statistics.channels import (
    by_channel,
    channel_axis,
    channel_size,
    channels_of,
)
from spikewright.errors import ConversionError, NetworkError, Refusal
from spikewright.graph import Graph, evaluate_all
from spikewright.graph.layers import Activation, Take
from spikewright.graph.splits import Split
from spikewright.lower.keys import by_layer
from spikewright.lower.populations import PopulationChoices, Roles
from spikewright.network import Ensemble
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.running.converted import Converted


@dataclass(frozen=True, eq=False)
class Copies:
    """The channels of a model's layers that are several channels in the network, by layer.

    Thresholds, starts and biases are stated for the channels of the model, wherever a user gives
    or reads them. Here they become those of the copies.
    """

    splits: Mapping[str, Split] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, counts: Mapping[str, NDArray] | None) -> Copies:
        """The copies in a graph, whose layers in `counts` were split."""
        found = {}
        for name in counts or {}:
            taken = graph[graph[name].inputs[0]].layer
            if not isinstance(taken, Take):
                raise TypeError(f"layer {name!r} is to be split, and has no copies")
            found[name] = Split(np.bincount(taken.indices), taken.axis)
        return cls(found)

    @classmethod
    def in_network(cls, conversion: Converted) -> Copies:
        """The copies that a conversion's network has."""
        return cls.of(conversion.canonical, conversion.resolved.get("fission"))

    @property
    def counts(self) -> dict[str, NDArray] | None:
        """The numbers of neurons for one, `(channels,)`, by layer; None where all are one."""
        return {name: split.copies for name, split in self.splits.items()} or None

    def mean(self, name: str, values: NDArray) -> NDArray:
        """The means of a layer's copies, of values `(batch, *shape)`."""
        return self.splits[name].mean(values) if name in self.splits else values

    def channels(self, name: str, value: NDArray, rank: int) -> NDArray:
        """The value of the first copy of each channel, of values as `spread` returns them."""
        split = self.splits.get(name)
        axis = 0 if split is None else split.axis + value.ndim - rank
        if split is None or axis < 0 or value.shape[axis] == 1:
            return value
        return value.take(np.flatnonzero(split.turns == 0), axis)

    def spread(self, name: str, value: NDArray, rank: int) -> NDArray:
        """A value that broadcasts to a layer of this rank, perhaps one for each step, for copies.

        Raises `NetworkError` where it does not fit the channels.
        """
        split = self.splits.get(name)
        if split is None or value.ndim == 0:
            return value
        whole = value.reshape((1,) * (rank - value.ndim) + value.shape)
        axis = split.axis + whole.ndim - rank
        if whole.shape[axis] not in (1, len(split.copies)):
            raise NetworkError(
                f"layer {name!r} has {len(split.copies)} channels, and shape {value.shape} none "
                "for each: what is given is that of the model, and copies have that of theirs"
            )
        return whole if whole.shape[axis] == 1 else whole.take(split.channels, axis)

    def biases(self, given: Any, layers: Mapping[str, Ensemble]) -> dict[str, NDArray]:
        """Additions to biases, by layer, from those of the model's channels or one for all."""
        found = {}
        for name, ensemble in layers.items():
            value = np.asarray(given[name] if isinstance(given, Mapping) else given, np.float64)
            found[name] = self.spread(name, value, len(ensemble.shape))
        return found

    def starts(self, name: str, start: Any, rank: int, height: int) -> Any:
        """Starts of copies: `(i + 1/2) / m - 1/2` from that of their channel, whose mean they keep.

        The distance is in spikes of the last `height`, 1 where spikes have none. Neurons say
        multiples of that height. Raises `NetworkError` for starts that are drawn.
        """
        split = self.splits.get(name)
        if split is None:
            return start
        if isinstance(start, str) and start not in NAMED_VOLTAGES:
            raise NetworkError(f"initial_voltage={start!r} is drawn, and copies need theirs apart")
        first = np.asarray(NAMED_VOLTAGES[start] if isinstance(start, str) else start, np.float64)
        return self.spread(name, first, rank) + height * split.along(split.apart, rank)

    def first_starts(self, name: str, starts: NDArray, rank: int, height: int) -> NDArray:
        """The starts of channels, from those of their copies as `starts` returns them."""
        split = self.splits.get(name)
        if split is None:
            return starts
        return self.channels(name, starts - height * split.along(split.apart, rank), rank)

    def choices(self, graph: Graph, choices: PopulationChoices) -> PopulationChoices:
        """The choices for a graph's layers, for their copies.

        Raises `ConversionError` for those that do not fit.
        """
        scales, starts, refusals = dict(choices.scales), dict(choices.starts), []
        for name in self.splits:
            rank = len(graph.shapes[name])
            try:
                scales[name] = self.spread(name, scales[name], rank)
                height = choices.types[name].last_height
                starts[name] = self.starts(name, starts[name], rank, height)
            except NetworkError as error:
                refusals.append(Refusal(name, "neurons", str(error)))
        if refusals:
            raise ConversionError(refusals)
        return replace(choices, scales=scales, starts=starts)


NONE = Copies()
"""Those of a network whose channels are the model's."""


_SAMPLES, _AT_ONCE = 64, 32
_MOST_COPIES = 2**16  # of a channel


@dataclass(frozen=True)
class Fission:
    """Channels that round badly in `steps` steps of `dt` seconds become several channels each.

    m copies of a neuron start 1 / m of a spike apart, and their mean takes its place: together they
    send what a single neuron of an m-th of the threshold sends, with m times the spikes a step. At
    most `extra` neurons are added for each one, always where the next one lowers the squared error
    of rounding most, on up to 64 calibration samples, times the squared weights behind it. No
    labels are needed. Thresholds stay.

    Law: Hermite's identity, sum over i < m of floor(x + i / m) = floor(m x), so that at constant
    input m copies send m T levels in T steps. Source: the idea is Adaptive Fission's (Jiang et al.
    2025). Raises `ConversionError` for parameters that have no meaning.
    """

    steps: Positive
    extra: Annotated[float, Where(lambda x: x >= 0, "a number of neurons for each, from 0")] = 0.5
    dt: AboveZero = 0.001

    def __post_init__(self) -> None:
        check_fields(self)


def split_by(conversion: Converted, rule: Fission, samples: Mapping[str, NDArray]) -> Copies:
    """The copies that a rule makes of a network's channels.

    Always the channel is split whose next neuron lowers the errors behind it most. A neuron that is
    m neurons has an m-th of the error, so that m + 1 lower its square by 1/m^2 - 1/(m + 1)^2.
    Errors are those of rounding values of the source (what is cut off stays so), and weigh as much
    as the weights behind them. Raises `ConversionError` for networks without fission.
    """
    _check(conversion)
    graph, populations = conversion.canonical, conversion.populations()
    some = {name: array[:_SAMPLES] for name, array in samples.items()}
    values, real = evaluate_all(graph, some), real_in(conversion, some)
    axes = dict(_divisible(graph))
    copies: dict[str, NDArray] = {}
    waiting: list[tuple[float, str, int]] = []
    for name, axis in axes.items():
        ensemble = populations[name]
        most = ensemble.neuron_type.most_in(rule.steps) or 0
        unit = ensemble.neuron_type.amplitude / (ensemble.rate_scale * rule.dt * rule.steps)
        sent = np.clip(values[name] / unit, -most, most)
        counts = None if real is None else real.whole(name, graph.shapes[name])
        errors = _mean_by_channel(np.square((sent - np.rint(sent)) * unit), axis, counts)
        copies[name] = np.ones(len(errors), int)
        scores = errors * _effects(graph, name, axis)
        waiting += [(-score * _gain(1), name, c) for c, score in enumerate(scores) if score > 0]
    heapq.heapify(waiting)
    left = rule.extra * sum(ensemble.n_neurons for ensemble in populations.values())
    while waiting:
        gain, name, channel = heapq.heappop(waiting)
        size = channel_size(graph.shapes[name], axes[name])
        if size <= left:
            left -= size
            count = copies[name][channel]
            copies[name][channel] += 1
            again = gain * _gain(count + 1) / _gain(count)
            heapq.heappush(waiting, (again, name, channel))
    return Copies({n: Split(c, axes[n]) for n, c in copies.items() if c.max(initial=1) > 1})


def _mean_by_channel(values: NDArray, axis: int | None, counts: NDArray | None) -> NDArray:
    """The mean of each channel's values, of those that are no padding."""
    if counts is None:
        mean: NDArray = by_channel(values, axis).mean(axis=1)
        return mean
    total, number = (by_channel(x, axis).sum(axis=1) for x in (values * counts, counts))
    return np.asarray(total / np.maximum(1, number))


def split_as_told(roles: Roles, counts: Mapping[Any, Any]) -> Copies:
    """The copies in numbers, `{layer: (channels,)}`; raises `ConversionError` for others."""
    graph = roles.graph
    axes = dict(_divisible(graph))
    keys = roles.keys.among(axes, "layer whose channels can be several")
    found = by_layer(counts, keys, "fission", lambda counts: counts)
    refusals, splits = [], {}
    for name, given in ((name, given) for name, given in found.items() if given is not None):
        array, wanted = np.asarray(given), (channels_of(graph.shapes[name], axes[name]),)
        whole = array.shape == wanted and array.dtype.kind in "iu"
        if not whole or not 1 <= array.min(initial=1) <= array.max(initial=1) <= _MOST_COPIES:
            reason = (
                f"it is a whole number from 1 to {_MOST_COPIES} for each of {wanted[0]} channels, "
                f"got {given!r}"
            )
            refusals.append(Refusal(name, "value of fission", reason))
        else:
            splits[name] = Split(array, axes[name])
    if refusals:
        raise ConversionError(refusals)
    return Copies(splits)


def _check(conversion: Converted) -> None:
    """Raise `ConversionError` for networks without fission."""
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


def _gain(count: int) -> float:
    return 1.0 / count**2 - 1.0 / (count + 1) ** 2


def _divisible(graph: Graph) -> Iterator[tuple[str, int]]:
    """Layers whose channels can be split, with their axis: none that is an output itself."""
    activations = Roles(graph).activations
    for name in (node.name for node in graph if node.name in activations):
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
