"""One operator of an exported program, as its reading sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.errors import GraphError
from spikewright.frontends.pytorch.program import Batch, sizes_of
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Identity, Layer, Shape, UpsampleNearest

if TYPE_CHECKING:
    from spikewright.frontends.pytorch.naming import Place


class Cannot(Exception):
    """Raised by a reading to refuse the operator; the front end lists it with its place."""

    def __init__(self, reason: str, options: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.options = options


MIXES = "Keep the batch axis first and apart: samples cannot be mixed in a spiking network."


@dataclass(frozen=True)
class Value:
    """A value that depends on the input: the graph's node that holds it, and its unbatched shape.

    `name` is None where an earlier layer could not be read, `shape` is None where not even its
    shape is known. A `merged` value is one that the program views as `(batch * shape[0],
    *shape[1:])`, as in `x.view(-1, channels)`.
    """

    name: str | None
    shape: Shape | None
    merged: bool = False

    @property
    def known_shape(self) -> Shape:
        """The shape; asking for one that is unknown means that nothing more can be said here."""
        if self.shape is None:
            raise Lost
        return self.shape

    @property
    def rank(self) -> int:
        """Number of axes in the program, its batch axis included."""
        return len(self.known_shape) + (not self.merged)


class Lost(Exception):
    """A reading needs a shape that is unknown because of an earlier refusal."""


def to_array(value: Any) -> NDArray:
    """A tensor or number as its own float32 or float64 array."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value, np.float64)
    dense = value.detach().to("cpu")
    if dense.dtype != torch.float64:
        dense = dense.to(torch.float32)
    return dense.numpy().copy()


@dataclass
class Call:
    """One operator: its arguments by the names of its schema, and ways to add what it means.

    Arguments that depend on the input are `Value`s, parameters, buffers and what is computed from
    them alone are tensors, sizes that depend on the batch are `torch.SymInt`s.
    """

    target: str
    arguments: Mapping[str, Any]
    results: Any
    place: Place
    builder: GraphBuilder
    batch: Batch
    dtype: Any = None

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The argument, or `default` where the operator has none of that name."""
        return self.arguments.get(name, default)

    def value(self, name: str) -> Value:
        """The argument as a value that depends on the input."""
        argument = self.arguments[name]
        if isinstance(argument, Value):
            return argument
        raise Cannot(f"its operand {name!r} is a constant, it must depend on the input")

    def array(self, name: str) -> NDArray:
        """The argument as a constant array of float32 or float64."""
        argument = self.arguments[name]
        if isinstance(argument, torch.Tensor):
            return to_array(argument)
        raise Cannot(
            f"its {name!r} depends on the input",
            "Only products with constant weights can be read.",
        )

    def optional_array(self, name: str) -> NDArray | None:
        """Like `array`; None where the argument is None."""
        return None if self.arguments[name] is None else self.array(name)

    def numbers(self, name: str, count: int) -> tuple[int, ...]:
        """The argument as `count` whole numbers; one number stands for all of them."""
        argument = self.arguments[name]
        numbers = [argument] if isinstance(argument, int) else list(argument)
        if any(not isinstance(n, int) for n in numbers):
            raise Cannot(f"its {name} {argument} depends on the size of the batch")
        return tuple(numbers * count if len(numbers) == 1 else numbers)

    def axis(self, value: Value, dim: int) -> int:
        """The axis of the graph's value that the program's axis `dim` is; refuses the batch."""
        axis = dim % value.rank
        if axis == 0:
            raise Cannot(f"it works along axis {dim}, which is the batch axis", MIXES)
        return axis - 1 + value.merged

    def shape_of(self, result: Any, merged: bool = False) -> Shape:
        """Unbatched shape that a result of this operator must have, its batch axis being first."""
        sizes = sizes_of(result)
        factor = self.batch.factor(sizes[0]) if sizes else 0
        whole = factor > 0 if merged else factor == 1
        if not whole or any(not isinstance(n, int) for n in sizes[1:]):
            raise Cannot(f"its result {pretty(sizes)} does not start with the batch axis", MIXES)
        return (factor, *sizes[1:]) if merged else sizes[1:]

    def add(self, layer: Layer, *values: Value, part: str = "") -> Value:
        """Add a node; without `part` it gets the operator's own name and is what it returns."""
        merged = {value.merged for value in values}
        if len(merged) > 1:
            raise Cannot("the batch axis is merged with another one in some operands only", MIXES)
        try:
            shape = layer.output_shape(*(value.known_shape for value in values))
        except GraphError as error:
            raise Cannot(str(error)) from None
        wanted = f"{self.place.name}/{part}" if part else self.place.name
        name = self.builder.add(
            wanted,
            layer,
            *(value.name for value in values),
            source=self.place.source,
            kind=self.place.kind,
        )
        return Value(name, shape, merged.pop())

    def chain(self, value: Value, *steps: tuple[str, Layer | None]) -> Value:
        """Add named layers one after another, leaving out None; the last one gets the name."""
        layers = [(part, layer) for part, layer in steps if layer is not None]
        if not layers:
            return self.add(Identity(), value)
        for part, layer in layers[:-1]:
            value = self.add(layer, value, part=part)
        return self.add(layers[-1][1], value)

    def expand(self, value: Value, shape: Shape) -> Value:
        """Repeat `value` along axes of extent one so that it has `shape`, if it has not yet."""
        if value.known_shape == shape:
            return value
        return self.add(UpsampleNearest(repeats(value.known_shape, shape)), value, part="expand")

    def against(self, constant: Any, value: Value) -> NDArray:
        """A constant operand as an array that broadcasts against the value's unbatched shape."""
        if isinstance(constant, torch.SymInt | torch.SymFloat):
            raise Cannot("its operand depends on the size of the batch", MIXES)
        array = to_array(constant)
        if array.ndim > value.rank:
            raise Cannot(
                f"its constant of shape {array.shape} has more axes than the value, whose batch "
                "axis would not stay first",
                MIXES,
            )
        if array.ndim < value.rank:
            return array
        if not (array == array[:1]).all():
            raise Cannot(f"its constant {pretty(array.shape)} differs from sample to sample", MIXES)
        return array[:1] if value.merged else array[0]


def repeats(shape: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """How often each axis must be repeated to broadcast `shape` to `target`."""
    if len(shape) != len(target):
        raise Cannot(
            f"it broadcasts {pretty(shape)} to {pretty(target)}, which would move the batch axis",
            MIXES,
        )
    factors = []
    for n, wanted in zip(shape, target, strict=True):
        if n not in (1, wanted):
            raise Cannot(f"{pretty(shape)} does not broadcast to {pretty(target)}")
        factors.append(wanted if n == 1 else 1)
    return tuple(factors)


def pretty(shape: Sequence[Any]) -> str:
    """A shape as text, sizes that depend on the batch as their symbols."""
    return f"({', '.join(map(str, shape))})"


def count(shape: Sequence[int]) -> int:
    """Number of values in a shape."""
    return math.prod(shape)
