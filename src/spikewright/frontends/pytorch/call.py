"""One operator of an exported program, as its reading sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.arrays import frozen
from spikewright.errors import Refusal
from spikewright.frontends.pytorch.program import Batch
from spikewright.frontends.reading import call as reading
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.reading.layout import BATCH_FIRST, regroup
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import (
    Value,
    finite,
    without_batch,
)
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Reshape

if TYPE_CHECKING:
    from spikewright.frontends.pytorch.naming import Place


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


@dataclass
class Call(reading.Call):
    """One operator: its arguments by the names of its schema, and ways to add its layers.

    Arguments that depend on the input are `Value`s. Parameters, buffers and values computed from
    them alone are tensors. Sizes that depend on the batch are `torch.SymInt`s. `dtype` is that of
    the first tensor, `precision` that of the program's inputs and parameters. `notes` holds
    the messages between readings of one program. The module itself is at hand where it is `live`.
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
    live: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The argument, or `default` where the operator has none of that name."""
        return self.arguments.get(name, default)

    def value(self, name: str) -> Value:
        """The argument as a value that depends on the input."""
        argument = self.arguments[name]
        if not isinstance(argument, Value):
            raise Unreadable(f"its operand {name!r} is a constant, it must depend on the input")
        return finite(argument)

    def sample(self, name: str) -> Value:
        """The argument with the batch axis first and apart, as layers over windows need it."""
        return self.first(self.value(name))

    def first(self, value: Value) -> Value:
        """The value; refuses one whose batch axis is not first and apart."""
        if value.layout != BATCH_FIRST:
            raise Unreadable("its operand does not have the batch axis first and apart", MIXES)
        return value

    def array(self, name: str) -> NDArray:
        """The argument as a constant array of float32 or float64."""
        argument = self.arguments[name]
        if isinstance(argument, torch.Tensor):
            return frozen(to_array(argument))
        raise Unreadable(
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
            raise Unreadable(f"its {name} {argument} depends on the size of the batch")
        return tuple(numbers * count if len(numbers) == 1 else numbers)

    def axis(self, value: Value, dim: int) -> int:
        """The axis of the graph's value that the program's axis `dim` is; refuses the batch."""
        axis = dim % value.rank
        if axis == value.layout.axis:
            raise Unreadable(f"it works along axis {axis}, which is the batch axis", MIXES)
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
            raise Unreadable(
                f"it makes {pretty(sizes)} of values of shape {pretty(own)}, where samples do not "
                "stay apart",
                MIXES,
            )
        shape, layout = found
        made = self.add(Reshape(shape), value, part=part)
        return replace(made, layout=layout)

    def refusal(self, reason: str, options: str) -> Refusal:
        kind = f"{self.place.kind}: {self.target}"
        return Refusal(
            self.place.name, kind, reason, options, self.place.location, callable=self.live
        )

    def rank_of(self, operand: Any) -> int:
        return rank_of(operand)

    def of_sample(self, constant: Any, axis: int | None, like: Value) -> NDArray:
        if isinstance(constant, torch.SymInt | torch.SymFloat):
            raise Unreadable("its operand depends on the size of the batch", MIXES)
        array = frozen(to_array(constant))
        return array if axis is None else without_batch(array, axis, like)


def pretty(shape: Sequence[Any]) -> str:
    """A shape as text, sizes that depend on the batch as their symbols."""
    return f"({', '.join(map(str, shape))})"


def count(shape: Sequence[int]) -> int:
    """Number of values in a shape."""
    return math.prod(shape)
