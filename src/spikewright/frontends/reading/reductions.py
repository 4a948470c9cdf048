"""Reductions over whole axes, sums along one, and normalisation by statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.arithmetic import combined, function
from spikewright.frontends.reading.call import BATCH_FIRST, Call, Unreadable, Value, finite
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Activation,
    BatchNormalization,
    Concatenate,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    Identity,
    Interpolate,
    Layer,
    LayerNormalization,
    Multiply,
    Reshape,
    ScaleShift,
    Slice,
    Sum,
)

_LARGEST = 2**24  # entries of a matrix: a model file must not exhaust the memory

_REDUCTIONS: Mapping[str, tuple[str, type[Layer], str]] = {
    "sum": ("", Sum, ""),
    "mean": ("", GlobalAveragePool, ""),
    "max": ("", GlobalMaxPool, ""),
    "min": ("negative", GlobalMaxPool, "negative"),
    "norm 1": ("abs", Sum, ""),
    "norm 2": ("square", Sum, "sqrt"),
    "norm inf": ("abs", GlobalMaxPool, ""),
    "sum of squares": ("square", Sum, ""),
    "log of sum": ("", Sum, "log"),
    "log of sum of exp": ("exp", Sum, "log"),
}
"""The function before, the reduction, and the function after."""


def reduced(
    call: Call, x: Value, kind: str, axes: Sequence[int], keep: bool, part: str = ""
) -> Value:
    """A reduction over axes beside the batch, which vanish unless they are kept."""
    if kind == "log of sum of exp" and len(axes) == 1:
        return _log_sum_exp(call, x, axes[0], keep, part)
    before, layer, after = _REDUCTIONS[kind]
    over = ("reduced", layer(tuple(axes), keep))  # type: ignore[call-arg]
    return call.chain(finite(x), *_named(before), over, *_named(after), part=part)


def without_reduction(call: Call, x: Value, kind: str) -> Value:
    """The functions around a reduction over no axes at all."""
    before, _, after = _REDUCTIONS[kind]
    return call.chain(finite(x), *_named(before), *_named(after))


def _named(name: str) -> Steps:
    return tuple((name, layer) for _, layer in function(name)) if name else ()


def _log_sum_exp(call: Call, x: Value, axis: int, keep: bool, part: str) -> Value:
    """`x - log_softmax(x)`, which is the same at every place along the axis."""
    place = f"{part}/" if part else ""
    first = Slice.along(x.shape, {axis: slice(0, 1)})
    shares = call.add(Activation("log_softmax", {"axis": axis}), x, part=f"{place}log_softmax")
    share = call.add(first, shares, part=f"{place}first_share")
    begin = call.add(first, x, part=f"{place}first")
    if keep:
        return combined(call, (1.0, begin), (-1.0, share), part=part)
    both = combined(call, (1.0, begin), (-1.0, share), part=f"{place}sum")
    return call.add(Sum((axis,)), both, part=part)


def variance(
    call: Call,
    x: Value,
    axes: Sequence[int],
    keep: bool,
    correction: float = 0,
    root: bool = False,
    part: str = "",
) -> Value:
    """The sum of squares of the deviations from the mean over `n - correction`, or its root."""
    n = math.prod(x.shape[axis] for axis in axes)
    if n <= correction:
        raise Unreadable(f"the variance of {n} values is not a number")
    place, over = f"{part}/" if part else "", tuple(axes)
    mean = call.add(GlobalAveragePool(over, True), finite(x), part=f"{place}mean")
    centred = combined(call, (1.0, x), (-1.0, mean), part=f"{place}centred")
    return call.chain(
        centred,
        ("square", Activation("square")),
        ("average", GlobalAveragePool(over, keep)),
        ("corrected", ScaleShift(np.array(n / (n - correction))) if correction else None),
        ("root", Activation("sqrt") if root else None),
        part=part,
    )


def differences(call: Call, x: Value, axis: int, times: int) -> Value:
    """Differences of neighbours along an axis, several times over."""
    matrix = np.diff(np.eye(x.shape[axis]), n=times, axis=0)
    return call.add(Interpolate((matrix,), (axis,)), finite(x))


def cumulative_sum(
    call: Call,
    x: Value,
    axis: int,
    exclusive: bool = False,
    reverse: bool = False,
    part: str = "",
) -> Value:
    """Sums of all values up to each one along an axis, or from each one on."""
    n = x.shape[axis]
    if n * n > _LARGEST:
        raise Unreadable(f"it sums along {n} values, for which the matrix is too large")
    matrix = np.tri(n, k=-1 if exclusive else 0)
    if reverse:
        matrix = matrix[::-1, ::-1]
    return call.add(Interpolate((np.ascontiguousarray(matrix),), (axis,)), finite(x), part=part)


def product_over(call: Call, x: Value, axes: Sequence[int], keep: bool) -> Value:
    """The product of all values along axes beside the batch: of two halves, and so on."""
    made = finite(x)
    for axis in axes:
        while made.shape[axis] > 1:
            made = _halved(call, made, axis)
    if keep or not axes:
        return call.add(Identity(), made)
    shape = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    return call.add(Reshape(shape), made)


def _halved(call: Call, x: Value, axis: int) -> Value:
    """The first values along an axis times as many others, beside one that may be left."""
    half = x.shape[axis] // 2

    def factors(start: int, stop: int) -> Value:
        return call.add(Slice.along(x.shape, {axis: slice(start, stop)}), x, part="factors")

    made = call.add(Multiply(), factors(0, half), factors(half, 2 * half), part="product")
    if 2 * half == x.shape[axis]:
        return made
    return call.add(Concatenate(axis), made, factors(2 * half, x.shape[axis]), part="products")


def by_statistics(
    call: Call,
    x: Value,
    axis: int,
    statistics: tuple[NDArray, NDArray],
    epsilon: float,
    scale: NDArray | None = None,
    shift: NDArray | None = None,
) -> Value:
    """`scale (x - mean) / sqrt(variance + epsilon) + shift` along an axis of channels.

    `statistics` are the mean and the variance.
    """
    mean, variance = statistics
    layer = BatchNormalization(
        np.ones_like(mean) if scale is None else scale,
        np.zeros_like(mean) if shift is None else shift,
        mean,
        variance,
        float(epsilon),
        axis,
    )
    return call.add(layer, finite(x))


def by_groups(
    call: Call,
    x: Value,
    groups: int,
    axis: int,
    epsilon: float,
    scale: NDArray | None = None,
    shift: NDArray | None = None,
) -> Value:
    """Groups of channels normalised, of one image or each of several.

    As many groups as channels are instances.
    """
    if x.layout is BATCH_FIRST or axis != 1:
        return call.add(GroupNormalization(groups, axis, float(epsilon), scale, shift), finite(x))
    trailing = (1,) * (len(x.shape) - 1 - axis)
    weights = [None if p is None else p.reshape(-1, *trailing) for p in (scale, shift)]
    if groups in (1, x.shape[axis]):
        axes = tuple(range(axis if groups == 1 else axis + 1, len(x.shape)))
        return call.add(LayerNormalization(axes, float(epsilon), *weights), finite(x))
    return call.chain(
        finite(x),
        ("groups", Reshape((*x.shape[:axis], groups, math.prod(x.shape[axis:]) // groups))),
        ("normalised", LayerNormalization((axis + 1,), float(epsilon))),
        ("", Reshape(x.shape)),
        ("scaled", None if weights == [None, None] else ScaleShift(*weights)),
    )
