"""Pooling over windows and over whole axes."""

from __future__ import annotations

import math
import re

import numpy as np

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import (
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
    ScaleShift,
)

_Pairs = tuple[tuple[int, int], ...]


def _rank(call: Call) -> int:
    """The number of spatial axes, from the operator's name."""
    return int(re.findall(r"([123])d", call.target)[0])


def _windows(call: Call) -> tuple[tuple[int, ...], tuple[int, ...], _Pairs]:
    """Size, stride and padding."""
    rank = _rank(call)
    size = call.numbers("kernel_size", rank)
    stride = call.numbers("stride", rank) if call["stride"] else size
    return size, stride, tuple((n, n) for n in call.numbers("padding", rank))


@reads(
    "aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool3d.default",
    "aten.max_pool1d_with_indices.default", "aten.max_pool2d_with_indices.default",
    "aten.max_pool3d_with_indices.default",
)  # fmt: skip
def _max_pool(call: Call) -> Value | tuple[Value | None, ...]:
    dilation = call.numbers("dilation", _rank(call))
    layer = MaxPool(*_windows(call), dilation, bool(call["ceil_mode"]))
    value = call.add(layer, call.value("self"))
    return (value, None) if "with_indices" in call.target else value


@reads("aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default")
def _average_pool(call: Call) -> Value:
    x = call.value("self")
    divisor = call.get("divisor_override")
    include = bool(call["count_include_pad"]) or divisor is not None
    pool = AveragePool(*_windows(call), bool(call["ceil_mode"]), include)
    if divisor is None:
        return call.add(pool, x)
    counts = pool.divisors(x.known_shape[1:]) / divisor  # means back to sums, then the divisor
    scale = np.asarray(counts.flat[0]) if np.ptp(counts) == 0 else counts[None]
    return call.chain(x, ("average", pool), ("divisor", ScaleShift(scale)))


@reads(
    "aten.adaptive_avg_pool1d.default", "aten.adaptive_avg_pool2d.default",
    "aten.adaptive_avg_pool3d.default", "aten._adaptive_avg_pool2d.default",
    "aten._adaptive_avg_pool3d.default",
)  # fmt: skip
def _adaptive_average_pool(call: Call) -> Value:
    rank = _rank(call)
    output = tuple(call.shape_of(call.results)[-rank:])
    if math.prod(output) == 1:
        return call.add(GlobalAveragePool(_last(rank), keepdims=True), call.value("self"))
    return call.add(AdaptiveAveragePool(output), call.value("self"))


@reads(
    "aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
)  # fmt: skip
def _adaptive_max_pool(call: Call) -> tuple[Value | None, ...]:
    rank = _rank(call)
    output = tuple(call.shape_of(call.results[0])[-rank:])
    if math.prod(output) != 1:
        raise Cannot(
            f"adaptive maximum pooling to {output} has windows of several sizes",
            "Use MaxPool with a fixed window, or an output size of 1.",
        )
    return call.add(GlobalMaxPool(_last(rank), keepdims=True), call.value("self")), None


def _last(rank: int) -> tuple[int, ...]:
    """The spatial axes of an unbatched channels-first value, counted from the front."""
    return tuple(range(1, rank + 1))


def _axes(call: Call, x: Value) -> tuple[int, ...]:
    dims = call.get("dim")
    dims = [dims] if isinstance(dims, int) else dims or range(x.rank)
    return tuple(sorted({call.axis(x, dim) for dim in dims}))


@reads("aten.mean.dim", "aten.mean.default")
def _mean(call: Call) -> Value:
    x = call.value("self")
    return call.add(GlobalAveragePool(_axes(call, x), bool(call.get("keepdim"))), x)


@reads("aten.sum.dim_IntList", "aten.sum.default")
def _sum(call: Call) -> Value:
    x = call.value("self")
    axes = _axes(call, x)
    terms = math.prod(x.known_shape[axis] for axis in axes)
    return call.chain(
        x,
        ("mean", GlobalAveragePool(axes, bool(call.get("keepdim")))),
        ("count", ScaleShift(np.asarray(float(terms)))),
    )


@reads("aten.amax.default")
def _maximum(call: Call) -> Value:
    x = call.value("self")
    return call.add(GlobalMaxPool(_axes(call, x), bool(call["keepdim"])), x)


@reads("aten.max.dim")
def _maximum_and_index(call: Call) -> tuple[Value | None, ...]:
    return _maximum(call), None
