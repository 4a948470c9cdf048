"""One operator of an exported program, as its reading sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.program import Batch
from spikewright.frontends.reading import call as reading
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.reading.layout import BATCH, BATCH_FIRST, of_groups, regroup
from spikewright.frontends.reading.refusal import Unknown, Unreadable
from spikewright.frontends.reading.values import Operand, Value, finite
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Permute, Reshape

if TYPE_CHECKING:
    from spikewright.frontends.pytorch.naming import Place


__all__ = [
    "MIXES", "Call", "Cannot", "Lost", "Value", "alike", "count", "finite", "pretty", "rank_of",
    "to_array",
]  # fmt: skip

Cannot = Unreadable
"""Raised by a reading to refuse the operator; the front end lists it with its place."""

Lost = Unknown
"""Raised by a reading that needs what an earlier refusal left unknown."""


def to_array(value: Any) -> NDArray:
    """A tensor or number as its own float32 or float64 array."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value, np.float64)
    dense = value.detach().to("cpu")
    if dense.dtype != torch.float64:
        dense = dense.to(torch.float32)
    return dense.numpy().copy()


def rank_of(operand: Any) -> int:
    """Number of axes of an operand in the program."""
    if isinstance(operand, Value):
        return operand.rank
    return operand.dim() if isinstance(operand, torch.Tensor) else 0


def alike(first: NDArray, second: NDArray) -> bool:
    """Whether arrays that broadcast differ by no more than sums in another order do."""
    if first.dtype.kind != "f":
        return bool((first == second).all())
    finite = np.abs(first[np.isfinite(first)])
    rounding = 64 * np.finfo(first.dtype).eps * finite.max(initial=0)
    return np.allclose(first, second, rtol=0, atol=rounding, equal_nan=True)


@dataclass
class Call(reading.Call):
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
        return finite(argument)

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

    def named(self, part: str) -> tuple[str, str, str]:
        place = self.place
        return f"{place.name}/{part}" if part else place.name, place.source, place.kind

    def view(self, value: Value, sizes: Sequence[Any], part: str = "") -> Value:
        """The value under the program's `sizes`, in row-major order."""
        found = regroup(value.shape, value.layout, sizes, self.batch)
        if found is None:
            before = value.layout.before
            own = (*value.shape[:before], "batch", *value.shape[before:])
            raise Cannot(
                f"it makes {pretty(sizes)} of values of shape {pretty(own)}, where samples do not "
                "stay apart",
                MIXES,
            )
        shape, layout = found
        made = self.add(Reshape(shape), value, part=part)
        return replace(made, layout=layout)

    def reorder(self, value: Value, order: Sequence[int], part: str = "") -> Value:
        """The value with the program's axes in another order."""
        groups = value.layout.groups(len(value.shape))
        chosen = [groups[dim % len(groups)] for dim in order]
        axes = tuple(axis for group in chosen for axis in group if axis != BATCH)
        made = self.add(Permute(axes), value, part=part)
        return replace(made, layout=of_groups(chosen))

    def operands(self, *given: Any) -> list[Operand]:
        """Values of one rank with the batch axis in one place, and constants beside them."""
        values = [x for x in given if isinstance(x, Value)]
        rank = max(map(rank_of, given))
        like, *rest = self.aligned(*(self.lift(value, rank) for value in values))
        lifted = iter([like, *rest])
        return [next(lifted) if isinstance(x, Value) else self.against(x, like) for x in given]

    def of_sample(self, constant: Any, axis: int | None, like: Value) -> NDArray:
        array = to_array(constant)
        return array if axis is None else self.without_batch(array, axis, like)

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
        layout, shape = value.layout, value.shape
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
