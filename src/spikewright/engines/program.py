"""Programs: networks compiled to signals and operators on blocks of time steps.

The program decides *what* is computed: operators, their order, the weights' grid, thresholds,
spike heights, random draws. Engines decide how.

Operators that reach each other form a strongly connected component and run step by step inside it
(Tarjan 1972); every other operator runs once per block. Filters, means and delays read their
input at the end of a step, and so do the rules of `Learned` weights, so that they break a loop; a
loop that nothing breaks has no order.

Operators that are called in turn, since they may share something outside the network, form such a
component with all operators between them. Functions of time alone come first in a step.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from numpy.typing import NDArray

from spikewright.engines.compensation import Compensation, weights_of
from spikewright.engines.grid import Precision, entries_on_grid, whole_steps
from spikewright.engines.operators import Linear, Mapped, NodeSource, Operator
from spikewright.engines.parameters import Parameters
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.spike_scaling import broadcast_heights
from spikewright.errors import BuildError, SimulationError
from spikewright.network import Connection, Ensemble, Node, Probe
from spikewright.network.transforms import AxisMap, Shape, Sparse


@dataclass(frozen=True)
class Component:
    """Operators that run together: over whole blocks, or step by step where they form a loop.

    Operators that are called `in_turn` form one too, since they may share something outside the
    network.
    """

    operators: tuple[Operator, ...]
    loops: bool
    in_turn: bool = False

    @property
    def by_step(self) -> bool:
        """Whether it runs one step after the other; loops of means run several at once."""
        return self.in_turn or (self.loops and not any(op.by_window for op in self.operators))


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of a probe: a signal times a factor, every `every` steps."""

    probe: Probe
    signal: int
    factor: NDArray
    every: int


class RunStage(NamedTuple):
    """A component, the recordings of what it makes, by signal and number, and the signals that
    nothing later in a block reads.
    """

    component: Component
    recorded: tuple[tuple[int, int], ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled network, independent of the engine that runs it.

    `shapes` gives each signal's unbatched shape; `components` are in an order in which every
    signal exists before it is read. `input_of` and `output_of` are the signals of the network's
    objects. `learned` are the operators of learned weights, by connection, or by ensemble for its
    encoders; `learned_encoders` are `encoders / radius` that were learned in an earlier run.
    `whole_steps` is None, or the number of steps of every run, which is one block: layers then run
    in steps of their own, and read ahead.
    """

    dt: float
    seed: int
    precision: Precision
    shapes: tuple[Shape, ...]
    components: tuple[Component, ...]
    recordings: tuple[Recording, ...]
    parameters: dict[Ensemble, Parameters]
    weights: Mapping[Connection, NDArray]
    input_of: Mapping[Any, int]
    output_of: Mapping[Any, int]
    representations: dict[Ensemble, Any] = field(default_factory=dict)
    decodings: dict[Connection, Any] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    learned: dict[Connection | Ensemble, Learned] = field(default_factory=dict)
    learned_encoders: dict[Ensemble, NDArray] = field(default_factory=dict)
    whole_steps: int | None = None

    def with_varying_sources(self, nodes: Collection[Node]) -> Program:
        """The same program for runs in which the values of these sources move."""
        components = []
        for component in self.components:
            operators = (
                replace(op, varying=True) if isinstance(op, NodeSource) and op.node in nodes else op
                for op in component.operators
            )
            components.append(replace(component, operators=tuple(operators)))
        return replace(self, components=tuple(components))

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """All operators in order."""
        return tuple(op for component in self.components for op in component.operators)

    @cached_property
    def stages(self) -> Sequence[RunStage]:
        """All components in order."""
        readers = {s: one for one in self.components for op in one.operators for s in op.inputs}
        recordings: dict[int, list[int]] = {}
        for number, recording in enumerate(self.recordings):
            recordings.setdefault(recording.signal, []).append(number)
        found = []
        for component in self.components:
            made = [s for op in component.operators for s in op.outputs]
            read = [s for op in component.operators for s in op.inputs]
            recorded = tuple((s, number) for s in made for number in recordings.get(s, ()))
            dropped = (s for s in (*read, *made) if readers.get(s, component) is component)
            found.append(RunStage(component, recorded, tuple(dict.fromkeys(dropped))))
        return found

    @cached_property
    def neurons(self) -> Mapping[Ensemble, Neurons]:
        """The operator that steps each population."""
        return {op.ensemble: op for op in self.operators if isinstance(op, Neurons)}

    @cached_property
    def computed(self) -> frozenset[int]:
        """Signals that are first outputs of operators that are no sources."""
        return frozenset(op.output for op in self.operators if not isinstance(op, NodeSource))

    @cached_property
    def counts(self) -> frozenset[int]:
        """Signals that are counts of spikes, or whole numbers made of them."""
        return counted(self.operators)

    @cached_property
    def widest(self) -> int:
        """Values of the widest signal, from 1."""
        return max((math.prod(shape) for shape in self.shapes), default=1) or 1

    def up_to(self, ensemble: Ensemble) -> Program:
        """The part of it that runs up to a population, whose output is that in the whole program.

        Nothing is recorded.
        """
        places = [
            place
            for place, component in enumerate(self.components)
            if any(ensemble in op.populations for op in component.operators)
        ]
        return replace(self, components=self.components[: max(places) + 1], recordings=())

    @cached_property
    def sources(self) -> frozenset[Node]:
        """Nodes that take no input: those with a constant output may be fed."""
        return frozenset(op.node for op in self.operators if isinstance(op, NodeSource))

    def check_fed(self, node: Node) -> None:
        """Raise `SimulationError` for a node whose values come along connections."""
        if node not in self.sources:
            raise SimulationError(
                f"{node!r} cannot be fed: connections lead to it, and it passes on their values"
            )

    @cached_property
    def period(self) -> int | None:
        """The number of steps after which all state starts again, if it is the same for all state.

        Means over windows, which carry from one to the next, do not count.
        """
        periods = {op.restart for op in self.operators if op.has_state}
        return periods.pop() if len(periods) == 1 else None


class Block(NamedTuple):
    """Some steps of some samples of a program; signals that are `held` have one step.

    With `tally` the outputs of populations are summed.
    """

    program: Program
    samples: int
    steps: int
    held: Collection[int] = ()
    tally: bool = False

    @property
    def step(self) -> Block:
        """One of its steps."""
        return self._replace(steps=1)

    def values(self, signals: Sequence[int]) -> int:
        """Values of signals in it."""
        sizes = (
            math.prod(self.program.shapes[s]) * (1 if s in self.held else self.steps)
            for s in signals
        )
        return self.samples * sum(sizes)


def order(
    operators: Sequence[Operator], in_turn: Collection[Operator] = ()
) -> tuple[Component, ...]:
    """Group and sort operators, those that are called `in_turn` in one component.

    Raises `BuildError` naming the members of an instantaneous loop.
    """
    producer: dict[int, int] = {}
    for index, op in enumerate(operators):
        producer.update(dict.fromkeys(op.outputs, index))
    reads = {
        index: tuple(producer[signal] for signal in op.inputs) for index, op in enumerate(operators)
    }
    turns = [index for index, op in enumerate(operators) if op in in_turn]
    reached = dict(reads)
    for one, other in zip(turns, turns[1:] + turns[:1], strict=True):
        reached[one] = (*reads[one], other)
    components = []
    for members in _strongly_connected(reached):
        loops = len(members) > 1 or members[0] in reads[members[0]]
        if loops:
            members = _sorted_within(members, reads, operators)
        shared = loops and not set(turns).isdisjoint(members)
        components.append(Component(tuple(operators[i] for i in members), loops, shared))
    return tuple(components)


def _strongly_connected(reads: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Components in dependency order: each after all that it reads (iterative Tarjan)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    result: list[list[int]] = []
    for root in reads:
        if root in index:
            continue
        work = [(root, iter(reads[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, neighbours = work[-1]
            for other in neighbours:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(reads[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    members = [stack.pop()]
                    while members[-1] != node:
                        members.append(stack.pop())
                    on_stack.difference_update(members)
                    result.append(sorted(members))
    return result


def _sorted_within(
    members: list[int],
    reads: Mapping[int, Sequence[int]],
    operators: Sequence[Operator],
) -> list[int]:
    """One step's order inside a loop, filters first; they read at the end of the step."""
    waiting = {
        i: set(reads[i][: len(operators[i].immediate_inputs)]) & set(members) for i in members
    }
    done: list[int] = []
    while waiting:
        ready = sorted(i for i, needs in waiting.items() if not needs)
        if not ready:
            names = ", ".join(dict.fromkeys(operators[i].label for i in sorted(waiting)))
            raise BuildError(
                f"a cycle without a synapse has no order: {names}. Give one of its connections a "
                "synapse (synapse=0 is a plain delay of one step) or a delay."
            )
        done += ready
        for i in ready:
            del waiting[i]
        for needs in waiting.values():
            needs.difference_update(ready)
    return done


def with_prepared_weights(
    operators: Sequence[Operator], precision: Precision, encoders: Collection[int]
) -> list[Operator]:
    """The operators with their weights as engines are to hold them.

    Sums over analog values are compensated; those of `encoders`, which are signals, are not, since
    a represented vector is only as exact as its radius. Sparse entries that meet counts are on the
    precision's grid, others as they are given.
    """
    counts = counted(operators)
    return [
        op if op.output in encoders else _held(op, counts.issuperset(op.inputs[:1]), precision)
        for op in operators
    ]


def _held(op: Operator, counts: bool, precision: Precision) -> Operator:
    if not isinstance(op, Mapped):
        return op
    if isinstance(op.transform, Sparse):
        return replace(op, transform=_on_grid(op.transform, precision)) if counts else op
    if not isinstance(op, Linear):
        return op
    if counts:
        weights = weights_of(op.transform)
        if weights is None or precision != "float32" or isinstance(op.transform, AxisMap):
            return op
        return replace(op, steps=whole_steps(weights, broadcast_heights(op.transform, op.heights)))
    transform = op.scaled_transform()
    weights = weights_of(transform)
    if weights is None:
        return op
    compensation = Compensation.of(weights, precision)
    return replace(op, transform=transform, heights=None, compensation=compensation)


def _on_grid(transform: Sparse, precision: Precision) -> Sparse:
    held = entries_on_grid(
        transform.values, transform.rows, math.prod(transform.shape_out), precision
    )
    return replace(transform, values=held)


def counted(operators: Sequence[Operator]) -> frozenset[int]:
    """Signals that are counts of spikes, or whole numbers made of them."""
    found: set[int] = set()
    while True:
        before = len(found)
        for op in operators:
            if op.gives_counts(found):
                found.add(op.output)
        if len(found) == before:
            return frozenset(found)
