"""Effects of errors: of one in a layer's values on the outputs, and of rounding on layers.

Sources that compute in float32 give rounding errors in place of zero. The difference of two terms
that are equal but for their rounding is not a value of the model: another order of sums would give
another one. The size of such errors is measured by Monte Carlo arithmetic (Parker 1997, UCLA
CSD-970002): every value is passed on a unit in the last place too high or too low, at random, and
the change of the values behind it is measured. The fan-out of a layer's spikes is found here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.channels import by_channel, channel_axis, channels_of
from spikewright.choosing.statistics.statistics import LayerStatistics, Per, Statistics
from spikewright.graph import Graph, evaluate_all, values_in_order
from spikewright.graph.layers import Affine, Convolution, ConvolutionTranspose, Input
from spikewright.graph.masks import Real, masks_of

_WEIGHTS = (Affine, Convolution, ConvolutionTranspose)
_FEWEST, _MOST = 4, 64  # examples

Values = Mapping[str, NDArray]
PassedOn = Callable[[str, NDArray], NDArray]


class _Probe(NamedTuple):
    """The way in which a layer's values are moved, and what of the outputs' change counts.

    By `size` of their root mean square, of each part its own, small beside values and large beside
    rounding; those of `silent` neurons too, or not. `centred` leaves out what all values of an
    output change alike.
    """

    size: float
    draws: int
    silent: bool
    centred: bool


_PROBES: Mapping[Per, _Probe] = {
    "layer": _Probe(0.05, 4, silent=False, centred=False),
    "channel": _Probe(0.1, 1, silent=True, centred=True),
}


def sensitivities(
    graph: Graph,
    names: Sequence[str],
    examples: Values,
    outputs: Sequence[str],
    per: Per = "layer",
    work: float = math.inf,
) -> dict[str, NDArray]:
    """Squared change of the outputs, summed, per variance of independent errors in a layer.

    `{layer: (1,)}`, or `(channels,)` for each channel. Values are moved up or down by a small
    amount, at random (the draws are seeded), and back; half the difference of the outputs is the
    effect of an error to first order. The mean over examples `{input name: (n, *shape)}` is taken.
    Of a layer that is for the values that are not zero. Of channels it is for all, and without the
    mean over an output's values. Padding is not moved, and its change does not count. About `work`
    multiply-accumulates are spent: on fewer examples where there are many channels and, where even
    four are too many, on whole layers.
    """
    behind = {name: _behind(graph, name) for name in names}
    parts = {name: _channels(graph, name) if per == "channel" else 1 for name in names}
    costs = {name: _work(graph, behind[name]) for name in names}
    most = len(next(iter(examples.values())))
    count = most if per == "layer" else min(_MOST, most)
    split = sum(costs[name] * parts[name] for name in names)
    if 2 * split * min(_FEWEST, count) > work:
        split, whole = sum(costs.values()), True
    else:
        whole = per == "layer"
    count = int(np.clip(work / max(1, 2 * split), 1, count))
    some = {name: array[:count] for name, array in examples.items()}
    values, real = evaluate_all(graph, some), masks_of(graph).real(some)
    found = {}
    for index, name in enumerate(names):
        rng = np.random.default_rng([int(per == "channel"), index])
        axis = None if whole else channel_axis(graph, name)
        reached = [output for output in outputs if output in {name, *behind[name]}]
        moving = _Moving(graph, values, name, behind[name], reached, real)
        effects = moving.effects(_PROBES[per], rng, 1 if whole else parts[name], axis)
        found[name] = np.full(parts[name], effects)
    return found


@dataclass(frozen=True, eq=False)
class _Moving:
    """A layer whose values are moved, the layers `behind` it, and the outputs that it reaches."""

    graph: Graph
    values: Values
    name: str
    behind: Sequence[str]
    outputs: Sequence[str]
    real: Real | None = None

    def _counts(self, name: str) -> NDArray | bool:
        """The entries of a node that are no padding."""
        found = None if self.real is None else self.real.whole(name, self.graph.shapes[name])
        return True if found is None else found

    def effects(
        self, probe: _Probe, rng: np.random.Generator, parts: int, axis: int | None
    ) -> NDArray:
        """The squared change of the outputs per variance of errors in each channel, `(parts,)`."""
        value, found = self.values[self.name], np.zeros(parts)
        moved = np.ones_like(value, bool) if probe.silent else value != 0
        moved = moved & self._counts(self.name)
        sizes = probe.size * _root_mean_squares(value, moved, axis)
        if not sizes.any():
            return found
        for _ in range(probe.draws):
            signs = moved * random_signs(rng, value.shape, self._counts(self.name))
            found += [
                self._effect(sizes[part] * _only(signs, part, axis), probe.centred)
                for part in range(parts)
            ]
        effects: NDArray = found / (probe.draws * len(value))
        return effects

    def _effect(self, error: NDArray, centred: bool) -> float:
        """Squared change of the outputs per variance of an error, summed over samples.

        Where a function behind the layer has no value at zero, or none below it, values keep their
        sign: none is moved by more than half of itself.
        """
        if self._keeps_signs:
            error = np.copysign(np.minimum(abs(error), abs(self.values[self.name]) / 2), error)
        variance = float(np.square(error[error != 0]).mean()) if error.any() else 1.0
        return self._change(error, centred) / variance

    @cached_property
    def _keeps_signs(self) -> bool:
        return any(self.graph[name].layer.partial for name in self.behind)

    def _change(self, error: NDArray, centred: bool) -> float:
        """Squared change of the outputs to first order, summed over samples.

        An output that is no number where the layer is moved is left out.
        """
        value = self.values[self.name]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            up, down = (self._outputs(value + e) for e in (error, -error))
        total = 0.0
        for output, before, after in zip(self.outputs, up, down, strict=True):
            there = np.isfinite(before) & np.isfinite(after) & self._counts(output)
            change = np.subtract(before, after, out=np.zeros(before.shape), where=there) / 2
            change = change.reshape(len(before), -1)
            if centred and change.shape[1] > 1:
                change = change - change.mean(axis=1, keepdims=True)
            total += float(np.square(change).sum())
        return total

    def _outputs(self, value: NDArray) -> list[NDArray]:
        """The outputs where the layer has another value."""
        found = {self.name: value}
        for other in self.behind:
            node = self.graph[other]
            inputs = (found.get(source, self.values[source]) for source in node.inputs)
            found[other] = node.layer.evaluate(*inputs)
        return [found[output] for output in self.outputs]


def random_signs(
    rng: np.random.Generator, shape: tuple[int, ...], counts: NDArray | bool = True
) -> NDArray:
    """A sign for every entry that counts, 0 for others: padding does not change what is drawn."""
    if counts is True:
        signs = np.empty(shape)
        for sample in range(len(signs)):
            signs[sample] = rng.choice([-1.0, 1.0], shape[1:])
        return signs
    there = np.broadcast_to(counts, shape)
    signs = np.zeros(shape)
    signs[there] = rng.choice([-1.0, 1.0], int(there.sum()))
    return signs


def _root_mean_squares(value: NDArray, moved: NDArray, axis: int | None) -> NDArray:
    """Of each channel's values that are moved, `(channels,)`; of those of zeros alone the layer's.

    A channel is moved by what is small beside its own values, whatever those of others are.
    """
    squares = np.where(moved, np.square(value), 0.0)
    counts, powers = (by_channel(a, axis).sum(axis=1) for a in (moved, squares))
    if not counts.sum():
        return np.zeros(len(counts))
    all_values = float(powers.sum()) / float(counts.sum())
    own = powers / np.maximum(counts, 1)
    return np.asarray(np.sqrt(np.where(own > 0, own, all_values)))


def _only(error: NDArray, channel: int, axis: int | None) -> NDArray:
    """The error of one channel alone, or all of it where there are no channels."""
    if axis is None:
        return error
    one, place = np.zeros_like(error), (slice(None),) * (1 + axis) + (channel,)
    one[place] = error[place]
    return one


def _behind(graph: Graph, name: str) -> list[str]:
    """The layers that depend on one, in order."""
    reached = {name}
    for node in graph:
        if reached.intersection(node.inputs):
            reached.add(node.name)
    return [node.name for node in graph if node.name in reached - {name}]


def _work(graph: Graph, names: Sequence[str]) -> int:
    """Multiply-accumulates of these layers, and one operation for each of their values."""
    total = 0
    for name in names:
        node = graph[name]
        total += math.prod(graph.shapes[name])
        total += node.layer.multiply_accumulates(*(graph.shapes[n] for n in node.inputs))
    return total


def _channels(graph: Graph, name: str) -> int:
    return channels_of(graph.shapes[name], channel_axis(graph, name))


def fan_out(graph: Graph, name: str) -> float:
    """The number of weights that a spike of a layer meets, on average over its neurons.

    These are the weights of the next dense layers and convolutions, through sums, pooling and moves
    in between.
    """
    waiting, seen, total = list(graph.consumers[name]), set[str](), 0.0
    while waiting:
        node = graph[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        shapes = [graph.shapes[source] for source in node.inputs]
        if isinstance(node.layer, _WEIGHTS):
            total += node.layer.multiply_accumulates(*shapes) / max(1, math.prod(shapes[0]))
        elif node.layer.linear or node.layer.kind in ("MaxPool", "GlobalMaxPool"):
            waiting += graph.consumers[node.name]
    return total


_UNIT = 2.0**-23  # in the last place of a float32, as a share of its value
_MARGIN = 8.0  # times the root mean square: no sum of a few errors of either sign is larger
_EXAMPLES, _DRAWS = 4, 2
_AT_ONCE = 2**20  # errors that are summed up together

BOUND = _MARGIN * _UNIT
"""The bound of the rounding error of a single term, as a share of its value."""


def above_rounding(statistics: Statistics, graph: Graph, name: str) -> LayerStatistics:
    """A layer with 0 in the place of values that are smaller than their rounding errors.

    It shares nothing with the statistics that what is asked of it would be kept in.
    """
    limits = statistics.rounding
    if not limits:
        limits.update(_limits(statistics, graph))
    return statistics.layers[name].above(limits[name])


def _limits(statistics: Statistics, graph: Graph) -> dict[str, NDArray]:
    """Limits that values of each channel have to exceed, by layer, measured on a few examples.

    The source and its rounded draws are evaluated side by side, node by node, so that few values
    are held at once. Each draw has the signs that it had, were it made when those before are done.
    """
    readers: dict[str, list[str]] = {}
    for name, layer in statistics.layers.items():
        readers.setdefault(graph[name].inputs[0] if layer.rectifies else name, []).append(name)
    inputs = {name: value[:_EXAMPLES] for name, value in statistics.examples.values.items()}
    size = len(next(iter(inputs.values())))
    masks = masks_of(graph)
    real = masks.real(inputs)

    def counts(name: str) -> NDArray | bool:
        found = None if real is None else real.of(name)
        return True if found is None else found

    moved = [
        node.name
        for node in graph  # masks are zeros and ones, and what is made of them, exactly
        if not isinstance(node.layer, Input) and node.name not in masks.alone
    ]

    def rounded(rng: np.random.Generator, name: str, value: NDArray) -> NDArray:
        if name in masks.alone:
            return value
        signs = random_signs(rng, value.shape, counts(name))
        signs *= _UNIT
        signs += 1.0
        signs *= value
        return signs

    rng = np.random.default_rng(0)
    draws: list[PassedOn | None] = [None, partial(rounded, deepcopy(rng))]
    while len(draws) <= _DRAWS:
        for name in moved:
            random_signs(rng, (size, *graph.shapes[name]), counts(name))
        draws.append(partial(rounded, deepcopy(rng)))
    found: dict[str, NDArray] = {}
    with np.errstate(all="ignore"):
        for nodes in zip(*(values_in_order(graph, inputs, draw) for draw in draws), strict=True):
            (name, exact), *drawn = nodes
            for reader in readers.get(name, ()):
                there = np.broadcast_to(counts(name), exact.shape)
                axis = statistics.layers[reader].axis
                found[reader] = _typical(exact, [value for _, value in drawn], there, axis)
            del nodes, exact, drawn
    return {name: found[name] for name in statistics.layers}


def _typical(exact: NDArray, drawn: Sequence[NDArray], there: NDArray, axis: int | None) -> NDArray:
    """A bound for the errors of values `(samples, *shape)` of each channel, where they are `there`.

    It is made of those that are not 0, some channels at a time. Of channels without errors, which
    these samples left at 0, it is the median of the others'.
    """
    exact, there, *drawn = (
        value[None] if axis is None else np.moveaxis(value, axis + 1, 0)
        for value in (exact, there, *drawn)
    )
    counts, sums = np.zeros(len(exact), np.int64), np.zeros(len(exact))
    some = max(1, _AT_ONCE // max(1, exact[:1].size * len(drawn)))
    for i in range(0, len(exact), some):
        part = slice(i, i + some)
        errors = [np.where(there[part], one[part] - exact[part], 0.0) for one in drawn]
        each = np.concatenate(errors, axis=1).reshape(len(errors[0]), -1)
        counts[part] = (each != 0).sum(axis=1)
        sums[part] = np.square(each).sum(axis=1)
    bound = _MARGIN * np.sqrt(sums / np.maximum(counts, 1))
    known = (counts > 0) & np.isfinite(bound)
    other = float(np.median(bound[known])) if known.any() else 0.0
    return np.where(known, bound, other)
