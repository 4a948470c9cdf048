"""Weights fitted layer by layer, by least squares, to what the spiking network sends.

In front of neurons a current is linear in the weights nearest to them, and a run tells what earlier
layers send. So the weights that bring the current nearest to the source's solve a linear
least-squares problem: without epochs, and without a rate of learning. Layers are fitted in their
order, each to what reaches it from those before it. It makes up for what few steps round, and for
spikes that come too late. Weights of few bits are calibrated so (Hubara et al. 2021, AdaQuant;
Frantar & Alistarh 2022, optimal brain compression).

A ridge holds weights to their own values. A value counts little where the layer's function is the
same of the current and of the source's, such as ReLU of two currents below zero. The solver is that
of conjugate gradients, for which slopes are enough (Hestenes & Stiefel 1952).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from spikewright._base.progress import progress_bar
from spikewright.engines.torch.device import Tensor
from spikewright.frontends.origins import Place
from spikewright.graph import GraphNode
from spikewright.graph.layers import BatchNormalization
from spikewright.graph.whole_weights import WEIGHTED
from spikewright.passes.folding import channel_axis
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.judge import NetworkJudge
from spikewright.training.gradients.layers import normalisation, value_of
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.gradients.spiking import sent
from spikewright.training.gradients.stepping import Values
from spikewright.training.options import TrainOptions

_RIDGE = 0.5  # times the mean square of what a weight reads
_ALIKE = 0.1  # what a value counts whose function is the source's already
_ITERATIONS = 15
_ENOUGH = 1e-12  # of the squared slope at the beginning
_ROOM = 2**30  # bytes of what is read and wanted in front of one layer, at most

Numbers = dict[Place, Tensor]
"""Unknowns: arrays by node and field."""


def refit(judge: NetworkJudge, samples: TrainingSamples, settings: TrainOptions) -> None:
    """Fit the weights of the judge's network, and biases if they may change, part by part."""
    parts, biases = parts_of(judge.network), "biases" in settings["trainable"]
    with progress_bar(len(parts), settings["progress"], "layers") as advance:
        for part in parts:
            batches = list(_batched(judge, part, samples))
            _Problem(judge.network, part, batches, biases).solve()
            advance(1)


@dataclass(frozen=True)
class RefittedPart:
    """Linear layers that end at the node `target`, the current of the population `site`.

    `site` is None at an output. `nodes` are in the graph's order. `fitted` are those whose weights
    are fitted: the nearest ones, and of no part before.
    """

    target: str
    site: str | None
    nodes: tuple[GraphNode, ...]
    fitted: tuple[str, ...]


def parts_of(network: RoundedNetwork) -> list[RefittedPart]:
    """All parts in which there is something to be fitted, in the graph's order."""
    taken: set[str] = set()
    found = []
    for target, site in _targets(network):
        nodes, fitted = _back_from(network, target, taken)
        taken.update(fitted)
        if fitted:
            inside = tuple(node for node in network.graph if node.name in nodes)
            found.append(RefittedPart(target, site, inside, fitted))
    return found


def _targets(network: RoundedNetwork) -> Iterator[tuple[str, str | None]]:
    """Nodes whose values are fitted, with the population that reads them.

    These are currents, what functions in front of neurons read, and outputs, or what an activation
    at an output reads.
    """
    graph, outputs = network.graph, set(network.graph.outputs.values())
    for node in graph:
        if node.name in network.roundings:
            yield from ((name, node.name) for name in node.inputs)
        elif node.name in outputs and node.layer.linear:
            yield node.name, None
        elif node.name in outputs:
            yield from ((name, None) for name in node.inputs)


def _back_from(
    network: RoundedNetwork, target: str, taken: set[str]
) -> tuple[set[str], tuple[str, ...]]:
    """Linear layers on all ways to a node, as far as the nearest weights, and those to be fitted.

    Weights that may not change are passed; `taken` ones end a way.
    """
    nodes: set[str] = set()
    fitted = []
    waiting = [target]
    while waiting:
        node = network.graph[waiting.pop()]
        sends = node.name in network.roundings
        if sends or node.name in nodes or not node.layer.linear or not node.inputs:
            continue
        nodes.add(node.name)
        weighted = isinstance(node.layer, WEIGHTED)
        changes = weighted and network.arrays.own(node.name, "weight")
        if changes and node.name not in taken:
            fitted.append(node.name)
        elif not changes:
            waiting.extend(node.inputs)
    return nodes, tuple(fitted)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Samples of a part: values that it reads, those wanted of its target, and their weights."""

    read: Values
    wanted: Tensor
    counting: Tensor


def _batched(judge: NetworkJudge, part: RefittedPart, samples: TrainingSamples) -> Iterator[_Batch]:
    """Samples as a part sees them, as many as there is room for."""
    room = _ROOM
    for batch in judge.teacher.batches(samples):
        made = _batch(judge, part, batch.inputs)
        yield made
        size = sum(x.nbytes for x in (*made.read.values(), made.wanted, made.counting))
        room -= size
        if room < size:
            return


@torch.no_grad()
def _batch(judge: NetworkJudge, part: RefittedPart, inputs: Mapping[str, Tensor]) -> _Batch:
    network, until = judge.network, part.target
    counts = sent(network, inputs, net=True, until=until).net
    values, _ = network(inputs, counts, until=until)
    source = judge.teacher.network(inputs, until=until)[0][until]
    inside = {node.name for node in part.nodes}
    read = {name: values[name] for n in part.nodes for name in n.inputs if name not in inside}
    every = torch.ones_like(source)
    if part.site is None:
        return _Batch(read, source, every)
    rounding, node = network.roundings[part.site], network.graph[part.site]
    added = torch.zeros_like(source) if rounding.site.follows else rounding.biased(every) - every
    counting = every
    if len(node.inputs) == 1:
        arrays = network.arrays.of(node.name)
        now, then = (value_of(node.layer, arrays, x) for x in (values[until] + added, source))
        if now.shape == source.shape:
            counting = torch.where(now == then, _ALIKE, every)
    return _Batch(read, source - added, counting)


class _Problem:
    """The least squares of one part.

    Unknown are changes of weights as neurons see them, with normalisations behind them taken in:
    so all are of one scale.
    """

    def __init__(
        self, network: RoundedNetwork, part: RefittedPart, batches: list[_Batch], biases: bool
    ) -> None:
        self._network, self._part, self._batches = network, part, batches
        with torch.no_grad():
            self._arrays = network.weights()
        self._behind = {name: after for after, name in network.normalised.items()}
        counted = sum(float(batch.counting.sum()) for batch in batches)
        self._ridge: dict[Place, float] = {}
        for name in part.fitted:
            each = counted / self._channels(name)  # values that a weight has a part in
            self._ridge[name, "weight"] = _RIDGE * self._mean_square(name) * each
            if biases and "bias" in self._arrays[name] and self._owner_of_bias(name) is not None:
                self._ridge[name, "bias"] = 0.0

    def _channels(self, name: str) -> int:
        """The number of channels that a layer sends."""
        layer, shape = self._network.graph[name].layer, self._network.graph.shapes[name]
        assert isinstance(layer, WEIGHTED)
        return shape[channel_axis(layer, len(shape))]

    @torch.no_grad()
    def _mean_square(self, name: str) -> float:
        """The mean square of what a layer reads."""
        (read,) = self._network.graph[name].inputs
        values = [self._values(batch, {})[read] for batch in self._batches]
        return sum(float(x.square().sum()) for x in values) / sum(x.numel() for x in values)

    def _owner_of_bias(self, name: str) -> Place | None:
        """The array that a change of a layer's bias goes to; None where none may change."""
        after = self._behind.get(name)
        places = [] if after is None else [(after, "beta")]
        own = self._network.arrays.own
        return next((p for p in (*places, (name, "bias")) if own(*p)), None)

    def solve(self) -> None:
        """Find the changes, and bring them into the network."""
        like = {(name, field): self._arrays[name][field] for name, field in self._ridge}
        changes = _least(self._downhill, like, _ITERATIONS)
        with torch.no_grad():
            for (name, field), change in changes.items():
                self._bring(name, field, change)

    def _downhill(self, changes: Numbers) -> Numbers:
        """Against the slope of half the sum of squares, with the ridge."""
        given = {place: x.detach().requires_grad_() for place, x in changes.items()}
        found = {place: -self._ridge[place] * x for place, x in changes.items()}
        for batch in self._batches:
            apart = self._values(batch, given)[self._part.target] - batch.wanted
            half = (batch.counting * apart.square()).sum() / 2
            slopes = torch.autograd.grad(half, list(given.values()))
            found = {p: x - slope for (p, x), slope in zip(found.items(), slopes, strict=True)}
        for (name, field), slope in found.items():
            if field == "weight":  # those that were zero at first stay zero
                found[name, field] = slope * (self._network.arrays.of(name)[field] != 0)
        return found

    def _values(self, batch: _Batch, changes: Numbers) -> Values:
        """Values of all nodes of the part, with weights changed."""
        values = dict(batch.read)
        for node in self._part.nodes:
            if node.name in self._network.normalised:
                values[node.name] = values[node.inputs[0]]
                continue
            arrays = {
                field: array + changes[node.name, field] if (node.name, field) in changes else array
                for field, array in self._arrays[node.name].items()
            }
            values[node.name] = value_of(node.layer, arrays, *(values[n] for n in node.inputs))
        return values

    def _bring(self, name: str, field: str, change: Tensor) -> None:
        """Change the source's own array; a normalisation behind it scales its values again."""
        arrays, after = self._network.arrays, self._behind.get(name)
        owner = self._owner_of_bias(name) if field == "bias" else (name, field)
        assert owner is not None
        if owner[0] == name and after is not None:
            layer = self._network.graph[after].layer
            assert isinstance(layer, BatchNormalization)
            scale, _ = normalisation(layer, arrays.of(after))
            scale = scale.reshape(-1, *(1,) * (change.ndim - 1))
            change = torch.where(scale == 0.0, torch.zeros_like(change), change / scale)
        arrays.of(owner[0])[owner[1]].add_(change)


def _least(downhill: Callable[[Numbers], Numbers], like: Numbers, iterations: int) -> Numbers:
    """The lowest point of a quadratic function, or as near as so many iterations come from zero.

    `downhill` is against the slope at a point. Where a way has no finite bend the search ends.
    """
    found = {place: torch.zeros_like(x) for place, x in like.items()}
    first = downhill(found)
    left, way = first, first
    size = begun = _product(left, left)
    for _ in range(iterations):
        if not size > _ENOUGH * begun:
            break
        there = downhill(way)
        curved = {place: x - there[place] for place, x in first.items()}
        bend = _product(way, curved)
        if not (bend > 0 and math.isfinite(bend)):
            break
        step = size / bend
        found = {place: x + step * way[place] for place, x in found.items()}
        left = {place: x - step * curved[place] for place, x in left.items()}
        before, size = size, _product(left, left)
        way = {place: x + size / before * way[place] for place, x in left.items()}
    return found


def _product(a: Numbers, b: Numbers) -> float:
    """The inner product, summed in float64."""
    return sum(float((x.double() * b[place].double()).sum()) for place, x in a.items())
