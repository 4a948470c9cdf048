"""The effect of errors in each channel of a layer on the outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.channels import channel_axis, channels_of
from spikewright.graph import Graph, evaluate_all

_SIZE = 0.1  # of the root mean square of what a layer sends
_FEWEST, _MOST = 4, 64  # examples

Values = Mapping[str, NDArray]


def sensitivities(
    graph: Graph,
    layers: tuple[str, ...],
    outputs: tuple[str, ...],
    examples: Values,
    budget: float,
) -> dict[str, NDArray]:
    """Squared change of the outputs per variance of errors in a layer's values, by channel.

    `{layer: (channels,)}`: every value of a channel is moved by a small amount up or down, at
    random (seeded), and back; half the difference of the outputs, less its mean over an output's
    values, is the effect of an error to first order, whichever neurons are silent. About `budget`
    multiply-accumulates are spent: on fewer of the `examples` `{input: (n, *shape)}` where there
    are many channels and, where even four are too many, on whole layers.
    """
    below = {name: list(_behind(graph, name)) for name in layers}
    whole = sum(_work(graph, below[name]) for name in layers)
    split = sum(_work(graph, below[name]) * _channels(graph, name) for name in layers)
    count = min(_MOST, len(next(iter(examples.values()))))
    by_channel = 2 * split * min(_FEWEST, count) <= budget
    count = int(np.clip(budget / max(1, 2 * (split if by_channel else whole)), 1, count))
    values = evaluate_all(graph, {name: array[:count] for name, array in examples.items()})
    found = {}
    for index, name in enumerate(layers):
        rng = np.random.default_rng([1, index])
        found[name] = _of_layer(graph, below[name], values, name, outputs, by_channel, rng)
    return found


def _of_layer(
    graph: Graph,
    below: list[str],
    values: Values,
    name: str,
    outputs: tuple[str, ...],
    by_channel: bool,
    rng: np.random.Generator,
) -> NDArray:
    value, axis = values[name], channel_axis(graph, name)
    channels = channels_of(graph.shapes[name], axis)
    size = _SIZE * math.sqrt(float(np.square(value).mean()))
    if size == 0.0:
        return np.zeros(channels)
    error = size * rng.choice([-1.0, 1.0], value.shape)
    if not by_channel:
        change = _change(graph, below, values, name, error, outputs)
        return np.full(channels, change / (len(value) * size**2))
    found = np.zeros(channels)
    for channel in range(channels):
        one = np.zeros_like(error)
        place = (slice(None),) * (1 + (axis or 0)) + (channel,) if axis is not None else ...
        one[place] = error[place]
        found[channel] = _change(graph, below, values, name, one, outputs)
    return found / (len(value) * size**2)


def _change(
    graph: Graph,
    below: list[str],
    values: Values,
    name: str,
    error: NDArray,
    outputs: tuple[str, ...],
) -> float:
    """Squared change of the outputs to first order, summed over samples."""
    up, down = (_moved(graph, below, values, name, values[name] + e) for e in (error, -error))
    total = 0.0
    for output in outputs:
        if output in up:
            change = (up[output] - down[output]) / 2
            flat = change.reshape(len(change), -1)
            total += float(np.square(flat - flat.mean(axis=1, keepdims=True)).sum())
            if flat.shape[1] == 1:
                total += float(np.square(flat).sum())
    return total


def _moved(
    graph: Graph, below: list[str], values: Values, name: str, value: NDArray
) -> dict[str, NDArray]:
    """The values that depend on a layer where it has another value; its own is included."""
    found = {name: value}
    for other in below:
        node = graph[other]
        inputs = (found[source] if source in found else values[source] for source in node.inputs)
        found[other] = node.layer.evaluate(*inputs)
    return found


def _behind(graph: Graph, name: str) -> Iterator[str]:
    """The layers that depend on one, in order."""
    reached = {name}
    for node in graph:
        if reached.intersection(node.inputs):
            reached.add(node.name)
            yield node.name


def _work(graph: Graph, names: list[str]) -> int:
    """Multiply-accumulates of these layers, and one operation for each of their values."""
    total = 0
    for name in names:
        node = graph[name]
        total += math.prod(graph.shapes[name])
        total += node.layer.multiply_accumulates(*(graph.shapes[n] for n in node.inputs))
    return total


def _channels(graph: Graph, name: str) -> int:
    return channels_of(graph.shapes[name], channel_axis(graph, name))
