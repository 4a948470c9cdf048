"""A call of a foreign model as its reader sees it: ways to add its layers to the graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import GraphError, Refusal
from spikewright.frontends.reading.values import (
    BATCH_FIRST,
    Layout,
    Operand,
    Unknown,
    Unreadable,
    Value,
    sample_shape,
)
from spikewright.frontends.source import GraphBuilder, shape_made
from spikewright.graph.layers import (
    Activation,
    Broadcast,
    Constant,
    Crop,
    Identity,
    Layer,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
)

_MOVES = (Broadcast, Crop, Identity, Permute, Reshape, Slice)
_TAKES_HIDDEN = ("softmax", "exp", "sigmoid", "relu")
"""Functions that make zero of minus infinity and of its stand-in."""

MIXES = "Keep the batch axis first and apart: samples cannot be mixed in a spiking network."


class Call(ABC):
    """One call, by whichever framework: what it needs of a graph, in the words of all readers.

    All shapes and axes leave the batch out; those of the framework are translated before. Parts
    of a call have names of their own, and the layer without one is its result.
    """

    builder: GraphBuilder

    @abstractmethod
    def named(self, part: str) -> tuple[str, str, str]:
        """The name wanted for a part's node, and the name and kind of the source's layer."""

    @abstractmethod
    def array_of(self, constant: Any) -> NDArray:
        """A foreign constant as an array with all of its axes."""

    @abstractmethod
    def refusal(self, reason: str, options: str) -> Refusal:
        """A refusal of the source's layer."""

    def rank_of(self, operand: Any) -> int:
        """Number of axes of a value or constant in the foreign model."""
        return operand.rank if isinstance(operand, Value) else np.ndim(operand)

    def add(self, layer: Layer, *values: Value, part: str = "") -> Value:
        """Add a node; without `part` it gets the call's own name and is its result.

        Raises `Unreadable` where shapes do not fit.
        """
        try:
            shape = shape_made(layer, *(value.shape for value in values))
        except GraphError as error:
            if any(value.name is None for value in values):
                raise Unknown from None  # the shapes are stand-ins
            raise Unreadable(str(error)) from None
        name = self._made(layer, [value.name for value in values], part)
        if not values:
            return Value(name, shape)
        return replace(values[0].becomes(name, shape), seen=self._seen(layer, values, part))

    def _seen(self, layer: Layer, values: Sequence[Value], part: str) -> Value | None:
        """The positions that the data does not hide after a layer; refuses where it reads them."""
        hidden = [value for value in values if value.seen is not None]
        if not hidden or (isinstance(layer, Activation) and layer.function in _TAKES_HIDDEN):
            return None
        if len(values) > 1 or not isinstance(layer, _MOVES):
            raise Unreadable(
                "it reads values that a mask of the data makes minus infinity, or nearly",
                "Apply the mask to the scores right before the softmax.",
            )
        (value,) = hidden
        assert value.seen is not None
        return self.add(layer, value.seen, part=f"{part}/seen".lstrip("/"))

    def node(self, layer: Layer, *inputs: str, part: str = "") -> str:
        """Add a layer behind known nodes; raises `Unknown` where the shapes do not fit."""
        name = self._made(layer, inputs, part)
        if name is None:
            raise Unknown  # the builder has noted the reason
        return name

    def _made(self, layer: Layer, inputs: Sequence[str | None], part: str) -> str | None:
        wanted, source, kind = self.named(part)
        return self.builder.add(wanted, layer, *inputs, source=source, kind=kind)

    def placed(self, name: str, layout: Layout = BATCH_FIRST) -> Value:
        """The value of a known node."""
        return Value(name, self.builder.shapes[name], layout)

    def chain(self, value: Value, *steps: tuple[str, Layer | None], part: str = "") -> Value:
        """Add named layers one after another, leaving out None; the last one gets the name."""
        layers = [(step, layer) for step, layer in steps if layer is not None]
        if not layers:
            return self.add(Identity(), value, part=part)
        for step, layer in layers[:-1]:
            value = self.add(layer, value, part=f"{part}/{step}" if part else step)
        return self.add(layers[-1][1], value, part=part)

    def negated(self, value: Value, part: str = "negative") -> Value:
        """`-x`."""
        return self.add(ScaleShift(scale=np.array(-1.0)), value, part=part)

    def operands(self, *given: Any) -> list[Operand]:
        """Values of one rank, and constants that broadcast beside them."""
        found = [x if isinstance(x, Value) else self.against(x) for x in given]
        rank = max(len(x.shape) for x in found)
        return [self.lift(x, rank) if isinstance(x, Value) else x for x in found]

    def against(self, constant: Any) -> NDArray:
        """A foreign constant as it broadcasts against values of the graph."""
        array = self.array_of(constant)
        return array.reshape(sample_shape(array.shape))

    def expand(self, value: Value, shape: Shape, part: str = "broadcast") -> Value:
        """Repeat a value along axes of extent one so that it has `shape`, if it has not yet."""
        if value.shape == shape:
            return value
        made = self.add(Broadcast(shape), value, part=part)
        return replace(value, name=made.name, shape=shape)

    def lift(self, value: Value, rank: int, part: str = "aligned") -> Value:
        """The value with axes of extent one in front, so that it has `rank` axes of its own."""
        missing = rank - len(value.shape)
        if missing <= 0:
            return value
        made = self.add(Reshape((1,) * missing + value.shape), value, part=part)
        return replace(value, name=made.name, shape=made.shape)

    def aligned(self, *values: Value) -> list[Value]:
        """Values with ranks made equal."""
        rank = max(len(value.shape) for value in values)
        return [self.lift(value, rank) for value in values]

    def constant_like(self, array: NDArray, like: Value, part: str = "constant") -> Value:
        """A constant as a value of the layout of another one."""
        made = self.add(Constant(np.asarray(array, np.float64)), part=part)
        return like.becomes(made.name, made.shape)
