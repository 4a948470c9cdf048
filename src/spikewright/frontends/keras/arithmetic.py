"""Sums and products of values with each other and with constants, broadcast as Keras does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.keras.affine import unbatched_constant
from spikewright.frontends.keras.registry import Call, Unknown, Unreadable, Value, array
from spikewright.graph.layers import (
    Activation,
    Add,
    Broadcast,
    Layer,
    Multiply,
    Reshape,
    ScaleShift,
    Shape,
)


def operands(call: Call, *names: str) -> list[Any]:
    """The arguments of these names: values, or constants that broadcast against them.

    Raises `Unreadable` where ranks differ, so that Keras would mix samples of a batch.
    """
    given = [call.arguments[name] for name in names]
    ranks = {len(x.shape) for x in given if isinstance(x, Value)}
    if len(ranks) > 1:
        shapes = [x.shape for x in given if isinstance(x, Value)]
        raise Unreadable(
            f"its inputs of shapes {shapes} have different ranks, so that Keras aligns the batch "
            f"of one with another axis of the other",
            "Make the ranks equal with a Reshape layer",
        )
    (rank,) = ranks
    return [x if isinstance(x, Value) else unbatched_constant(array(x), (1,) * rank) for x in given]


def require_known(*values: Value) -> None:
    """Raise `Unknown` if one of the values is, so that its shape is a stand-in."""
    if any(value.node is None for value in values):
        raise Unknown


def common_shape(*shapes: Shape) -> Shape:
    """The shape that all broadcast to; raises `Unreadable` where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Unreadable(f"inputs of shapes {list(shapes)} do not match") from None


def widened(call: Call, value: Value, shape: Shape, part: str) -> Value:
    """A value broadcast to a shape, itself where it has it."""
    return value if value.shape == shape else call.value(Broadcast(shape), value, part=part)


def aligned(call: Call, values: tuple[Value, ...]) -> list[Value]:
    """Values of different ranks, as Keras's merging layers align them: axes of one in front."""
    rank = max(len(value.shape) for value in values)
    return [
        value
        if len(value.shape) == rank
        else call.value(
            Reshape((1,) * (rank - len(value.shape)) + value.shape), value, part="aligned"
        )
        for value in values
    ]


def total(call: Call, *values: Value, part: str = "") -> Value:
    """The sum of values of one rank that broadcast."""
    require_known(*values)
    shape = common_shape(*(value.shape for value in values))
    return call.value(
        Add(), *(widened(call, value, shape, "broadcast") for value in values), part=part
    )


def negated(call: Call, value: Value) -> Value:
    """`-x`, an intermediate value."""
    return call.value(ScaleShift(scale=np.array(-1.0)), value, part="negative")


def _with_constant(call: Call, value: Value, constant: NDArray, layer: Layer, part: str) -> Value:
    """A layer with a constant, behind a value that is as large as the result."""
    require_known(value)
    shape = common_shape(value.shape, constant.shape)
    return call.value(layer, widened(call, value, shape, "broadcast"), part=part)


def shifted(call: Call, value: Value, constant: NDArray, part: str = "") -> Value:
    """`x + constant`."""
    return _with_constant(call, value, constant, ScaleShift(shift=constant), part)


def scaled(call: Call, value: Value, constant: NDArray, part: str = "") -> Value:
    """`x constant`."""
    return _with_constant(call, value, constant, ScaleShift(scale=constant), part)


def product(call: Call, first: Value, second: Value, part: str = "") -> Value:
    """`x y`, of two values or of a value with itself."""
    if first.node == second.node and first.node is not None:
        return call.value(Activation("square"), first, part=part)
    return call.value(Multiply(), first, second, part=part)


def at_least(call: Call, value: Value, bound: NDArray, part: str = "") -> Value:
    """`max(x, bound)` as `bound + relu(x - bound)`."""
    above = call.value(Activation("relu"), shifted(call, value, -bound, "above"), part="relu")
    return shifted(call, above, bound, part)


def at_most(call: Call, value: Value, bound: NDArray, part: str = "") -> Value:
    """`min(x, bound)` as `bound - relu(bound - x)`."""
    require_known(value)
    shape = common_shape(value.shape, bound.shape)
    flipped = ScaleShift(np.array(-1.0), bound)
    below = call.value(flipped, widened(call, value, shape, "broadcast"), part="below")
    return call.value(flipped, call.value(Activation("relu"), below, part="relu"), part=part)
