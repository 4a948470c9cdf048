"""One ONNX node as its reader sees it: attributes, inputs, and where results go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import Refusal
from spikewright.frontends.onnx.values import (
    Constant,
    Missing,
    Signal,
    Value,
    same,
)
from spikewright.frontends.reading import call as reading
from spikewright.frontends.reading.layout import BATCH_FIRST, UNBATCHED, Layout
from spikewright.frontends.reading.refusal import Unknown, Unreadable
from spikewright.frontends.reading.values import Operand, without_batch
from spikewright.frontends.reading.values import Value as ReadValue
from spikewright.frontends.source import GraphBuilder
from spikewright.graph import unique_name
from spikewright.graph.layers import Layer, Reshape, Shape

_KEEP_BATCH = (
    "Keep the batch as axis 0: export with a dynamic batch, or with its size fixed and the same "
    "everywhere"
)


class Origin(NamedTuple):
    """The node of the file that a node stands for, or for a part of."""

    layer: str
    kind: str


@dataclass
class OnnxNode(reading.Call):
    """An ONNX node and its surroundings.

    `batches` are the batch sizes under which constants are known: two where the batch axis is
    free, to show which constants depend on it, one where the file fixes it. Shapes leave the batch
    axis out unless they are called full.

    `signal` and `shape` give inputs with the batch on axis 0, and refuse others. A reader that
    counts axes through `view` takes them wherever their batch is.
    """

    kind: str
    label: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    output_count: int
    batches: tuple[int, ...]
    builder: GraphBuilder
    origin: Origin
    reserved: frozenset[str] = field(default_factory=frozenset, repr=False)
    _moved: dict[tuple[str | None, Layout], Signal] = field(default_factory=dict, repr=False)

    def refusal(self, reason: str, options: str) -> Refusal:
        return Refusal(*self.origin, reason, options)

    def has(self, index: int) -> bool:
        """Whether the optional input of this index is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def is_constant(self, index: int) -> bool:
        """Whether the input does not depend on the data."""
        return isinstance(self.inputs[index], Constant)

    def _input(self, index: int) -> Signal | Constant:
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise Unreadable(f"its input {index} is missing")
        if isinstance(value, Missing):
            raise Unreadable(value.why) if value.why else Unknown
        return value

    # --- signals ---------------------------------------------------------------------------------

    def signal(self, index: int) -> Signal:
        """A data input whose batch is axis 0.

        Raises `Unreadable` for a constant, and where the batch is elsewhere.
        """
        view = self.view(index)
        if view.layout == BATCH_FIRST:
            return view
        if self.alone and view.full(1)[:1] == (1,):
            return self._laid_out(view, BATCH_FIRST)
        raise Unreadable(f"the batch is not axis 0 of its input {index} alone", _KEEP_BATCH)

    def shape(self, index: int = 0) -> Shape:
        """Unbatched shape of a data input whose batch is axis 0."""
        return self.signal(index).shape

    @property
    def alone(self) -> bool:
        """Whether the file fixes the batch size to one, so that the batch may lie on any axis."""
        return self.batches == (1,)

    def view(self, index: int, *axes: int) -> Signal:
        """A data input, wherever its batch is, of which these full axes are needed.

        Raises `Unreadable` for a constant, and where an axis does not exist or is the batch.
        """
        value = self._input(index)
        if isinstance(value, Constant):
            raise Unreadable(
                f"its input {index} is a constant where data is expected",
                "Fold constants before exporting (e.g. with onnxsim or the exporter's optimiser)",
            )
        view = value
        if self.alone and any(view.is_batch(axis) for axis in axes):
            view = self._laid_out(view, UNBATCHED)
        for axis in axes:
            view.axis(axis)  # raises
        return view

    def unbatched(self, index: int) -> Signal:
        """A data input of one sample without a batch axis; refused unless the file fixes that."""
        view = self.view(index)
        if not self.alone:
            raise Unreadable("it mixes the samples of a batch", _KEEP_BATCH)
        return self._laid_out(view, UNBATCHED)

    def _laid_out(self, view: Signal, layout: Layout) -> Signal:
        """The same value, of a batch of one, under another layout."""
        if view.layout == layout:
            return view
        key = (view.name, layout)
        if key not in self._moved:
            full = view.full(1)
            shape, made = full if layout == UNBATCHED else full[1:], view
            if shape != view.shape:
                made = self.add(Reshape(shape), view, part=f"{view.name} as one sample")
            self._moved[key] = replace(made, layout=layout)
        return self._moved[key]

    def alike(
        self, indices: Sequence[int], rank: int = 0, needed: Sequence[int] = ()
    ) -> list[Signal]:
        """Data inputs of one full rank, with the batch on one axis.

        `rank` is the least full rank, e.g. that of constants; `needed` are axes, counted from the
        end, that may not be the batch. Raises `Unreadable` where the batch of one would meet
        another axis of the other.
        """
        views = []
        for index in indices:
            axes = (axis for axis in needed if axis >= -self.view(index).rank)
            views.append(self.view(index, *axes))
        rank = max(rank, *(view.rank for view in views))
        found = {view.layout.moved(rank - view.rank) for view in views}
        if len(found) > 1 and self.alone:
            views = [self._laid_out(view, UNBATCHED) for view in views]
        elif len(found) > 1:
            n = self.batches[0]
            raise Unreadable(
                f"its signals have shapes {[view.full(n) for view in views]} for a batch of {n}: "
                "the batch axis of one would meet another axis of the other",
                "Give both the same number of axes",
            )
        return [cast(Signal, self.lift(view, rank)) for view in views]

    def inputs_of_sample(self) -> list[Operand]:
        """All inputs of an elementwise operator, constants as a sample sees them.

        Raises `Unreadable` where batches do not meet.
        """
        indices = range(len(self.inputs))
        constant = {index for index in indices if self.is_constant(index)}
        if len(constant) == len(indices):
            self.view(0)  # raises: nothing here depends on the data
        least = max((w.ndim for i in constant for w in self.worlds(i) or ()), default=0)
        views = self.alike([i for i in indices if i not in constant], least)
        like, given = views[0], iter(views)
        return [self.per_sample(i, like) if i in constant else next(given) for i in indices]

    # --- constants -------------------------------------------------------------------------------

    def worlds(self, index: int) -> tuple[NDArray, ...] | None:
        """The value of a constant input for every batch size, None where it is not given."""
        if not self.has(index):
            return None
        value = self._input(index)
        if isinstance(value, Signal):
            raise Unreadable(
                f"its input {index} is computed from the data; it must be a constant",
                "Store it in the model as an initialiser",
            )
        return value.worlds

    def constant(self, index: int) -> NDArray | None:
        """The value of a constant input, None where it is not given."""
        worlds = self.worlds(index)
        if worlds is None:
            return None
        if not all(same(world, worlds[0]) for world in worlds):
            raise Unreadable(f"its input {index} depends on the batch size")
        return worlds[0]

    def parameter(self, index: int) -> NDArray:
        """A constant input that must be there and holds floating-point numbers."""
        value = self.constant(index)
        if value is None:
            raise Unreadable(f"its input {index} is missing")
        if not np.issubdtype(value.dtype, np.floating):
            raise Unreadable(f"its input {index} holds {value.dtype} values, not floating point")
        return value

    def optional(self, index: int) -> NDArray | None:
        """A constant input of floating-point numbers, None where it is not given."""
        return self.parameter(index) if self.has(index) else None

    def per_sample(self, index: int, like: ReadValue | int, axis: int | None = None) -> NDArray:
        """A constant operand beside a value, without its batch axis: `axis`, or where it aligns.

        In the place of a value, a number of axes stands for one of that rank with the batch first.
        Raises `Unreadable` where samples of one batch would get different constants.
        """
        worlds = self.worlds(index)
        if worlds is None:
            raise Unreadable(f"its input {index} is missing")
        like = ReadValue(None, (1,) * (like - 1)) if isinstance(like, int) else like
        if axis is None and like.layout.axis is not None:
            axis = worlds[0].ndim - like.rank + like.layout.axis
        found = [
            world if axis is None or axis < 0 else without_batch(world, axis, like, batch)
            for world, batch in zip(worlds, self.batches, strict=True)
        ]
        if not all(same(value, found[0]) for value in found):
            raise Unreadable(f"its constant input {index} depends on the batch size")
        return found[0]

    def setting(self, name: str, index: int | None = None) -> Any:
        """A setting that is an attribute in some opsets and a constant input in others, or None."""
        if name in self.attributes:
            return self.attributes[name]
        return None if index is None else self.constant(index)

    def integers(self, name: str, index: int | None = None) -> tuple[int, ...] | None:
        """The same as a tuple of integers."""
        if name not in self.attributes and index is not None:
            self.integer_worlds(index)  # raises where the input holds none
        value = self.setting(name, index)
        return None if value is None else tuple(int(n) for n in np.ravel(value))

    def integer_worlds(self, index: int) -> tuple[tuple[int, ...], ...] | None:
        """A constant input of integers for every batch size, None where it is not given."""
        worlds = self.worlds(index)
        if worlds is None:
            return None
        for world in worlds:
            if not np.issubdtype(world.dtype, np.integer):
                raise Unreadable(f"its input {index} holds {world.dtype} values, not integers")
        return tuple(tuple(int(n) for n in np.ravel(world)) for world in worlds)

    # --- results ---------------------------------------------------------------------------------

    def named(self, part: str) -> tuple[str, str, str]:
        wanted = unique_name(f"{self.label}:{part}", self.reserved) if part else self.label
        return wanted, *self.origin

    def of_sample(self, constant: Any, axis: int | None, like: ReadValue) -> NDArray:
        """A constant input, given by its index, as every sample has it."""
        if axis is None:
            return self.parameter(constant)
        return self.per_sample(constant, like, axis)

    def rank_of(self, operand: Any) -> int:
        """Number of full axes of a signal, or of the constant input of an index."""
        if not isinstance(operand, int):
            return super().rank_of(operand)
        return max(world.ndim for world in self.worlds(operand) or ())

    def add(self, layer: Layer, *values: ReadValue, part: str = "") -> Signal:
        """Add a graph node and return its value.

        `part` names a step on the way (or a further output); without it the node is the ONNX
        node's first output and gets its name.
        """
        made = super().add(layer, *values, part=part)
        if made.name is None:
            raise Unknown  # the builder has noted the reason
        return Signal(made.name, made.shape, made.layout)

    def placed(self, name: str, layout: Layout = BATCH_FIRST) -> Signal:
        return Signal(name, self.builder.shapes[name], layout)
