"""Layers that choose and repeat values of their input, rows of tables, constants, and own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright._base.windows import Pairs
from spikewright.graph.layers.base import Layer, Shape, normalise_axis, register, require
from spikewright.graph.layers.shape import padded_shape
from spikewright.graph.layers.time_semantics import TimeSemantics, no_pair, one, shared, without


@register
@dataclass(frozen=True, eq=False)
class Constant(Layer):
    """A value that depends on no input: a position embedding, a class token.

    `value` has an unbatched shape; every sample sees the same.
    """

    value: NDArray
    arity = 0
    linear = True

    def output_shape(self, *shapes: Shape) -> Shape:
        require(self.value.size > 0, f"Constant: a value of shape {self.value.shape} is empty")
        return self.value.shape

    def over_steps(self, steps: int, *shapes: Shape) -> Constant:
        return Constant(np.repeat(self.value[None], steps, axis=0))

    def at_one_step(self, time: int, *shapes: Shape) -> tuple[Constant, int]:
        return Constant(shared(self.value, time - self.value.ndim)), time

    def evaluate(self, *values: NDArray) -> NDArray:
        return np.asarray(self.value, np.float64)[None]


@register
@dataclass(frozen=True)
class Slice(Layer):
    """Every axis thinned: `y[i] = x[start + i step]` for `i < count`, one triple an unbatched axis.

    `ranges` holds `(start, count, step)`, `start` counted from the front; steps may be negative.
    """

    ranges: tuple[tuple[int, int, int], ...]
    linear = True
    acts = TimeSemantics(
        entries={"ranges": lambda extent: (0, extent, 1)},
        reason="it chooses some steps of the sequence",
    )

    @staticmethod
    def along(shape: Shape, slices: Mapping[int, slice]) -> Slice:
        """Python slices of some axes of an unbatched `shape`, the other axes whole."""
        chosen = {axis % len(shape): part for axis, part in slices.items()}
        ranges = []
        for axis, n in enumerate(shape):
            found = range(*chosen.get(axis, slice(None)).indices(n))
            ranges.append((found.start, len(found), found.step))
        return Slice(tuple(ranges))

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            len(self.ranges) == len(shape),
            f"Slice: {self.ranges} is not one (start, count, step) per axis of shape {shape}",
        )
        for n, (start, count, step) in zip(shape, self.ranges, strict=True):
            last = start + (count - 1) * step
            require(
                count >= 1 and step != 0 and 0 <= start < n and 0 <= last < n,
                f"Slice: (start, count, step) = {(start, count, step)} does not choose from an "
                f"axis of {n} values of shape {shape}",
            )
        return tuple(count for _, count, _ in self.ranges)

    def indices(self) -> tuple[NDArray, ...]:
        """The chosen positions, one array an axis."""
        return tuple(start + step * np.arange(count) for start, count, step in self.ranges)

    def evaluate(self, *values: NDArray) -> NDArray:
        (y,) = values
        for axis, chosen in enumerate(self.indices(), start=1):
            y = np.take(y, chosen, axis=axis)
        return y


@register
@dataclass(frozen=True, eq=False)
class Take(Layer):
    """Entries `indices` along an unbatched `axis`, which the axes of `indices` replace.

    `indices` are whole numbers, an array of any rank (of rank 0: the axis vanishes); negative ones
    count from the end.
    """

    indices: NDArray
    axis: int
    linear = True
    acts = TimeSemantics("axis", becomes=lambda layer: layer.indices.ndim)

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        axis = normalise_axis(self.axis, len(shape), self.kind)
        n = shape[axis]
        require(
            self.indices.dtype.kind in "iu" and self.indices.size > 0,
            f"Take: indices must be whole numbers, one or more, got {self.indices.dtype} of shape "
            f"{self.indices.shape}",
        )
        require(
            bool(self.indices.min() >= -n and self.indices.max() < n),
            f"Take: indices from {self.indices.min()} to {self.indices.max()} do not lie in an "
            f"axis of {n} values",
        )
        return (*shape[:axis], *self.indices.shape, *shape[axis + 1 :])

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        return np.take(x, self.indices, axis=normalise_axis(self.axis, x.ndim - 1, self.kind) + 1)


@register
@dataclass(frozen=True)
class Tile(Layer):
    """The whole input repeated `repeats[i]` times along unbatched axis `i`."""

    repeats: tuple[int, ...]
    linear = True
    acts = TimeSemantics(entries={"repeats": one})

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            len(self.repeats) == len(shape) and min(self.repeats, default=1) >= 1,
            f"Tile: {self.repeats} is not one number of at least 1 per axis of shape {shape}",
        )
        return tuple(n * times for n, times in zip(shape, self.repeats, strict=True))

    def evaluate(self, *values: NDArray) -> NDArray:
        return np.tile(values[0], (1, *self.repeats))


@register
@dataclass(frozen=True)
class Broadcast(Layer):
    """The input broadcast to an unbatched `shape`: axes of one repeat, new ones come in front."""

    shape: Shape
    linear = True

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        fits = len(shape) <= len(self.shape) and all(
            n in (1, m) for n, m in zip(shape[::-1], self.shape[::-1], strict=False)
        )
        require(
            fits and min(self.shape, default=1) >= 1,
            f"Broadcast: an input of shape {shape} does not broadcast to {self.shape}",
        )
        return self.shape

    def over_steps(self, steps: int, *shapes: Shape) -> Broadcast | None:
        same = len(self.shape) == len(shapes[0])
        return Broadcast((steps, *self.shape)) if same else None

    def at_one_step(self, time: int, *shapes: Shape) -> tuple[Broadcast, int]:
        at = time + len(self.shape) - len(shapes[0])
        return Broadcast(without(self.shape, at)), at

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        wide = x.reshape(len(x), *(1,) * (len(self.shape) + 1 - x.ndim), *x.shape[1:])
        return np.broadcast_to(wide, (len(x), *self.shape))


@register
@dataclass(frozen=True)
class Pad(Layer):
    """Copies of the input's own values `(before, after)` every unbatched axis, as `numpy.pad` does.

    `mode` is reflect (without the edge), symmetric (with it), edge (the last value again) or wrap
    (from the other end).
    """

    pads: Pairs
    mode: Literal["reflect", "symmetric", "edge", "wrap"]
    linear = True
    acts = TimeSemantics(entries={"pads": no_pair})

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            self.mode in ("reflect", "symmetric", "edge", "wrap"),
            f"Pad: mode {self.mode!r} is unknown; known are reflect, symmetric, edge, wrap",
        )
        return padded_shape(self.kind, self.pads, shape)

    def indices(self, shape: Shape) -> tuple[NDArray, ...]:
        """The position that each output comes from, one array an axis."""
        return tuple(
            np.pad(np.arange(n), pair, mode=self.mode)
            for n, pair in zip(shape, self.pads, strict=True)
        )

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        return np.pad(x, ((0, 0), *self.pads), mode=self.mode)


@register
@dataclass(frozen=True, eq=False)
class Lookup(Layer):
    """`y[..., :] = table[x[...]]`, the rows of `table` whose numbers the input holds.

    A number outside the table means the nearest row. Rows may have any rank; their axes come
    behind the input's.
    """

    table: NDArray
    acts = TimeSemantics()

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            self.table.ndim >= 1 and self.table.size > 0,
            f"Lookup: a table of shape {self.table.shape} has no rows",
        )
        return (*shape, *self.table.shape[1:])

    def evaluate(self, *values: NDArray) -> NDArray:
        found: NDArray = NUMPY.rows(np.asarray(self.table, np.float64), values[0])
        return found


@dataclass(frozen=True, eq=False)
class PythonCall(Layer):
    """A call of a Python function, of which only the results are known; no file holds it.

    `function` takes a float64 array `(batch, *shape)` for each of `shapes` and returns one
    `(batch, *made)`. Its samples do not influence each other, and it keeps no state between calls.
    `called` names the called code in words. `mark`, a hash of its results for some samples,
    distinguishes it from other code. As no file can hold it, it is not registered.
    """

    function: Any
    shapes: tuple[Shape, ...]
    made: Shape
    called: str
    mark: str = ""
    arity = None

    def output_shape(self, *shapes: Shape) -> Shape:
        require(
            shapes == self.shapes,
            f"PythonCall: {self.called} takes {self.shapes}, got inputs of shapes {shapes}",
        )
        return self.made

    def evaluate(self, *values: NDArray) -> NDArray:
        return np.asarray(self.function(*values), np.float64)
