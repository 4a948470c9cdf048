"""A recurrent cell that does nothing at the steps that a mask leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikewright.frontends.unrolling.cells import Cell, Linear, States, Step
from spikewright.graph.layers import Add, Multiply, ScaleShift


@dataclass(frozen=True, eq=False)
class MaskedCell(Cell):
    """`h' = h + m (f(x, h) - h)`: a step whose mask `m` is zero keeps every state.

    The mask is the last value of the step's input. With `apart` the output is a state of its own
    that begins at zero, as the states may not: at a step that is left out it is the one before.
    """

    inner: Cell
    apart: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        return (*self.inner.sizes[: self.apart], *self.inner.sizes)

    @property
    def linears(self) -> tuple[Linear, ...]:
        """Those of the cell, which do not see the mask, and one that repeats it for each size."""
        whole = [
            linear._replace(weight=np.pad(linear.weight, ((0, 0), (0, 1))))
            for linear in self.inner.linears
        ]
        inputs = whole[0].weight.shape[1]
        for size in dict.fromkeys(self.sizes):
            weight = np.zeros((size, inputs))
            weight[:, -1] = 1.0
            whole.append(Linear(weight, np.zeros((size, size)), None))
        return tuple(whole)

    def step(self, at: Step, inputs: Sequence[str], states: States) -> tuple[str, ...]:
        count = len(self.inner.linears)
        masks = dict(zip(dict.fromkeys(self.sizes), inputs[count:], strict=True))
        made = self.inner.step(at, inputs[:count], states[self.apart :])
        new = (*made[: self.apart], *made)
        return tuple(
            _kept(at, index, masks[size], value, before)
            for index, (size, value, before) in enumerate(zip(self.sizes, new, states, strict=True))
        )


def _kept(at: Step, index: int, mask: str, new: str, old: str | None) -> str:
    """The new value where the mask is one, else the old one, which is zero where it is None."""
    part = f"kept_{index}"
    if old is None:
        return at.add(part, Multiply(), mask, new)
    minus = at.add(f"{part}/negative", ScaleShift(scale=np.array(-1.0)), old)
    change = at.add(f"{part}/change", Add(), new, minus)
    return at.add(part, Add(), old, at.add(f"{part}/masked", Multiply(), mask, change))
