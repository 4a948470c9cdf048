"""`keras.ops` on the tensors of a functional model: arithmetic with constants, and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.keras.affine import unbatched_constant
from spikewright.frontends.keras.merging import subtract
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    array,
    reads,
    unbatched_axis,
    why_not,
)
from spikewright.frontends.keras.shapes import filled_shape
from spikewright.graph.layers import (
    Add,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Permute,
    Reshape,
    ScaleShift,
)


def _operands(call: Call) -> tuple[NDArray | None, NDArray | None]:
    """The two operands: None for a tensor, an array for a constant."""
    first, second = (
        None if isinstance(x, Value) else unbatched_constant(array(x), call.shape)
        for x in (call.arguments["x1"], call.arguments["x2"])
    )
    return first, second


@reads("ops.Add")
def add(call: Call) -> str | None:
    """`x + y` and `x + constant`."""
    first, second = _operands(call)
    if first is None and second is None:
        return call.add(Add())
    return call.add(ScaleShift(shift=second if first is None else first))


@reads("ops.Subtract")
def subtraction(call: Call) -> str | None:
    """`x - y`, `x - constant` and `constant - x`."""
    first, second = _operands(call)
    if first is not None:
        return call.add(ScaleShift(scale=np.array(-1.0), shift=first))
    if second is not None:
        return call.add(ScaleShift(shift=-second))
    return subtract(call)


@reads("ops.Multiply")
def multiply(call: Call) -> str | None:
    """`x * constant`."""
    first, second = _operands(call)
    if first is None and second is None:
        raise Unreadable(*why_not("Multiply"))
    return call.add(ScaleShift(scale=second if first is None else first))


@reads("ops.Divide", "ops.TrueDivide")
def divide(call: Call) -> str | None:
    """`x / constant`."""
    first, second = _operands(call)
    if first is not None or second is None:
        raise Unreadable(
            "it divides by a computed value, and the graph multiplies by constants only",
            "Divide by a constant",
        )
    if np.any(second == 0):
        raise Unreadable("it divides by zero", "Divide by other constants")
    return call.add(ScaleShift(scale=1.0 / second.astype(np.float64)))


@reads("ops.Negative")
def negative(call: Call) -> str | None:
    """`-x`."""
    return call.add(ScaleShift(scale=np.array(-1.0)))


@reads("ops.Cast")
def cast(call: Call) -> str | None:
    """Between kinds of floating-point numbers; the graph has one."""
    dtype = str(call.layer.dtype)
    if dtype not in ("float16", "bfloat16", "float32", "float64"):
        raise Unreadable(f"it rounds to {dtype}", "Leave the cast out")
    return call.add(Identity())


@reads("ops.Reshape")
def reshape(call: Call) -> str | None:
    """A shape that keeps the batch axis first and free: `(-1, ...)` or `(None, ...)`."""
    batch, *rest = call.layer.newshape
    if batch not in (-1, None) or (batch == -1 and -1 in rest):
        raise Unreadable(
            f"its new shape {tuple(call.layer.newshape)} fixes the batch size",
            "Use a Reshape layer, or (-1, ...) with the other extents given",
        )
    return call.add(Reshape(filled_shape([-1 if n is None else n for n in rest], call.shape)))


@reads("ops.Squeeze", "ops.ExpandDims")
def rank_changing(call: Call) -> str | None:
    """Axes of one element, dropped or added."""
    axes = _axes(call.layer.axis)
    rank = len(call.shape)
    ones = [i for i, n in enumerate(call.shape) if n == 1]
    if call.kind == "ops.ExpandDims":
        full = rank + len(axes)
        new = {unbatched_axis(axis, full) for axis in axes}
        old = iter(call.shape)
        return call.add(Reshape(tuple(1 if i in new else next(old) for i in range(full))))
    dropped = {unbatched_axis(axis, rank) for axis in axes} if axes else set(ones)
    return call.add(Reshape(tuple(n for i, n in enumerate(call.shape) if i not in dropped)))


@reads("ops.Transpose")
def transpose(call: Call) -> str | None:
    """Any order of axes in which the batch stays first."""
    rank = len(call.shape)
    axes = tuple(axis % (rank + 1) for axis in call.layer.axes or range(rank, -1, -1))
    if axes[0] != 0:
        raise Unreadable("it moves the batch axis, which the graph leaves out", "Keep axis 0 first")
    return call.add(Permute(tuple(axis - 1 for axis in axes[1:])))


@reads("ops.Mean", "ops.Max")
def reduce(call: Call) -> str | None:
    """Mean and maximum over whole axes other than the batch."""
    layer = call.layer
    axes = _axes(layer.axis)
    if not axes:
        raise Unreadable("it reduces over the batch too", "Name the axes to reduce over")
    if getattr(layer, "initial", None) is not None:
        raise Unreadable("it has an initial value", "Leave `initial` out")
    over = tuple(unbatched_axis(axis, len(call.shape)) for axis in axes)
    pool = GlobalAveragePool if call.kind == "ops.Mean" else GlobalMaxPool
    return call.add(pool(over, bool(layer.keepdims)))


def _axes(axis: Any) -> tuple[int, ...]:
    if axis is None:
        return ()
    return (axis,) if isinstance(axis, int) else tuple(axis)
