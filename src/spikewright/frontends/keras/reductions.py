"""Operations that reduce over axes, or run along one."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.keras.registry import (
    KerasCall,
    Unreadable,
    Value,
    array,
    reads,
    unbatched_axes,
    unbatched_axis,
)
from spikewright.frontends.reading.arithmetic import combined
from spikewright.frontends.reading.reductions import (
    cumulative_sum,
    differences,
    product_over,
    reduced,
    variance,
)
from spikewright.graph.layers import GlobalAveragePool, Interpolate, Sum

_REDUCTIONS = {
    "Mean": "mean",
    "Sum": "sum",
    "Max": "max",
    "Amax": "max",
    "Min": "min",
    "Amin": "min",
    "Logsumexp": "log of sum of exp",
}


def _axes(call: KerasCall) -> tuple[int, ...]:
    return unbatched_axes(call.layer.axis, len(call.shape))


@reads(*(f"ops.{name}" for name in _REDUCTIONS), "ops.Prod")
def reduce(call: KerasCall) -> Value:
    """Sum, mean, extrema, products and the like over whole axes other than the batch."""
    layer, (x,), axes = call.layer, call.inputs, _axes(call)
    if getattr(layer, "initial", None) is not None:
        raise Unreadable("it has an initial value", "Leave `initial` out")
    if call.kind == "ops.Prod":
        return product_over(call, x, axes, bool(layer.keepdims))
    kind = _REDUCTIONS[call.kind.removeprefix("ops.")]
    return reduced(call, x, kind, axes, bool(layer.keepdims))


@reads("ops.Ptp")
def peak_to_peak(call: KerasCall) -> Value:
    """The largest value minus the smallest."""
    (x,) = call.inputs
    most, least = (
        reduced(call, x, kind, _axes(call), bool(call.layer.keepdims), kind)
        for kind in ("max", "min")
    )
    return combined(call, (1.0, most), (-1.0, least))


@reads("ops.Average")
def weighted_mean(call: KerasCall) -> Value:
    """A mean by constant weights along one axis."""
    weights = call.arguments.get("weights")
    if weights is None:
        return call.add(GlobalAveragePool(_axes(call)))
    over = _axes(call)
    if isinstance(weights, Value) or array(weights).ndim != 1 or len(over) != 1:
        raise Unreadable("its weights are no constant along one axis", "Multiply, then take sums")
    share = array(weights).astype(np.float64)
    n = call.shape[over[0]]
    matrix = (share / share.sum()).reshape(1, n)
    mean = call.add(Interpolate((matrix,), over), part="mean")
    return call.add(Sum(over), mean)


@reads("ops.Var", "ops.Std")
def spread(call: KerasCall) -> Value:
    """The variance (divided by n) or its root."""
    root, keep = call.kind == "ops.Std", bool(call.layer.keepdims)
    return variance(call, call.inputs[0], _axes(call), keep, root=root)


@reads("ops.Moments")
def moments(call: KerasCall) -> tuple[Value, Value]:
    """Mean and variance."""
    (x,) = call.inputs
    axes, keep = unbatched_axes(call.layer.axes, len(x.shape)), bool(call.layer.keepdims)
    return reduced(call, x, "mean", axes, keep), variance(call, x, axes, keep)


@reads("ops.Norm")
def norm(call: KerasCall) -> Value:
    """The Euclidean length, or the sum or maximum of absolute values, of vectors."""
    order, axes = call.layer.ord, _axes(call)
    euclidean = order in (None, "fro", 2) and (len(axes) == 1 or order != 2)
    if not euclidean and not (len(axes) == 1 and order in (1, math.inf)):
        raise Unreadable(
            f"its order {order!r} has no form in the graph", "Use ord=2 along one axis"
        )
    kind = "norm 2" if euclidean else f"norm {order}"
    return reduced(call, call.inputs[0], kind, axes, bool(call.layer.keepdims))


@reads("ops.Cumsum")
def running_sum(call: KerasCall) -> Value:
    """Running sums along an axis."""
    if call.layer.axis is None:
        raise Unreadable("it runs over the batch too", "Name the axis")
    axis = unbatched_axis(call.layer.axis, len(call.shape))
    return cumulative_sum(call, call.inputs[0], axis)


@reads("ops.Diff")
def difference(call: KerasCall) -> Value:
    """Differences of neighbours along an axis, `n` times over."""
    axis = unbatched_axis(call.layer.axis, len(call.shape))
    return differences(call, call.inputs[0], axis, call.layer.n)
