"""Operations that reduce over axes, or run along one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from spikewright.frontends.keras.arithmetic import negated, total, widened
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    array,
    reads,
    unbatched_axes,
    unbatched_axis,
)
from spikewright.graph.layers import (
    Activation,
    GlobalAveragePool,
    GlobalMaxPool,
    Interpolate,
    Layer,
    ScaleShift,
    Slice,
    Sum,
)

_REDUCTIONS: dict[str, Callable[..., Layer]] = {
    "Mean": GlobalAveragePool,
    "Sum": Sum,
    "Max": GlobalMaxPool,
    "Amax": GlobalMaxPool,
}


def _axes(call: Call) -> tuple[int, ...]:
    return unbatched_axes(call.layer.axis, len(call.shape))


@reads("ops.Mean", "ops.Sum", "ops.Max", "ops.Amax", "ops.Min", "ops.Amin")
def reduce(call: Call) -> Value:
    """Mean, sum and extrema over whole axes other than the batch."""
    layer, over = call.layer, _axes(call)
    if getattr(layer, "initial", None) is not None:
        raise Unreadable("it has an initial value", "Leave `initial` out")
    kind = call.kind.removeprefix("ops.")
    keepdims = bool(layer.keepdims)
    if kind in _REDUCTIONS:
        return call.value(_REDUCTIONS[kind](over, keepdims))
    turned = call.value(GlobalMaxPool(over, keepdims), negated(call, call.inputs[0]), part="max")
    return call.value(ScaleShift(scale=np.array(-1.0)), turned)


@reads("ops.Ptp")
def peak_to_peak(call: Call) -> Value:
    """The largest value minus the smallest."""
    (x,) = call.inputs
    pool = GlobalMaxPool(_axes(call), bool(call.layer.keepdims))
    most = call.value(pool, x, part="max")
    return total(call, most, call.value(pool, negated(call, x), part="max"))


@reads("ops.Average")
def weighted_mean(call: Call) -> Value:
    """A mean by constant weights along one axis."""
    weights = call.arguments.get("weights")
    if weights is None:
        return call.value(GlobalAveragePool(_axes(call)))
    over = _axes(call)
    if isinstance(weights, Value) or array(weights).ndim != 1 or len(over) != 1:
        raise Unreadable("its weights are no constant along one axis", "Multiply, then take sums")
    share = array(weights).astype(np.float64)
    n = call.shape[over[0]]
    matrix = (share / share.sum()).reshape(1, n)
    mean = call.value(Interpolate((matrix,), over), part="mean")
    return call.value(Sum(over), mean)


def variance(call: Call, x: Value, over: tuple[int, ...], keepdims: bool, part: str = "") -> Value:
    """The mean square of the deviations from the mean."""
    mean = call.value(GlobalAveragePool(over, True), x, part="mean")
    rest = widened(call, negated(call, mean), x.shape, "mean_everywhere")
    square = call.value(Activation("square"), total(call, x, rest, part="centred"), part="square")
    return call.value(GlobalAveragePool(over, keepdims), square, part=part)


@reads("ops.Var", "ops.Std")
def spread(call: Call) -> Value:
    """The variance (divided by n) or its root."""
    root = call.kind == "ops.Std"
    part = "variance" if root else ""
    made = variance(call, call.inputs[0], _axes(call), bool(call.layer.keepdims), part)
    return call.value(Activation("sqrt"), made) if root else made


@reads("ops.Moments")
def moments(call: Call) -> tuple[Value, Value]:
    """Mean and variance."""
    (x,) = call.inputs
    over, keepdims = unbatched_axes(call.layer.axes, len(x.shape)), bool(call.layer.keepdims)
    return call.value(GlobalAveragePool(over, keepdims)), variance(call, x, over, keepdims)


@reads("ops.Norm")
def norm(call: Call) -> Value:
    """The Euclidean length, or the sum or maximum of absolute values, of vectors."""
    order, over, keepdims = call.layer.ord, _axes(call), bool(call.layer.keepdims)
    if order in (None, "fro", 2) and (len(over) == 1 or order != 2):
        square = call.value(Activation("square"), part="square")
        return call.value(Activation("sqrt"), call.value(Sum(over, keepdims), square, part="sum"))
    if len(over) == 1 and order in (1, math.inf):
        size = call.value(Activation("abs"), part="abs")
        return call.value(
            Sum(over, keepdims) if order == 1 else GlobalMaxPool(over, keepdims), size
        )
    raise Unreadable(f"its order {order!r} has no form in the graph", "Use ord=2 along one axis")


@reads("ops.Logsumexp")
def log_sum_exp(call: Call) -> Value:
    """`x - log_softmax(x)`, which is the same at every place along the axis."""
    (x,) = call.inputs
    over = _axes(call)
    if len(over) != 1:
        raise Unreadable(f"it reduces over {len(over)} axes at once", "Reshape to one axis")
    first = Slice.along(x.shape, {over[0]: slice(0, 1)})
    shares = call.value(Activation("log_softmax", {"axis": over[0]}), x, part="log_softmax")
    share = negated(call, call.value(first, shares, part="first_share"))
    begin = call.value(first, x, part="first")
    if call.layer.keepdims:
        return total(call, begin, share)
    return call.value(Sum(over), total(call, begin, share, part="sum"))


@reads("ops.Cumsum")
def cumulative_sum(call: Call) -> Value:
    """Running sums along an axis."""
    if call.layer.axis is None:
        raise Unreadable("it runs over the batch too", "Name the axis")
    axis = unbatched_axis(call.layer.axis, len(call.shape))
    return call.value(Interpolate((np.tril(np.ones((call.shape[axis],) * 2)),), (axis,)))


@reads("ops.Diff")
def difference(call: Call) -> Value:
    """Differences of neighbours along an axis, `n` times over."""
    axis = unbatched_axis(call.layer.axis, len(call.shape))
    matrix: Any = np.diff(np.eye(call.shape[axis]), n=call.layer.n, axis=0)
    return call.value(Interpolate((matrix,), (axis,)))
