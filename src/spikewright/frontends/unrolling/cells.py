"""Recurrent cells: the equations of one step, as layers, from weights in any order of gates.

Equations: Elman 1990; LSTM: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al.
2000 and the peepholes of Gers & Schmidhuber 2000; GRU: Cho et al. 2014.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.clipping import Steps
from spikewright.graph.layers import Add, Affine, Layer, Multiply, ScaleShift, Shape, Slice


class AddNode(Protocol):
    """A function that adds a layer to a front end's graph: returns the node's name, or raises.

    Without `part` the node has the name of the source's layer, otherwise it is a part of that.
    """

    def __call__(self, layer: Layer, *inputs: str, part: str = "") -> str:
        """Add `layer` behind the nodes `inputs`."""


class CellProduct(NamedTuple):
    """`W x + R h + b`: `weight` is `(n, inputs)`, `recurrent` `(n, units)`, `bias` `(n,)`."""

    weight: NDArray
    recurrent: NDArray
    bias: NDArray | None


States = tuple[str | None, ...]
"""Nodes that hold a cell's states, its output first; None where a state is all zeros."""


class UnrolledCell(ABC):
    """The equations of one step: new states from the old ones and the step's input.

    `linears` are maps of the input, applied to all steps at once. The first of the states is the
    output.
    """

    @property
    def states(self) -> int:
        """The number of values that go from step to step."""
        return len(self.sizes)

    @property
    @abstractmethod
    def linears(self) -> tuple[CellProduct, ...]:
        """The cell's linear maps; only their `weight` and `bias` act on the input."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each state."""
        return (self.linears[0].recurrent.shape[1],)

    @abstractmethod
    def step(self, at: CellStep, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        """Add one step; `inputs` are `W x + b` of each of `linears`."""


@dataclass(frozen=True)
class CellStep:
    """Adds the layers of one step, under names that say which."""

    adder: AddNode
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
class SimpleCell(UnrolledCell):
    """`h' = f(W x + R h + b)`."""

    current: CellProduct
    function: Steps

    @property
    def linears(self) -> tuple[CellProduct, ...]:
        return (self.current,)

    def step(self, at: CellStep, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        total = at.current("current", inputs[0], self.current.recurrent, states[0])
        return (at.apply("output", self.function, total),)


@dataclass(frozen=True, eq=False)
class LSTMCell(UnrolledCell):
    """`c' = f c + i g`, `h' = P (o q(c'))` with gates `i, f, o` and the candidate `g`.

    The rows of `gates` are those of `i`, `f` and `o`, all of which are `gate(W x + R h + b)`; with
    `peepholes`, `(3, units)`, `i` and `f` see `c` too, and `o` sees `c'`. `function` makes the
    candidate, `output` is `q`, and `projection` is `P`, `(size, units)`, or None for none.
    """

    gates: CellProduct
    candidate: CellProduct
    gate: Steps
    function: Steps
    output: Steps
    peepholes: NDArray | None = None
    projection: NDArray | None = None

    @property
    def linears(self) -> tuple[CellProduct, ...]:
        return (self.gates, self.candidate)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.gates.recurrent.shape[1], len(self.candidate.weight))

    def step(self, at: CellStep, inputs: Sequence[str], states: States) -> tuple[str, ...]:
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

    def _cell(self, at: CellStep, write: str, keep: str, fresh: str, memory: str | None) -> str:
        written = at.add("written", Multiply(), write, fresh)
        return at.total("cell", written, at.product("kept", keep, memory))

    def _seeing(self, at: CellStep, name: str, opened: str, row: int, cell: str | None) -> str:
        """A gate that sees the cell; without one it sees zeros."""
        units = len(self.candidate.weight)
        value = at.rows(f"{name}/current", opened, row * units, units)
        if cell is not None and self.peepholes is not None:
            seen = at.add(f"{name}/peephole", ScaleShift(self.peepholes[row]), cell)
            value = at.add(f"{name}/with_peephole", Add(), value, seen)
        return at.apply(name, self.gate, value)


@dataclass(frozen=True, eq=False)
class GRUCell(UnrolledCell):
    """`h' = g + z (h - g)` with the gates `z` (update) and `r` (reset) and the candidate `g`.

    The rows of `gates` are those of `z` and `r`. With `reset_after` the candidate is
    `f(W x + b + r (R h + inner_bias))`, `inner_bias` `(units,)` or None, else
    `f(W x + b + R (r h))`.
    """

    gates: CellProduct
    candidate: CellProduct
    gate: Steps
    function: Steps
    reset_after: bool
    inner_bias: NDArray | None = None

    @property
    def linears(self) -> tuple[CellProduct, ...]:
        return (self.gates, self.candidate)

    def step(self, at: CellStep, inputs: Sequence[str], states: States) -> tuple[str, ...]:
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

    def _past(self, at: CellStep, reset: str, hidden: str | None) -> str | None:
        """The state before as the candidate sees it, or None for nothing."""
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


@dataclass(frozen=True, eq=False)
class MaskedCell(UnrolledCell):
    """`h' = h + m (f(x, h) - h)`: a step whose mask `m` is zero keeps every state.

    The mask is the last value of the step's input. With `apart` the output is a state of its own
    that begins at zero, as the states may not: at a step that is left out it is the one before.
    """

    inner: UnrolledCell
    apart: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        return (*self.inner.sizes[: self.apart], *self.inner.sizes)

    @property
    def linears(self) -> tuple[CellProduct, ...]:
        """Those of the cell, which do not see the mask, and one that repeats it for each size."""
        whole = [
            linear._replace(weight=np.pad(linear.weight, ((0, 0), (0, 1))))
            for linear in self.inner.linears
        ]
        inputs = whole[0].weight.shape[1]
        for size in dict.fromkeys(self.sizes):
            weight = np.zeros((size, inputs))
            weight[:, -1] = 1.0
            whole.append(CellProduct(weight, np.zeros((size, size)), None))
        return tuple(whole)

    def step(self, at: CellStep, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        count = len(self.inner.linears)
        masks = dict(zip(dict.fromkeys(self.sizes), inputs[count:], strict=True))
        made = self.inner.step(at, inputs[:count], states[self.apart :])
        new = (*made[: self.apart], *made)
        return tuple(
            _kept(at, index, masks[size], value, before)
            for index, (size, value, before) in enumerate(zip(self.sizes, new, states, strict=True))
        )


def _kept(at: CellStep, index: int, mask: str, new: str, old: str | None) -> str:
    """The new value where the mask is one, else the old one, which is zero where it is None."""
    part = f"kept_{index}"
    if old is None:
        return at.add(part, Multiply(), mask, new)
    minus = at.add(f"{part}/negative", ScaleShift(scale=np.array(-1.0)), old)
    change = at.add(f"{part}/change", Add(), new, minus)
    return at.add(part, Add(), old, at.add(f"{part}/masked", Multiply(), mask, change))


class Weights(NamedTuple):
    """The weights of one cell: `(gates units, inputs)`, `(gates units, units)` and biases.

    `fed_back_bias` is a second bias, which is added to the first; a reset gate acts on it.
    """

    given: NDArray
    fed_back: NDArray
    bias: NDArray | None = None
    fed_back_bias: NDArray | None = None

    def rows(self, *which: int, of: int, reset: bool = False) -> CellProduct:
        """The weights of some of `of` gates; those that are `reset` have the first bias only."""
        n = len(self.given) // of
        chosen = np.concatenate([np.arange(n) + gate * n for gate in which])
        bias = self.bias
        if bias is not None and self.fed_back_bias is not None and not reset:
            bias = bias + self.fed_back_bias
        return CellProduct(
            self.given[chosen], self.fed_back[chosen], None if bias is None else bias[chosen]
        )


def simple(weights: Weights, function: Steps) -> SimpleCell:
    """Elman's cell."""
    return SimpleCell(weights.rows(0, of=1), function)


def lstm(
    weights: Weights,
    order: str,
    gate: Steps,
    function: Steps,
    output: Steps,
    peepholes: NDArray | None = None,
    projection: NDArray | None = None,
) -> LSTMCell:
    """An LSTM whose rows are those of `i`, `f`, `g` (the candidate) and `o` in this order."""
    i, f, g, o = (order.index(letter) for letter in "ifgo")
    gates, candidate = weights.rows(i, f, o, of=4), weights.rows(g, of=4)
    return LSTMCell(
        gates,
        candidate,
        gate,
        function=function,
        output=output,
        peepholes=peepholes,
        projection=projection,
    )


def gru(weights: Weights, order: str, gate: Steps, function: Steps, reset_after: bool) -> GRUCell:
    """A GRU whose rows are those of `z` (update), `r` and `n` (the candidate) in this order."""
    z, r, n = (order.index(letter) for letter in "zrn")
    inner = None
    if reset_after and weights.fed_back_bias is not None:
        inner = np.split(weights.fed_back_bias, 3)[n]
    candidate = weights.rows(n, of=3, reset=reset_after)
    return GRUCell(weights.rows(z, r, of=3), candidate, gate, function, reset_after, inner)
