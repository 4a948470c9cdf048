"""Recurrent layers as feed-forward ones: every step of a sequence gets neurons of its own.

A graph holds no state, so the loop over the sequence is written out: step `k` is layers of its own
that share the weights and read the hidden state that step `k - 1` made. Everything follows from
that. The rate network computes what the source does; in the spiking one every step of the source
sees the whole of the network's time, its gates and products are convergent forms as anywhere else,
and so the error of the readout falls as one over (scale x steps). The price is neurons: a sequence
of `n` steps takes `n` times those of one.

Equations: Elman 1990; LSTM: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al.
2000 and the peepholes of Gers & Schmidhuber 2000; GRU: Cho et al. 2014.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Concatenate,
    Constant,
    Identity,
    Layer,
    Multiply,
    Recurrence,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
    Take,
)
from spikewright.graph.layers.recurrence import Cell as StepOfCell
from spikewright.graph.layers.recurrence import Part

MAX_STEPS = 512
"""Longest sequence that is unrolled: what a step needs, in nodes and in neurons, is needed again
for each."""


_AT_ONCE = 8

_KEPT: ContextVar[bool] = ContextVar("recurrence is kept", default=False)


@contextmanager
def keeping_recurrence() -> Iterator[None]:
    """Where cells stay cells: `unroll` adds one `Recurrence` instead of every step."""
    token = _KEPT.set(True)
    try:
        yield
    finally:
        _KEPT.reset(token)


class Adder(Protocol):
    """How a front end adds a layer to its graph: it returns the node's name, or raises.

    Without `part` the node has the name of the source's layer, otherwise it is a part of that.
    """

    def __call__(self, layer: Layer, *inputs: str, part: str = "") -> str:
        """Add `layer` behind the nodes `inputs`."""


class Linear(NamedTuple):
    """`W x + R h + b`: `weight` is `(n, inputs)`, `recurrent` `(n, units)`, `bias` `(n,)`."""

    weight: NDArray
    recurrent: NDArray
    bias: NDArray | None


States = tuple[str | None, ...]
"""Nodes that hold a cell's states, its output first; None where a state is all zeros."""


class Cell(ABC):
    """What happens at one step: new states of the old ones and the step's input.

    `linears` are what the input is turned into, for all steps at once. `states` are how many values
    go from step to step, the first of which is the output.
    """

    states: ClassVar[int] = 1

    @property
    @abstractmethod
    def linears(self) -> tuple[Linear, ...]:
        """The cell's linear maps; only their `weight` and `bias` act on the input."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each state."""
        return (self.linears[0].recurrent.shape[1],)

    @abstractmethod
    def step(self, at: _Step, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        """Add one step; `inputs` are `W x + b` of each of `linears`."""


@dataclass(frozen=True)
class _Step:
    """Adds the layers of one step, under names that say which."""

    adder: Adder
    prefix: str
    lead: Shape = ()

    def add(self, part: str, layer: Layer, *inputs: str) -> str:
        """Add a layer as a part of this step."""
        return self.adder(layer, *inputs, part=f"{self.prefix}/{part}")

    def apply(self, part: str, steps: Steps, value: str) -> str:
        """Add layers one after another; the last one is the part."""
        for name, layer in steps:
            value = self.add(f"{part}/{name}" if name else part, layer, value)
        return value

    def rows(self, part: str, value: str, start: int, count: int) -> str:
        """Some values of the last axis."""
        whole = ((0, n, 1) for n in self.lead)
        return self.add(part, Slice((*whole, (start, count, 1))), value)

    def current(self, part: str, given: str, weight: NDArray, state: str | None) -> str:
        """`given + weight state`; nothing is added for a state of zeros."""
        if state is None:
            return given
        fed_back = self.add(f"{part}/recurrent", Affine(weight), state)
        return self.add(part, Add(), given, fed_back)

    def product(self, part: str, first: str, second: str | None) -> str | None:
        """The product, or None where the second is zero."""
        return None if second is None else self.add(part, Multiply(), first, second)

    def total(self, part: str, first: str, second: str | None) -> str:
        """The sum; a second that is None is zero."""
        return first if second is None else self.add(part, Add(), first, second)


@dataclass(frozen=True, eq=False)
class SimpleCell(Cell):
    """`h' = f(W x + R h + b)`."""

    current: Linear
    function: Steps

    @property
    def linears(self) -> tuple[Linear, ...]:
        return (self.current,)

    def step(self, at: _Step, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        total = at.current("current", inputs[0], self.current.recurrent, states[0])
        return (at.apply("output", self.function, total),)


@dataclass(frozen=True, eq=False)
class LSTMCell(Cell):
    """`c' = f c + i g`, `h' = P (o q(c'))` with gates `i, f, o` and the candidate `g`.

    The rows of `gates` are those of `i`, `f` and `o`, all of which are `gate(W x + R h + b)`; with
    `peepholes`, `(3, units)`, `i` and `f` see `c` too, and `o` sees `c'`. `function` makes the
    candidate, `output` is `q`, and `projection` is `P`, `(size, units)`, or None for none.
    """

    gates: Linear
    candidate: Linear
    gate: Steps
    function: Steps
    output: Steps
    peepholes: NDArray | None = None
    projection: NDArray | None = None
    states: ClassVar[int] = 2

    @property
    def linears(self) -> tuple[Linear, ...]:
        return (self.gates, self.candidate)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.gates.recurrent.shape[1], len(self.candidate.weight))

    def step(self, at: _Step, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        hidden, memory = states
        units = len(self.candidate.weight)
        opened = at.current("gates/current", inputs[0], self.gates.recurrent, hidden)
        fresh = at.current("candidate/current", inputs[1], self.candidate.recurrent, hidden)
        fresh = at.apply("candidate", self.function, fresh)
        if self.peepholes is None:
            gates = at.apply("gates", self.gate, opened)
            keep = at.rows("forget", gates, units, units)
            write = at.rows("input", gates, 0, units)
            read = at.rows("output_gate", gates, 2 * units, units)
            cell = self._cell(at, write, keep, fresh, memory)
        else:
            write, keep = (
                self._seeing(at, name, opened, row, memory)
                for row, name in enumerate(("input", "forget"))
            )
            cell = self._cell(at, write, keep, fresh, memory)
            read = self._seeing(at, "output_gate", opened, 2, cell)
        shown = at.apply("cell_output", self.output, cell)
        made = at.add(
            "output" if self.projection is None else "unprojected", Multiply(), read, shown
        )
        if self.projection is not None:
            made = at.add("output", Affine(self.projection), made)
        return made, cell

    def _cell(self, at: _Step, write: str, keep: str, fresh: str, memory: str | None) -> str:
        written = at.add("written", Multiply(), write, fresh)
        return at.total("cell", written, at.product("kept", keep, memory))

    def _seeing(self, at: _Step, name: str, opened: str, row: int, cell: str | None) -> str:
        """A gate that sees the cell; without one it sees zeros."""
        units = len(self.candidate.weight)
        value = at.rows(f"{name}/current", opened, row * units, units)
        if cell is not None and self.peepholes is not None:
            seen = at.add(f"{name}/peephole", ScaleShift(self.peepholes[row]), cell)
            value = at.add(f"{name}/with_peephole", Add(), value, seen)
        return at.apply(name, self.gate, value)


@dataclass(frozen=True, eq=False)
class GRUCell(Cell):
    """`h' = g + z (h - g)` with the gates `z` (update) and `r` (reset) and the candidate `g`.

    The rows of `gates` are those of `z` and `r`. With `reset_after` the candidate is
    `f(W x + b + r (R h + inner_bias))`, `inner_bias` `(units,)` or None, else
    `f(W x + b + R (r h))`.
    """

    gates: Linear
    candidate: Linear
    gate: Steps
    function: Steps
    reset_after: bool
    inner_bias: NDArray | None = None

    @property
    def linears(self) -> tuple[Linear, ...]:
        return (self.gates, self.candidate)

    def step(self, at: _Step, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        (hidden,) = states
        units = len(self.candidate.weight)
        gates = at.current("gates/current", inputs[0], self.gates.recurrent, hidden)
        gates = at.apply("gates", self.gate, gates)
        update = at.rows("update", gates, 0, units)
        reset = at.rows("reset", gates, units, units)
        fresh = at.total("candidate/current", inputs[1], self._past(at, reset, hidden))
        fresh = at.apply("candidate", self.function, fresh)
        minus = at.add("candidate/negated", ScaleShift(np.array(-1.0)), fresh)
        change = minus if hidden is None else at.add("difference", Add(), hidden, minus)
        kept = at.add("kept", Multiply(), update, change)
        return (at.add("output", Add(), fresh, kept),)

    def _past(self, at: _Step, reset: str, hidden: str | None) -> str | None:
        """What the candidate sees of the state before, or None for nothing."""
        if not self.reset_after:
            chosen = at.product("chosen", reset, hidden)
            if chosen is None:
                return None
            return at.add("candidate/recurrent", Affine(self.candidate.recurrent), chosen)
        if hidden is None:
            if self.inner_bias is None:
                return None
            return at.add("candidate/recurrent", ScaleShift(self.inner_bias), reset)
        seen = Affine(self.candidate.recurrent, self.inner_bias)
        return at.product("chosen", reset, at.add("candidate/recurrent", seen, hidden))


class Unrolled(NamedTuple):
    """The nodes of every step's output, in the order of the sequence, and of the last states."""

    outputs: Sequence[str]
    states: tuple[str, ...]


@dataclass(frozen=True)
class StepsOf(Sequence[str]):
    """The steps of one node `(steps, *shape)`, first step first unless `turned`.

    A step has a node of its own once it is asked for.
    """

    adder: Adder
    node: str
    prefix: str
    steps: int
    turned: bool = False
    known: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.steps

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[str]: ...
    def __getitem__(self, key: int | slice) -> str | Sequence[str]:
        if isinstance(key, slice):
            if key == slice(None, None, -1):
                return StepsOf(
                    self.adder, self.node, self.prefix, self.steps, not self.turned, self.known
                )
            return [self[i] for i in range(self.steps)[key]]
        number = range(self.steps)[:: -1 if self.turned else 1][key]
        if number not in self.known:
            part = f"{self.prefix}step_{number}"
            self.known[number] = self.adder(Take(np.array(number), 0), self.node, part=part)
        return self.known[number]


def too_long(steps: int) -> str | None:
    """Why a sequence of so many steps is not unrolled, or None if it is, or need not be."""
    if steps <= MAX_STEPS or _KEPT.get():
        return None
    return (
        f"its sequence has {steps} steps, and every step becomes layers of its own: "
        f"{MAX_STEPS} are the limit. sequence_step=P gives each of them P steps of time instead"
    )


def unroll(
    adder: Adder,
    cell: Cell,
    sequence: str | Sequence[str],
    steps: int,
    initial: States = (),
    backwards: bool = False,
    prefix: str = "",
    lead: Shape = (),
) -> Unrolled:
    """Add `steps` steps of a cell over a sequence.

    That is a node `(steps, *lead, inputs)`, or one node `(*lead, inputs)` a step, such as another
    cell's outputs. `initial` are the states to begin with, `(*lead, size)`, zeros where there are
    none; `backwards` begins at the end. `prefix` stands before the names of parts; `lead` are axes
    along which the same happens everywhere.
    """
    maps = [Affine(linear.weight, linear.bias) for linear in cell.linears]
    if _KEPT.get() and steps > 1:
        return _kept(adder, cell, maps, sequence, steps, initial, backwards, prefix, lead)
    given: list[str] = []
    if isinstance(sequence, str):
        given = [adder(m, sequence, part=f"{prefix}input_{i}") for i, m in enumerate(maps)]
    states: States = initial or (None,) * cell.states
    outputs: dict[int, str] = {}
    for time in range(steps)[::-1] if backwards else range(steps):
        at = _Step(adder, f"{prefix}step_{time}", lead)
        if isinstance(sequence, str):
            now = Take(np.array(time), 0)
            inputs = [at.add(f"input_{index}", now, name) for index, name in enumerate(given)]
        else:
            inputs = [at.add(f"input_{i}", m, sequence[time]) for i, m in enumerate(maps)]
        made = cell.step(at, inputs, states)
        outputs[time], states = made[0], made
    last = tuple(name for name in states if name is not None)
    return Unrolled(tuple(outputs[time] for time in range(steps)), last)


def _kept(
    adder: Adder,
    cell: Cell,
    maps: Sequence[Affine],
    sequence: str | Sequence[str],
    steps: int,
    initial: States,
    backwards: bool,
    prefix: str,
    lead: Shape,
) -> Unrolled:
    """One `Recurrence` a state, as `unroll` takes and gives them."""
    if not isinstance(sequence, str):
        shape = (*lead, cell.linears[0].weight.shape[1])
        sequence = stack(adder, sequence, shape, f"{prefix}sequence")
    given = [adder(m, sequence, part=f"{prefix}input_{i}") for i, m in enumerate(maps)]
    shapes = tuple((*lead, size) for size in cell.sizes)
    begun: list[str] = []
    if any(initial):
        begun = [
            adder(Constant(np.zeros(shape)), part=f"{prefix}zeros_{i}") if name is None else name
            for i, (name, shape) in enumerate(zip(initial, shapes, strict=True))
        ]
    parts: list[Part] = []

    def record(layer: Layer, *inputs: str, part: str = "") -> str:
        name = part.lstrip("/")
        parts.append(Part(name, layer, inputs))
        return name

    inputs = tuple(f"input_{i}" for i in range(len(given)))
    states = tuple(f"previous_{i}" for i in range(cell.states))
    results = cell.step(_Step(record, "", lead), inputs, states)
    of_cell = StepOfCell(tuple(parts), inputs, states, results, shapes)
    made = [
        StepsOf(
            adder,
            adder(
                Recurrence(of_cell, i, backwards), *given, *begun,
                part=f"{prefix}recurrence{f'_{i}' if i else ''}",
            ),
            f"{prefix}state_{i}/" if i else prefix,
            steps,
        )
        for i in range(cell.states)
    ]  # fmt: skip
    return Unrolled(made[0], tuple(of_state[0 if backwards else -1] for of_state in made))


def stack(adder: Adder, values: Sequence[str], shape: Shape, part: str = "") -> str:
    """Nodes of one shape one below the other, `(len(values), *shape)`.

    A few at a time: a concatenation is as wide as its result for each of its parts.
    """
    if isinstance(values, StepsOf) and not values.turned:
        return adder(Identity(), values.node, part=part)
    place, level, joined = f"{part}/" if part else "", 0, list(values)
    while len(joined) > 1:
        groups = [joined[i : i + _AT_ONCE] for i in range(0, len(joined), _AT_ONCE)]
        joined = [
            adder(Concatenate(0), *group, part=f"{place}joined_{level}_{i}")
            if group[1:]
            else group[0]
            for i, group in enumerate(groups)
        ]
        level += 1
    return adder(Reshape((len(values), *shape)), joined[0], part=part)


def elementwise(steps: Steps) -> bool:
    """Whether a function acts on every value alone, so that gates may share it."""
    return all(
        layer.elementwise if isinstance(layer, Activation) else isinstance(layer, ScaleShift)
        for _, layer in steps
    )
