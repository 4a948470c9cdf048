"""One ONNX node as its reader sees it: attributes, inputs, and where results go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.source import GraphBuilder
from spikewright.graph import unique_name
from spikewright.graph.layers import Layer, Shape


class Unreadable(Exception):
    """Raised by a reader: why this node cannot be read, and what the user can do about it."""

    def __init__(self, reason: str, options: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.options = options


class Blocked(Exception):
    """The node depends on something that was refused already: there is nothing to add to that."""


@dataclass(frozen=True)
class Signal:
    """A value that depends on the data: the graph node of this name."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A value that does not depend on the data; one array for each batch size tried.

    Where the arrays are one object the value does not depend on the batch size either.
    """

    worlds: tuple[NDArray, ...]


@dataclass(frozen=True)
class Missing:
    """A value that no graph node holds; `why` is empty where a refusal has said it already."""

    why: str = ""


@dataclass(frozen=True)
class Above(Missing):
    """The truth values of `signal > threshold`, which only exported activations can use."""

    signal: str = ""
    threshold: float = 0.0


Value = Signal | Constant | Missing


@dataclass
class OnnxNode:
    """An ONNX node and its surroundings.

    `batches` are the batch sizes under which constants are known: two where the batch axis is
    free, so that what depends on it shows, one where the file fixes it. Shapes leave the batch
    axis out unless they are called full.
    """

    kind: str
    label: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    output_count: int
    batches: tuple[int, ...]
    builder: GraphBuilder
    reserved: frozenset[str] = field(default_factory=frozenset, repr=False)

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
            raise Unreadable(value.why) if value.why else Blocked
        return value

    def signal(self, index: int) -> str:
        """Name of the graph node that an input reads; raises `Unreadable` for a constant."""
        value = self._input(index)
        if isinstance(value, Constant):
            raise Unreadable(
                f"its input {index} is a constant where data is expected",
                "Fold constants before exporting (e.g. with onnxsim or the exporter's optimiser)",
            )
        return value.name

    def shape(self, index: int = 0) -> Shape:
        """Unbatched shape of a data input."""
        return self.builder.shapes[self.signal(index)]

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
        if not all(_same(world, worlds[0]) for world in worlds):
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

    def per_sample(self, index: int, rank: int) -> NDArray:
        """A constant operand of an elementwise operator, without its batch axis.

        `rank` is the full rank of the data that it meets. Raises `Unreadable` where samples of
        one batch would get different constants.
        """
        found = [
            _drop_batch(world, rank, batch)
            for world, batch in zip(self.worlds(index) or (), self.batches, strict=False)
        ]
        if not found:
            raise Unreadable(f"its input {index} is missing")
        if not all(_same(value, found[0]) for value in found):
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

    def add(self, layer: Layer, *inputs: str, part: str = "") -> str:
        """Add a graph node and return its name.

        `part` names a step on the way (or a further output); without it the node is the ONNX
        node's first output and gets its name.
        """
        wanted = unique_name(f"{self.label}:{part}", self.reserved) if part else self.label
        name = self.builder.add(wanted, layer, *inputs, source=self.label, kind=self.kind)
        if name is None:
            raise Blocked  # the builder has noted that the shapes do not fit
        return name


def _same(a: NDArray, b: NDArray) -> bool:
    """Whether two arrays hold the same values, NaN included: those are reported with the graph."""
    return a is b or (a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=True)))


def _drop_batch(value: NDArray, rank: int, batch: int) -> NDArray:
    while value.ndim > rank:
        if value.shape[0] != 1:
            raise Unreadable(
                f"a constant of shape {value.shape} would give the data, of rank {rank} with its "
                "batch axis, more axes"
            )
        value = value[0]
    if value.ndim < rank:
        return value
    if value.shape[0] not in (1, batch):
        raise Unreadable(f"a constant of shape {value.shape} fits only one size of the batch")
    if not all(_same(row, value[0]) for row in value[1:]):
        raise Unreadable(
            f"a constant of shape {value.shape} holds different values for the samples of a batch"
        )
    return value[0]
