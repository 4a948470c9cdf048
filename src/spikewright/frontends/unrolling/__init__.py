"""Recurrent layers as feed-forward ones: every step of a sequence gets neurons of its own.

A graph holds no state, so the loop over the sequence is written out: step `k` is layers of its own
that share the weights and read the hidden state that step `k - 1` made. Everything follows from
that. The rate network computes the same as the source. In the spiking one every step of the source
sees the whole of the network's time, and gates and products are convergent forms as anywhere else.
So the error of the readout falls as one over (scale x steps). The price is neurons: a sequence
of `n` steps takes `n` times those of one.

Where recurrence is kept, a cell is one `Recurrence` instead (see `keeping_recurrence`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import numpy as np

from spikewright.frontends.reading.call import Call, UnsupportedOp
from spikewright.frontends.unrolling.cells import (
    AddNode,
    CellProduct,
    CellStep,
    GRUCell,
    LSTMCell,
    MaskedCell,
    SimpleCell,
    States,
    UnrolledCell,
)
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Activation,
    Affine,
    Concatenate,
    Constant,
    Identity,
    Layer,
    Recurrence,
    Reshape,
    ScaleShift,
    Shape,
    Take,
)
from spikewright.graph.layers.recurrence import Cell as StepOfCell
from spikewright.graph.layers.recurrence import CellPart

__all__ = [
    "MAX_STEPS", "AddNode", "CellProduct", "GRUCell", "LSTMCell", "MaskedCell", "SimpleCell",
    "StepsOf", "Unrolled", "UnrolledCell", "beside_mask", "elementwise", "keeping_recurrence",
    "stack", "unroll",
]  # fmt: skip

MAX_STEPS = 512
"""Longest sequence that is unrolled: every step needs nodes and neurons of its own."""


_AT_ONCE = 8

_KEPT: ContextVar[bool] = ContextVar("recurrence is kept", default=False)


@contextmanager
def keeping_recurrence() -> Iterator[None]:
    """A context in which `unroll` adds one `Recurrence` of a cell instead of every step."""
    token = _KEPT.set(True)
    try:
        yield
    finally:
        _KEPT.reset(token)


class Unrolled(NamedTuple):
    """The nodes of every step's output, in the order of the sequence, and of the last states."""

    outputs: Sequence[str]
    states: tuple[str, ...]


@dataclass(frozen=True)
class StepsOf(Sequence[str]):
    """The steps of one node `(steps, *shape)`, first step first unless `turned`.

    A step has a node of its own once it is asked for.
    """

    adder: AddNode
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


def unroll(
    adder: AddNode,
    cell: UnrolledCell,
    sequence: str | Sequence[str],
    steps: int,
    initial: States = (),
    backwards: bool = False,
    lead: Shape = (),
) -> Unrolled:
    """Add `steps` steps of a cell over a sequence.

    That is a node `(steps, *lead, inputs)`, or one node `(*lead, inputs)` a step, such as another
    cell's outputs. `initial` are the states to begin with, `(*lead, size)`, zeros where there are
    none; `backwards` begins at the end. `lead` are axes along which the same happens everywhere.
    Raises `UnsupportedOp` for more than `MAX_STEPS` steps that are to be written out.
    """
    if steps > MAX_STEPS and not _KEPT.get():
        raise UnsupportedOp(
            f"its sequence has {steps} steps, and every step becomes layers of its own: "
            f"{MAX_STEPS} are the limit. sequence_step=P gives each of them P steps of time "
            "instead",
            "Shorten the sequence, or cut it into windows",
        )
    maps = [Affine(linear.weight, linear.bias) for linear in cell.linears]
    if _KEPT.get() and steps > 1:
        return _kept(
            adder,
            cell,
            maps,
            sequence=sequence,
            steps=steps,
            initial=initial,
            backwards=backwards,
            lead=lead,
        )
    given: list[str] = []
    if isinstance(sequence, str):
        given = [adder(m, sequence, part=f"input_{i}") for i, m in enumerate(maps)]
    states: States = initial or (None,) * cell.states
    outputs: dict[int, str] = {}
    for time in range(steps)[::-1] if backwards else range(steps):
        at = CellStep(adder, f"step_{time}", lead)
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
    adder: AddNode,
    cell: UnrolledCell,
    maps: Sequence[Affine],
    sequence: str | Sequence[str],
    steps: int,
    initial: States,
    backwards: bool,
    lead: Shape,
) -> Unrolled:
    """One `Recurrence` a state, as `unroll` takes and gives them."""
    if not isinstance(sequence, str):
        shape = (*lead, cell.linears[0].weight.shape[1])
        sequence = stack(adder, sequence, shape, "sequence")
    given = [adder(m, sequence, part=f"input_{i}") for i, m in enumerate(maps)]
    shapes = tuple((*lead, size) for size in cell.sizes)
    begun: list[str] = []
    if any(initial):
        begun = [
            adder(Constant(np.zeros(shape)), part=f"zeros_{i}") if name is None else name
            for i, (name, shape) in enumerate(zip(initial, shapes, strict=True))
        ]
    parts: list[CellPart] = []

    def record(layer: Layer, *inputs: str, part: str = "") -> str:
        name = part.lstrip("/")
        parts.append(CellPart(name, layer, inputs))
        return name

    inputs = tuple(f"input_{i}" for i in range(len(given)))
    states = tuple(f"previous_{i}" for i in range(cell.states))
    results = cell.step(CellStep(record, "", lead), inputs, states)
    of_cell = StepOfCell(tuple(parts), inputs, states, results, shapes)
    made = [
        StepsOf(
            adder,
            adder(
                Recurrence(of_cell, i, backwards), *given, *begun,
                part=f"recurrence_{i}" if i else "recurrence",
            ),
            f"state_{i}/" if i else "",
            steps,
        )
        for i in range(cell.states)
    ]  # fmt: skip
    return Unrolled(made[0], tuple(of_state[0 if backwards else -1] for of_state in made))


def stack(adder: AddNode, values: Sequence[str], shape: Shape, part: str = "") -> str:
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


def beside_mask(call: Call, sequence: str | Sequence[str], mask: str) -> str:
    """The node of a sequence whose steps end with their mask, as a `MaskedCell` reads them."""
    if not isinstance(sequence, str):
        shape = call.builder.shapes[sequence[0]]
        sequence = stack(call.node, sequence, shape, "sequence")
    return call.node(Concatenate(-1), sequence, mask, part="masked")


def elementwise(steps: Steps) -> bool:
    """Whether a function acts on every value alone, so that gates may share it."""
    return all(
        layer.elementwise if isinstance(layer, Activation) else isinstance(layer, ScaleShift)
        for _, layer in steps
    )
