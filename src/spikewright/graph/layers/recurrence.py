"""A cell over the steps of a sequence: the one layer whose value at a step depends on the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import GraphError
from spikewright.graph.layers.base import Layer, Shape, require


@dataclass(frozen=True, eq=False)
class CellPart:
    """A layer of a cell: its name there, and the names of the values that it reads."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.name}: {self.layer.kind}"


@dataclass(frozen=True, eq=False)
class Cell:
    """The equations of one step: `parts` make new states of the step's inputs and old states.

    `inputs` and `states` are the names by which parts read those, `results` the parts that are the
    new states; `shapes` are the unbatched shapes of the states.
    """

    parts: tuple[CellPart, ...]
    inputs: tuple[str, ...]
    states: tuple[str, ...]
    results: tuple[str, ...]
    shapes: tuple[Shape, ...]

    def step(self, inputs: Sequence[NDArray], states: Sequence[NDArray]) -> list[NDArray]:
        """New states, `(batch, *shape)` each."""
        values = dict(zip((*self.inputs, *self.states), (*inputs, *states), strict=True))
        for part in self.parts:
            values[part.name] = part.layer.evaluate(*(values[name] for name in part.inputs))
        return [values[name] for name in self.results]


@dataclass(frozen=True, eq=False)
class Recurrence(Layer):
    """A cell over the steps of a sequence, the first axis of its inputs.

    It reads the sequences that its cell reads, `(steps, *shape)`, and then the states to begin
    with, `(*shape)` each, or none of those for zeros. Its value is the state number `result` after
    every step, `(steps, *shape)`; `backwards` begins at the end of the sequence, and step `k` of
    the value is still that of step `k`.

    It is no layer of the registry: a network has no form of the whole of it (see
    `spikewright.passes.sequences`).
    """

    cell: Cell
    result: int = 0
    backwards: bool = False
    arity: ClassVar[int | None] = None

    def output_shape(self, *shapes: Shape) -> Shape:
        cell = self.cell
        count = len(cell.inputs)
        require(
            len(shapes) in (count, count + len(cell.states)),
            f"Recurrence: {len(shapes)} inputs are not {count} sequences, with or without the "
            f"{len(cell.states)} states to begin with",
        )
        lengths = {shape[0] if shape else 0 for shape in shapes[:count]}
        require(
            len(lengths) == 1 and lengths != {0},
            f"Recurrence: its sequences {shapes[:count]} are not of one length above 0",
        )
        begun = shapes[count:]
        require(
            not begun or begun == cell.shapes,
            f"Recurrence: its states have shapes {cell.shapes}, got {begun}",
        )
        known = dict(
            zip((*cell.inputs, *cell.states), (*(s[1:] for s in shapes[:count]), *cell.shapes),
                strict=True)
        )  # fmt: skip
        for part in cell.parts:
            try:
                known[part.name] = part.layer.output_shape(*(known[name] for name in part.inputs))
            except KeyError as error:
                raise GraphError(f"Recurrence: {part.name!r} reads {error}, nothing") from None
        made = tuple(known[name] for name in cell.results)
        require(made == cell.shapes, f"Recurrence: states {cell.shapes} become {made}")
        return (lengths.pop(), *cell.shapes[self.result])

    def evaluate(self, *values: NDArray) -> NDArray:
        cell = self.cell
        sequences, begun = values[: len(cell.inputs)], values[len(cell.inputs) :]
        batch, steps = sequences[0].shape[:2]
        states = list(begun) or [np.zeros((batch, *shape)) for shape in cell.shapes]
        made: list[NDArray] = []
        for step in range(steps)[:: -1 if self.backwards else 1]:
            states = cell.step([value[:, step] for value in sequences], states)
            made.append(states[self.result])
        return np.stack(made[:: -1 if self.backwards else 1], axis=1)

    def arrays(self) -> dict[str, NDArray]:
        """The arrays of all parts, by part and field."""
        return {
            f"{part.name}.{name}": array
            for part in self.cell.parts
            for name, array in part.layer.arrays().items()
        }
