"""The wiring of a network: places that hold values, and the signal paths between them.

It is found on the network's program, as any engine gets it: operators that move, pool, weigh,
filter and add, between the signals of the network's objects. A *place* holds arriving values: a
population, the vector that one represents, a function's input, or a junction that something other
than spikes reaches. Spikes go through any other junction as they are (flattened, concatenated,
pooled or added before they meet weights, they are spikes still). So a *signal path* leads from the
maker of spikes or values, through junctions, to the next place, with one weight a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.engines.operators import (
    Apply,
    DelayedLinear,
    Filter,
    Generate,
    Linear,
    Operator,
    ScaledSum,
)
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program
from spikewright.engines.windows import Average
from spikewright.measure.operations.patterns import adds, applied, pull_back_chain, weighs
from spikewright.network import Node, NodeFunction
from spikewright.network.ensemble import Ensemble
from spikewright.network.learning import LearningRule
from spikewright.network.node_functions import Maximum, MaxPool, Minimum, ReduceMax
from spikewright.network.processes import Process
from spikewright.network.transforms import AxisMap, Dense, Scale, Shape, Sparse, SumPool, Transform
from spikewright.network.view import NeuronsView

Kind = Literal["spikes", "max", "input", "constant", "graded", "junction", "stored"]
_PASSES_ON = ("spikes", "max", "input", "constant", "junction")


@dataclass(frozen=True, eq=False)
class Intermediate:
    """Sums within a connection, stored where a second matrix reads them."""

    label: str
    shape_in: Shape


Endpoint = Node | NeuronsView | Ensemble | LearningRule | Intermediate
"""A place that holds values. An ensemble stands for the vector that it represents."""


@dataclass(frozen=True, eq=False)
class Edge:
    """Maps of values of `shape` from one item to the next, `filtered` where a synapse is on it."""

    pre: Endpoint
    post: Endpoint
    chain: tuple[Linear, ...]
    shape: Shape
    filtered: bool

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The maps without the factors beside them."""
        return tuple(op.transform for op in self.chain)

    @property
    def routes(self) -> bool:
        """Whether it passes spikes on without weights."""
        return not any(map(weighs, self.transforms))

    @property
    def adds(self) -> bool:
        """Whether it moves and sums values without multiplying them, spike heights apart."""
        return adds(op.transform for op in self.chain if not _applies_height(op))


@dataclass(frozen=True, eq=False)
class SignalPath:
    """All connections from an `origin` to a `target`.

    `fan_out` is the number of connections whose weight is not zero from each value, shaped like the
    origin; `connections` is the number of all. `weighs` is False where values are only added.
    `filtered` is True where a synapse lies between.
    """

    origin: Endpoint
    target: Endpoint
    fan_out: NDArray
    connections: int
    weighs: bool
    filtered: bool

    @property
    def synapses(self) -> int:
        """Number of connections whose weight is not zero."""
        return int(self.fan_out.sum())


class Wiring:
    """The places of a program, the kind of value that each sends, and the paths between them.

    Learned weights all count as not zero, since they will not stay zero.
    """

    def __init__(self, program: Program, inputs: Mapping[str, Node]) -> None:
        self._program, self._inputs = program, set(inputs.values())
        self._made: dict[int, Operator] = {s: op for op in program.operators for s in op.outputs}
        self._sender: dict[int, Endpoint] = {s: item for item, s in program.output_of.items()}
        self._receiver: dict[Endpoint, int] = dict(program.input_of)
        for op in program.operators:
            if isinstance(op, Apply) and op.output not in self._sender and op.inputs:
                self._sender[op.output] = op.node  # the function of a connection
                self._receiver[op.node] = op.inputs[0]
        self.items: list[Endpoint] = list(dict.fromkeys((*self._sender.values(), *self._receiver)))
        for item in self.items:
            if isinstance(item, Ensemble):  # encoders read what it represents
                self._sender.setdefault(self._receiver[item], item)
        self.arriving: dict[Endpoint, list[Edge]] = {item: [] for item in self.items}
        for item in self._receiver:
            self._arrive(item)
        self.sending = {edge.pre for edges in self.arriving.values() for edge in edges}
        self.kinds: dict[Endpoint, Kind] = {}
        self._units: dict[Endpoint, NDArray | None] = {}
        self._classify()
        self.paths = [path for item in self.items for path in self._paths_to(item)]

    def _arrive(self, item: Endpoint) -> None:
        """Add the edges that lead to an object: to each term of its input."""
        signal = self._receiver[item]
        op = self._made.get(signal)
        summed = isinstance(op, ScaledSum) and self._sender.get(signal, item) is item
        for term in op.inputs if summed and op is not None else (signal,):
            self._trace(item, term, (), False)

    def _trace(
        self, post: Endpoint, signal: int, chain: tuple[Linear, ...], filtered: bool
    ) -> None:
        """Add the edges to `post` from where a signal comes from, `chain` being the maps behind.

        An edge ends behind every map that weighs, but for the last that does.
        """
        op, shape = self._made.get(signal), self._program.shapes[signal]
        if signal in self._sender:
            self.arriving[post].append(Edge(self._sender[signal], post, chain, shape, filtered))
        elif (linear := _as_linear(op)) is not None:
            if weighs(linear.transform) and any(weighs(behind.transform) for behind in chain):
                intermediate = Intermediate(linear.label, shape)
                self.items.append(intermediate)
                self.arriving[post].append(Edge(intermediate, post, chain, shape, filtered))
                self.arriving[intermediate] = []
                post, chain, filtered = intermediate, (), False
            self._trace(post, linear.inputs[0], (linear, *chain), filtered)
        elif op is not None:  # a filter, a delay, a sum; of noise nothing is an input
            filtered = filtered or isinstance(op, Filter | Average | Generate)
            for before in op.inputs:
                self._trace(post, before, chain, filtered)

    # What each item sends.

    def _classify(self) -> None:
        """Kinds in the order of the line; remaining items lie in a loop and store their values."""
        waiting = [item for item in self.items if not self._classified_at_once(item)]
        while ready := [i for i in waiting if all(s.pre in self.kinds for s in self.arriving[i])]:
            for item in ready:
                self.kinds[item] = self._kind(item)
            waiting = [item for item in waiting if item not in self.kinds]
        for item in waiting:
            self.kinds[item] = "graded" if _function(item) is not None else "stored"

    def _classified_at_once(self, item: Endpoint) -> bool:
        if isinstance(item, Intermediate | Ensemble | LearningRule):
            self.kinds[item] = "stored"
        elif isinstance(item, NeuronsView):
            kind = item.ensemble.neuron_type
            self.kinds[item] = "spikes" if kind.spiking else "graded"
            if kind.spiking and (not kind.negative or kind.sends_digits):
                self._units[item] = np.ones(item.shape)  # its signal is counts
        elif isinstance(item.output, np.ndarray) and not self.arriving[item]:
            self.kinds[item] = "input" if item in self._inputs else "constant"
        elif callable(item.output) or isinstance(item.output, Process):
            self.kinds[item] = "graded"
        return item in self.kinds

    def _kind(self, item: Endpoint) -> Kind:
        """The kind of a junction or function whose sources are known."""
        edges = self.arriving[item]
        function = _function(item)
        if function is not None:
            unit = self._common_unit(edges)
            self._units[item] = None if unit is None else _unit_behind(function, unit)
            return "graded" if self._units[item] is None else "max"
        passes = all(s.routes and self.kinds[s.pre] in _PASSES_ON for s in edges)
        if not passes or not edges or item not in self.sending:
            return "stored"
        if all(self.kinds[s.pre] == "constant" for s in edges):
            return "constant"
        self._units[item] = self._common_unit(edges)
        return "junction"

    def _common_unit(self, edges: list[Edge]) -> NDArray | None:
        """The height of the spikes that arrive at each value (0: none do), None where it varies.

        It is that in the program's signals, of which counts of spikes are the first.
        """
        common: NDArray | None = None
        for edge in edges:
            before = self._units.get(edge.pre)
            unit = None if before is None or edge.filtered else _unit_along(edge, before)
            if unit is None:
                return None
            if common is not None:
                if np.any((common != 0) & (unit != 0) & (common != unit)):
                    return None
                unit = np.maximum(common, unit)
            common = unit
        return common

    # Signal paths.

    def _paths_to(self, target: Endpoint) -> Iterator[SignalPath]:
        if self.kinds[target] in ("junction", "constant"):
            return
        for edge in self.arriving[target]:
            yield from self._paths_from(edge, target, None, False, False)

    def _paths_from(
        self,
        edge: Edge,
        target: Endpoint,
        reached: tuple[NDArray, NDArray] | None,
        weighed: bool,
        filtered: bool,
    ) -> Iterator[SignalPath]:
        """Paths that end with this edge: follow it back through junctions that pass spikes on."""
        if reached is None:
            ones = np.ones(target.shape_in)
            reached = (ones, ones)
        some, every = (
            pull_back_chain(edge.transforms, edge.shape, paths, every)
            for paths, every in zip(reached, (False, True), strict=True)
        )
        weighed = weighed or not edge.adds
        filtered = filtered or edge.filtered
        kind = self.kinds[edge.pre]
        if kind == "junction":
            for before in self.arriving[edge.pre]:
                yield from self._paths_from(before, target, (some, every), weighed, filtered)
        elif kind != "constant":
            fan_out = np.array(some, np.int64, order="C")
            yield SignalPath(edge.pre, target, fan_out, int(every.sum()), weighed, filtered)

    # Spikes behind a maximum.

    def behind_maxima(self, spikes: Mapping[Endpoint, NDArray]) -> dict[Endpoint, NDArray]:
        """Spikes of populations, `(batch, *shape)`, and those that maxima passed on.

        The spikes that a maximum has passed on are the maximum of those that have arrived. Of
        digits they are at most as many as arrived in all, and as there are digits.
        """
        if "max" not in self.kinds.values():
            return dict(spikes)
        found = {item: counts.astype(np.float64) for item, counts in spikes.items()}
        for item, kind in self.kinds.items():  # in the order of the line
            function = _function(item)
            if kind == "max" and function is not None:
                arrived = self._arrived(item, found)
                found[item] = np.asarray(function.apply(NUMPY, arrived))
                if self.digits is not None:
                    found[item] = np.minimum(_pooled_sums(function, arrived), self.digits)
        return found

    @property
    def digits(self) -> int | None:
        """The number of digits that populations of signed digits send; None of other networks."""
        kinds = [i.ensemble.neuron_type for i in self.items if isinstance(i, NeuronsView)]
        lengths = [len(kind.spike_heights) for kind in kinds if kind.sends_digits]
        return max(lengths, default=None)

    def binary(self) -> set[Endpoint]:
        """Senders of at most one spike a step: one-spike neurons, and maxima of their spikes."""
        most: dict[Endpoint, NDArray] = {}
        for item, kind in self.kinds.items():  # in the order of the line
            if kind == "spikes" and isinstance(item, NeuronsView):
                one = item.ensemble.neuron_type.most_spikes == 1
                most[item] = np.full((1, *item.shape), 1.0 if one else 2.0)
            elif kind == "max" and isinstance(item, Node):
                arrived = self._arrived(item, most).max(initial=0.0)
                most[item] = np.full((1, *item.shape_out), max(1.0, arrived))
        return {item for item, sent in most.items() if sent.max(initial=0.0) <= 1.0}

    def _arrived(self, item: Endpoint, spikes: Mapping[Endpoint, NDArray]) -> NDArray:
        """Spikes that have arrived at each value of a junction or function."""
        parts = []
        for edge in self.arriving[item]:
            known = self.kinds[edge.pre] != "junction"
            before = spikes[edge.pre] if known else self._arrived(edge.pre, spikes)
            parts.append(_count_along(edge, before))
        return sum(parts[1:], start=parts[0])


def _pooled_sums(maximum: NodeFunction, spikes: NDArray) -> NDArray:
    """The sums of what a maximum is taken over, `(batch, *shape)`."""
    if isinstance(maximum, ReduceMax):
        return np.asarray(spikes.sum(axis=maximum.axes, keepdims=maximum.keepdims))
    assert isinstance(maximum, MaxPool)
    pool = SumPool(maximum.windows, np.array(1.0), maximum.channels_last)
    return applied(pool, spikes)


def _function(item: Endpoint) -> NodeFunction | None:
    output = item.output if isinstance(item, Node) else None
    return output if isinstance(output, NodeFunction) else None


def _as_linear(op: Operator | None) -> Linear | None:
    """An operator as a linear map; None for one that is none."""
    if isinstance(op, Learned):
        dense = Dense(np.ones_like(op.initial))
        return Linear(op.label, op.inputs[:1], op.output, dense, op.factor)
    if isinstance(op, DelayedLinear):
        return Linear(op.label, op.inputs, op.output, op.transform, op.factor)
    return op if isinstance(op, Linear) else None


def _applies_height(op: Linear) -> bool:
    """Whether an operator only makes values of counts: the factor beside a signal, applied."""
    transform = op.transform
    one = isinstance(transform, Scale) and transform.factor.ndim == 0 and transform.factor == 1.0
    return one and op.factor != 1.0


def _unit_along(edge: Edge, unit: NDArray) -> NDArray | None:
    """Spike heights behind an edge; None where spikes of different heights are summed."""
    for op in edge.chain:
        part = op.transform
        if weighs(part) or isinstance(part, AxisMap):
            return None
        if isinstance(part, Scale):
            if np.any(part.factor <= 0):
                return None
            unit = unit * part.factor
        elif isinstance(part, SumPool):
            pooled = _pooled_unit(part, unit)
            if pooled is None:
                return None
            unit = pooled
        else:
            unit = applied(part, unit[None])[0]
        unit = unit * op.factor
    return unit


def _pooled_unit(pool: SumPool, unit: NDArray) -> NDArray | None:
    """Spike heights behind a pool, None where spikes of different heights are summed."""
    last = pool.channels_last
    one = _one_height(lambda x: NUMPY.max_pool(x, pool.windows, last), unit)
    each = pool.factor[..., None] if last and pool.factor.ndim else pool.factor
    return None if one is None else one * each


def _one_height(maximum: Callable[[NDArray], NDArray], unit: NDArray) -> NDArray | None:
    """The height of the spikes that a maximum reads at each place; None where there are several."""
    infinite = np.where(unit == 0, np.inf, unit)
    one, other = np.asarray(maximum(unit[None]))[0], -np.asarray(maximum(-infinite[None]))[0]
    return one if np.all((one == other) | ((one == 0) & np.isinf(other))) else None


def _unit_behind(function: NodeFunction, unit: NDArray) -> NDArray | None:
    """Height of the spikes that a maximum of running sums passes on, or None where it is no spike.

    A maximum of sums of spikes of one height grows by whole spikes.
    """
    if not isinstance(function, MaxPool | ReduceMax | Maximum | Minimum) or not function.accumulate:
        return None
    if isinstance(function, Minimum) and np.any(unit == 0):
        return None
    return _one_height(lambda x: function.apply(NUMPY, x), unit)


def _count_along(edge: Edge, spikes: NDArray) -> NDArray:
    """Numbers of spikes behind an edge: their heights stay aside."""
    for part in edge.transforms:
        if isinstance(part, SumPool):
            part = replace(part, factor=np.array(1.0))
        elif isinstance(part, Sparse):
            part = replace(part, values=(part.values != 0).astype(np.float64))
        if not isinstance(part, Scale):
            spikes = applied(part, spikes)
    return spikes
