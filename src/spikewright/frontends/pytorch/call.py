"""One operator of an exported program, as its reading sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.errors import GraphError
from spikewright.frontends.pytorch.layout import BATCH, BATCH_FIRST, Layout, of_groups, regroup
from spikewright.frontends.pytorch.program import Batch
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.source import GraphBuilder, shape_made
from spikewright.graph.layers import (
    Add,
    Broadcast,
    Constant,
    Identity,
    Layer,
    Permute,
    Reshape,
    Shape,
)

if TYPE_CHECKING:
    from spikewright.frontends.pytorch.naming import Place


Cannot = Unreadable
"""Raised by a reading to refuse the operator; the front end lists it with its place."""

MIXES = "Keep the batch axis first and apart: samples cannot be mixed in a spiking network."


@dataclass(frozen=True)
class Value:
    """A value that depends on the input: the graph's node that holds it, and its unbatched shape.

    `name` is None where an earlier layer could not be read, `shape` is None where not even its
    shape is known. `layout` says where the program has the batch axis. `masked` is True where the
    program's value is minus infinity, which only a softmax can take; the node's value there is
    finite. It broadcasts against the shape.
    """

    name: str | None
    shape: Shape | None
    layout: Layout = BATCH_FIRST
    masked: NDArray | None = field(default=None, compare=False)

    @property
    def known_shape(self) -> Shape:
        """The shape; asking for one that is unknown means that nothing more can be said here."""
        if self.shape is None:
            raise Lost
        return self.shape

    @property
    def rank(self) -> int:
        """Number of axes in the program, its batch axis included."""
        return self.layout.rank(len(self.known_shape))

    @property
    def merged(self) -> bool:
        """Whether the batch axis is one axis with another in the program."""
        return self.layout.merged


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


def alike(first: NDArray, second: NDArray) -> bool:
    """Whether arrays that broadcast differ by no more than sums in another order do."""
    if first.dtype.kind != "f":
        return bool((first == second).all())
    finite = np.abs(first[np.isfinite(first)])
    rounding = 64 * np.finfo(first.dtype).eps * finite.max(initial=0)
    return np.allclose(first, second, rtol=0, atol=rounding, equal_nan=True)


@dataclass
class Call:
    """One operator: its arguments by the names of its schema, and ways to add its layers.

    Arguments that depend on the input are `Value`s. Parameters, buffers and values computed from
    them alone are tensors. Sizes that depend on the batch are `torch.SymInt`s. `dtype` is that of
    the first tensor, `precision` that of the program's inputs and parameters. `notes` holds
    the messages between readings of one program.
    """

    target: str
    arguments: Mapping[str, Any]
    results: Any
    place: Place
    builder: GraphBuilder
    batch: Batch
    dtype: Any = None
    precision: Any = None
    notes: dict[Any, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The argument, or `default` where the operator has none of that name."""
        return self.arguments.get(name, default)

    def value(self, name: str) -> Value:
        """The argument as a value that depends on the input."""
        argument = self.arguments[name]
        if not isinstance(argument, Value):
            raise Cannot(f"its operand {name!r} is a constant, it must depend on the input")
        return self.finite(argument)

    def finite(self, value: Value) -> Value:
        """The value; refuses one that is minus infinity in places."""
        if value.masked is not None:
            raise Cannot(
                "it reads values that are minus infinity, which only a softmax can take",
                "Apply the mask right before the softmax.",
            )
        return value

    def sample(self, name: str) -> Value:
        """The argument with the batch axis first and apart, as layers over windows need it."""
        return self.first(self.value(name))

    def first(self, value: Value) -> Value:
        """The value; refuses one whose batch axis is not first and apart."""
        if value.layout != BATCH_FIRST:
            raise Cannot("its operand does not have the batch axis first and apart", MIXES)
        return value

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
        if axis == value.layout.axis:
            raise Cannot(f"it works along axis {axis}, which is the batch axis", MIXES)
        return value.layout.own_axis(axis)

    def add(self, layer: Layer, *values: Value, part: str = "") -> Value:
        """Add a node; without `part` it gets the operator's own name and is its result."""
        layouts = {value.layout for value in values}
        if len(layouts) > 1:
            raise Cannot("the batch axis stands elsewhere in some of its operands", MIXES)
        try:
            shape = shape_made(layer, *(value.known_shape for value in values))
        except GraphError as error:
            raise Cannot(str(error)) from None
        name = self._named(layer, [value.name for value in values], part)
        return Value(name, shape, layouts.pop() if layouts else BATCH_FIRST)

    def _named(self, layer: Layer, inputs: Sequence[str | None], part: str) -> str | None:
        place = self.place
        wanted = f"{place.name}/{part}" if part else place.name
        return self.builder.add(wanted, layer, *inputs, source=place.source, kind=place.kind)

    def node(self, layer: Layer, *inputs: str, part: str = "") -> str:
        """Add a layer behind known nodes; raises `Lost` where the shapes do not fit."""
        name = self._named(layer, inputs, part)
        if name is None:
            raise Lost  # the builder has noted the reason
        return name

    def chain(self, value: Value, *steps: tuple[str, Layer | None], part: str = "") -> Value:
        """Add named layers one after another, leaving out None; the last one gets the name."""
        layers = [(step, layer) for step, layer in steps if layer is not None]
        if not layers:
            return self.add(Identity(), value, part=part)
        for step, layer in layers[:-1]:
            value = self.add(layer, value, part=f"{part}/{step}" if part else step)
        return self.add(layers[-1][1], value, part=part)

    def reduce(
        self,
        value: Value,
        axes: Sequence[int],
        keep: bool,
        *steps: tuple[str, Layer | None],
        part: str = "",
    ) -> Value:
        """A chain of layers that reduces over own axes, which vanish unless they are kept."""
        made = self.chain(value, *steps, part=part)
        gone = 0 if keep else sum(axis < value.layout.before for axis in axes)
        return Value(made.name, made.shape, value.layout.moved(-gone))

    def plus(self, first: Value, second: Value, part: str = "") -> Value:
        """The sum of two values of one shape."""
        return self.add(Add(), first, second, part=part)

    def view(self, value: Value, sizes: Sequence[Any], part: str = "") -> Value:
        """The value under the program's `sizes`, in row-major order."""
        found = regroup(value.known_shape, value.layout, sizes, self.batch)
        if found is None:
            before = value.layout.before
            own = (*value.known_shape[:before], "batch", *value.known_shape[before:])
            raise Cannot(
                f"it makes {pretty(sizes)} of values of shape {pretty(own)}, where samples do not "
                "stay apart",
                MIXES,
            )
        shape, layout = found
        made = self.add(Reshape(shape), value, part=part)
        return Value(made.name, shape, layout)

    def reorder(self, value: Value, order: Sequence[int], part: str = "") -> Value:
        """The value with the program's axes in another order."""
        groups = value.layout.groups(len(value.known_shape))
        chosen = [groups[dim % len(groups)] for dim in order]
        axes = tuple(axis for group in chosen for axis in group if axis != BATCH)
        made = self.add(Permute(axes), value, part=part)
        return Value(made.name, made.shape, of_groups(chosen))

    def around(self, value: Value, order: Sequence[int], layer: Layer) -> Value:
        """A layer on the own axes in another order, which are brought back behind it."""
        back = tuple(order.index(axis) for axis in range(len(order)))
        return self.chain(
            value, ("order", Permute(tuple(order))), ("layer", layer), ("back", Permute(back))
        )

    def lift(self, value: Value, rank: int, part: str = "lift") -> Value:
        """The value with axes of extent one in front, so that it has `rank` in the program."""
        missing = rank - value.rank
        if missing <= 0:
            return value
        made = self.add(Reshape((1,) * missing + value.known_shape), value, part=part)
        return Value(made.name, made.shape, value.layout.moved(missing), value.masked)

    def aligned(self, *values: Value) -> list[Value]:
        """Values with ranks made equal; they must have the batch axis in the same place."""
        rank = max(value.rank for value in values)
        lifted = [self.lift(value, rank) for value in values]
        if len({value.layout for value in lifted}) > 1:
            raise Cannot("its operands have the batch axis in different places", MIXES)
        return lifted

    def expand(self, value: Value, shape: Shape, part: str = "expand") -> Value:
        """Repeat `value` along axes of extent one so that it has `shape`, if it has not yet."""
        if value.known_shape == shape:
            return value
        made = self.add(Broadcast(shape), value, part=part)
        return Value(made.name, shape, value.layout, value.masked)

    def constant(self, array: NDArray, like: Value, part: str = "constant") -> Value:
        """A constant as a value with the axes of another one."""
        made = self.add(Constant(array), part=part)
        return Value(made.name, made.shape, like.layout)

    def against(self, constant: Any, value: Value) -> NDArray:
        """A constant operand as an array that broadcasts against the value's unbatched shape.

        The value must have as many axes in the program as the constant, see `lift`.
        """
        if isinstance(constant, torch.SymInt | torch.SymFloat):
            raise Cannot("its operand depends on the size of the batch", MIXES)
        array = to_array(constant)
        missing = value.rank - array.ndim
        if missing > value.layout.axis:
            return array
        array = array.reshape((1,) * missing + array.shape)
        return self.without_batch(array, value.layout.axis, value)

    def without_batch(self, array: NDArray, axis: int, value: Value) -> NDArray:
        """A constant without its axis that belongs to the batch, which says the same of all.

        `axis` is the array's axis that stands beside the batch axis of the value.
        """
        layout, shape = value.layout, value.known_shape
        own = shape[layout.axis : layout.before + layout.inner]
        front, extent, rest = array.shape[:axis], array.shape[axis], array.shape[axis + 1 :]
        if extent == 1:
            return array.reshape((*front, *(1,) * len(own), *rest))
        samples, left = divmod(extent, count(own))
        if left:
            raise Cannot(f"its constant {pretty(array.shape)} does not fit the batch", MIXES)
        apart = array.reshape(*front, *own[: layout.outer], samples, *own[layout.outer :], *rest)
        where = axis + layout.outer
        first = np.take(apart, [0], where)
        if not alike(apart, first):
            raise Cannot(f"its constant {pretty(array.shape)} differs from sample to sample", MIXES)
        return first.squeeze(where)


def pretty(shape: Sequence[Any]) -> str:
    """A shape as text, sizes that depend on the batch as their symbols."""
    return f"({', '.join(map(str, shape))})"


def count(shape: Sequence[int]) -> int:
    """Number of values in a shape."""
    return math.prod(shape)
