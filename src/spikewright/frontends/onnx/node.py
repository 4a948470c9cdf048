"""One ONNX node as its reader sees it: attributes, inputs, and where results go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import Refusal
from spikewright.frontends.onnx.values import ConstantValue, Missing, SignalValue, Value
from spikewright.frontends.reading import call as reading
from spikewright.frontends.reading.call import (
    BATCH_FIRST,
    UNBATCHED,
    Layout,
    Operand,
    Unknown,
    Unreadable,
    layout_of,
    sample_shape,
)
from spikewright.frontends.reading.call import Value as ReadValue
from spikewright.frontends.source import GraphBuilder
from spikewright.graph import GraphNode, unique_name
from spikewright.graph.layers import Layer, Reshape, Shape

KEEP_BATCH = (
    "Keep the batch as axis 0: export with a dynamic batch, or with its size fixed and the same "
    "everywhere"
)


class NodeOrigin(NamedTuple):
    """The node of the file that a node stands for, or for a part of."""

    layer: str
    kind: str


@dataclass
class OnnxNode(reading.Call):
    """An ONNX node and its surroundings.

    Values are those of one sample. Shapes leave out axis 0 where that has one entry, the sample,
    unless they are called full.

    `free` says that the file leaves the size of the batch open.

    `signal` and `shape` give inputs with the batch on axis 0, and refuse others. A reader that
    counts axes through `view` takes them wherever their batch is.
    """

    kind: str
    label: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    output_count: int
    free: bool
    builder: GraphBuilder
    origin: NodeOrigin
    reserved: frozenset[str] = field(default_factory=frozenset, repr=False)
    _moved: dict[tuple[str | None, Layout], SignalValue] = field(default_factory=dict, repr=False)

    def refusal(self, reason: str, options: str) -> Refusal:
        return Refusal(*self.origin, reason, options)

    def has(self, index: int) -> bool:
        """Whether the optional input of this index is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def is_constant(self, index: int) -> bool:
        """Whether the input does not depend on the data."""
        return isinstance(self.inputs[index], ConstantValue)

    def _input(self, index: int) -> SignalValue | ConstantValue:
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise Unreadable(f"its input {index} is missing")
        if isinstance(value, Missing):
            raise Unreadable(value.why) if value.why else Unknown
        return value

    # --- signals ---------------------------------------------------------------------------------

    def signal(self, index: int) -> SignalValue:
        """A data input of one sample without its axis 0, the batch.

        Raises `Unreadable` for a constant, and where axis 0 is none of a batch.
        """
        view = self.view(index)
        if view.layout == BATCH_FIRST:
            return view
        if view.full[:1] == (1,):
            return self._laid_out(view, BATCH_FIRST)
        raise Unreadable(
            f"the batch is not axis 0 of its input {index}, of which one sample is {view.full}",
            KEEP_BATCH,
        )

    def shape(self, index: int = 0) -> Shape:
        """Unbatched shape of a data input whose batch is axis 0."""
        return self.signal(index).shape

    def view(self, index: int, *axes: int) -> SignalValue:
        """A data input of which these full axes are needed.

        Raises `Unreadable` for a constant, and where an axis does not exist.
        """
        view = self._input(index)
        if isinstance(view, ConstantValue):
            raise Unreadable(
                f"its input {index} is a constant where data is expected",
                "Fold constants before exporting (e.g. with onnxsim or the exporter's optimiser)",
            )
        if any(view.is_batch(axis) for axis in axes):
            view = self._laid_out(view, UNBATCHED)
        for axis in axes:
            view.axis(axis)  # raises
        return view

    def whole_sample(self, index: int) -> SignalValue:
        """A data input with all axes that ONNX has for one sample."""
        return self._laid_out(self.view(index), UNBATCHED)

    def _laid_out(self, view: SignalValue, layout: Layout) -> SignalValue:
        """The same value with its axis 0, or without it."""
        if view.layout == layout:
            return view
        key = (view.name, layout)
        if key not in self._moved:
            shape = view.full if layout == UNBATCHED else view.full[1:]
            made = self.add(Reshape(shape), view, part=f"{view.name} as one sample")
            self._moved[key] = replace(view, name=made.name, shape=made.shape, layout=layout)
        return self._moved[key]

    def alike(self, indices: Sequence[int], axis: int) -> list[SignalValue]:
        """Data inputs of one full rank, of which this axis is needed, in one layout."""
        views = [self.view(index, axis) for index in indices]
        if len({view.layout for view in views}) > 1:
            first = views[0].full_axis(axis) > 0 and all(view.full[:1] == (1,) for view in views)
            layout = BATCH_FIRST if first else UNBATCHED
            return [self._laid_out(view, layout) for view in views]
        return views

    def inputs_of_sample(self) -> list[Operand]:
        """All inputs of an elementwise operator, which broadcast against each other."""
        indices = range(len(self.inputs))
        views = {index: self.view(index) for index in indices if not self.is_constant(index)}
        if not views:
            self.view(0)  # raises: nothing here depends on the data
        arrays = {index: self.known(index) for index in indices if index not in views}
        own = max(len(view.shape) for view in views.values())
        rank = max(*(view.rank for view in views.values()), *(a.ndim for a in arrays.values()), 0)
        lead = all(view.full[:1] == (1,) for view in views.values() if view.rank == rank)
        lead = lead and all(a.shape[:1] == (1,) for a in arrays.values() if a.ndim == rank)
        own = max(own, rank - lead)
        layout = UNBATCHED if own == rank else BATCH_FIRST
        return [
            replace(views[index], layout=layout)
            if index in views
            else arrays[index].reshape(arrays[index].shape[max(arrays[index].ndim - own, 0) :])
            for index in indices
        ]

    # --- constants -------------------------------------------------------------------------------

    def constant(self, index: int) -> NDArray | None:
        """The value of a constant input, None where it is not given."""
        if not self.has(index):
            return None
        value = self._input(index)
        if isinstance(value, SignalValue):
            raise Unreadable(
                f"its input {index} is computed from the data; it must be a constant",
                "Store it in the model as an initialiser",
            )
        return value.array

    def known(self, index: int) -> NDArray:
        """A constant input that must be there."""
        value = self.constant(index)
        if value is None:
            raise Unreadable(f"its input {index} is missing")
        return value

    def parameter(self, index: int) -> NDArray:
        """A constant input that must be there and holds floating-point numbers."""
        value = self.known(index)
        if not np.issubdtype(value.dtype, np.floating):
            raise Unreadable(f"its input {index} holds {value.dtype} values, not floating point")
        return value

    def optional(self, index: int) -> NDArray | None:
        """A constant input of floating-point numbers, None where it is not given."""
        return self.parameter(index) if self.has(index) else None

    def per_sample(self, index: int, like: ReadValue | int, axis: int | None = None) -> NDArray:
        """A constant operand beside a value, without the axis of the batch if it has that.

        In the place of a value, a number of axes stands for one of that rank with the batch first.
        `axis` is the constant's axis that is the batch's, if not that which aligns with it.
        """
        array = self.known(index)
        like = ReadValue(None, (1,) * (like - 1)) if isinstance(like, int) else like
        if axis is None and like.layout == BATCH_FIRST:
            axis = array.ndim - like.rank
        if axis is None or axis < 0:
            return array
        if array.shape[axis] != 1:
            raise Unreadable(
                f"its constant of shape {array.shape} does not fit one sample of {like.shape}, or "
                "differs from sample to sample",
                "Use one without a batch axis: samples cannot be mixed in a spiking network.",
            )
        return array.reshape(*array.shape[:axis], *array.shape[axis + 1 :])

    def setting(self, name: str, index: int | None = None) -> Any:
        """A setting that is an attribute in some opsets and a constant input in others, or None."""
        if name in self.attributes:
            return self.attributes[name]
        return None if index is None else self.constant(index)

    def integers(self, name: str, index: int | None = None) -> tuple[int, ...] | None:
        """The same as a tuple of integers."""
        if name in self.attributes:
            return tuple(int(n) for n in np.ravel(self.attributes[name]))
        return None if index is None else self.whole_numbers(index)

    def whole_numbers(self, index: int) -> tuple[int, ...] | None:
        """A constant input of integers, None where it is not given."""
        value = self.constant(index)
        if value is None:
            return None
        if not np.issubdtype(value.dtype, np.integer):
            raise Unreadable(f"its input {index} holds {value.dtype} values, not integers")
        return tuple(int(n) for n in np.ravel(value))

    # --- results ---------------------------------------------------------------------------------

    def named(self, part: str) -> tuple[str, str, str]:
        wanted = unique_name(f"{self.label}:{part}", self.reserved) if part else self.label
        return wanted, *self.origin

    def array_of(self, constant: Any) -> NDArray:
        """A constant input, given by its index."""
        return self.parameter(constant)

    def rank_of(self, operand: Any) -> int:
        """Number of full axes of a signal, or of the constant input of an index."""
        if not isinstance(operand, int):
            return super().rank_of(operand)
        return self.known(operand).ndim

    def add(self, layer: Layer, *values: ReadValue, part: str = "") -> SignalValue:
        """Add a graph node and return its value.

        `part` names a step on the way (or a further output); without it the node is the ONNX
        node's first output and gets its name.
        """
        made = super().add(layer, *values, part=part)
        if made.name is None:
            raise Unknown  # the builder has noted the reason
        return SignalValue(made.name, made.shape, made.layout)

    def placed(self, name: str, layout: Layout = BATCH_FIRST) -> SignalValue:
        return SignalValue(name, self.builder.shapes[name], layout)

    def made(self, name: str) -> GraphNode:
        """The graph's node of this name."""
        return next(node for node in reversed(self.builder.nodes) if node.name == name)

    def reshaped(self, view: SignalValue, full: Sequence[int], part: str = "") -> SignalValue:
        """The same values in another shape, as ONNX has it for one sample."""
        made = self.add(Reshape(sample_shape(full)), view, part=part)
        return replace(made, layout=layout_of(full))
