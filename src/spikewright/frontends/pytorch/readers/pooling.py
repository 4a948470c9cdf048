"""Pooling over windows and over whole axes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.readers.normalization import reduced
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import (
    Activation,
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    Interpolate,
    Layer,
    MaxPool,
    ScaleShift,
    Sum,
    Take,
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
    rank = _rank(call)
    layer = MaxPool(*_windows(call), call.numbers("dilation", rank), bool(call["ceil_mode"]))
    x, pads = call.notes.get(("surrounded", getattr(call["self"], "name", None)), (None, ()))
    if x is None or layer.ceil_mode or any(map(any, pads[:-rank])):
        value = _pooled(call, layer, call.value("self"))
    else:  # the values around are padding of the windows
        both = zip(layer.padding, pads[-rank:], strict=True)
        padding = tuple((a + c, b + d) for (a, b), (c, d) in both)
        value = _pooled(call, replace(layer, padding=padding), x)
    return (value, None) if "with_indices" in call.target else value


def _pooled(call: Call, layer: MaxPool | AveragePool, x: Value) -> Value:
    """Pooling; images that are merged with the batch have one more axis, not pooled."""
    if not x.layout.one_beside or len(layer.size) > 2:
        return call.add(layer, call.first(x))
    order = (1, 0, *range(2, len(x.known_shape)))
    wider: dict[str, Any] = {
        "size": (1, *layer.size),
        "stride": (1, *layer.stride),
        "padding": ((0, 0), *layer.padding),
    }
    if isinstance(layer, MaxPool):
        wider["dilation"] = (1, *layer.dilation)
    return call.around(x, order, replace(layer, **wider))


@reads("aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default")
def _average_pool(call: Call) -> Value:
    divisor = call.get("divisor_override")
    include = bool(call["count_include_pad"]) or divisor is not None
    pool = AveragePool(*_windows(call), bool(call["ceil_mode"]), include)
    if divisor is None:
        return _pooled(call, pool, call.value("self"))
    x = call.sample("self")
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
    x = call.value("self")
    axes = tuple(call.axis(x, dim) for dim in range(-rank, 0))
    output = tuple(sizes_of(call.results)[-rank:])
    if math.prod(output) == 1:
        return call.add(GlobalAveragePool(axes, keepdims=True), x)
    if len(x.known_shape) == rank + 1:
        return call.add(AdaptiveAveragePool(output), x)
    matrices = AdaptiveAveragePool(output).matrices(tuple(x.known_shape[axis] for axis in axes))
    return call.add(Interpolate(tuple(matrices), axes), x)


@reads(
    "aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
)  # fmt: skip
def _adaptive_max_pool(call: Call) -> tuple[Value | None, ...]:
    rank = _rank(call)
    x = call.value("self")
    axes = tuple(call.axis(x, dim) for dim in range(-rank, 0))
    output = tuple(sizes_of(call.results[0])[-rank:])
    if math.prod(output) == 1:
        return call.add(GlobalMaxPool(axes, keepdims=True), x), None
    steps: list[tuple[str, Layer | None]] = []
    for axis, outputs in zip(axes, output, strict=True):
        windows = _adaptive_windows(x.known_shape[axis], outputs)
        steps += [
            (f"axis{axis}/windows", Take(windows, axis)),
            (f"axis{axis}/max", GlobalMaxPool((axis + 1,))),
        ]
    return call.chain(x, *steps), None


def _adaptive_windows(extent: int, outputs: int) -> NDArray:
    """Positions in every window `(outputs, longest)`; short ones repeat their last one."""
    ranges = [range(i * extent // outputs, -(-(i + 1) * extent // outputs)) for i in range(outputs)]
    longest = max(map(len, ranges))
    return np.array([[*window] + [window[-1]] * (longest - len(window)) for window in ranges])


@reads("aten.mean.dim", "aten.mean.default")
def _mean(call: Call) -> Value:
    x, keep = call.value("self"), bool(call.get("keepdim"))
    axes = reduced(call, x, call.get("dim"))
    return call.reduce(x, axes, keep, ("", GlobalAveragePool(axes, keep)))


@reads("aten.sum.dim_IntList", "aten.sum.default")
def _sum(call: Call) -> Value:
    x, keep = call.value("self"), bool(call.get("keepdim"))
    axes = reduced(call, x, call.get("dim"))
    return call.reduce(x, axes, keep, ("", Sum(axes, keep)))


@reads("aten.amax.default", "aten.max.default")
def _maximum(call: Call) -> Value:
    x, keep = call.value("self"), bool(call.get("keepdim"))
    axes = reduced(call, x, call.get("dim"))
    return call.reduce(x, axes, keep, ("", GlobalMaxPool(axes, keep)))


@reads("aten.amin.default", "aten.min.default")
def _minimum(call: Call) -> Value:
    x, keep = call.value("self"), bool(call.get("keepdim"))
    axes = reduced(call, x, call.get("dim"))
    turn = ScaleShift(np.asarray(-1.0))
    steps = (("negative", turn), ("max", GlobalMaxPool(axes, keep)), ("", turn))
    return call.reduce(x, axes, keep, *steps)


@reads("aten.max.dim")
def _maximum_and_index(call: Call) -> tuple[Value | None, ...]:
    return _maximum(call), None


@reads("aten.min.dim")
def _minimum_and_index(call: Call) -> tuple[Value | None, ...]:
    return _minimum(call), None


@reads("aten.cumsum.default")
def _cumulative_sum(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis(x, call["dim"])
    n = x.known_shape[axis]
    return call.add(Interpolate((np.tril(np.ones((n, n))),), (axis,)), x)


@reads("aten.logsumexp.default")
def _log_sum(call: Call) -> Value:
    """`log sum exp`: a value less its log-softmax, which is the same everywhere along the axis."""
    x, keep = call.value("self"), bool(call["keepdim"])
    axes = reduced(call, x, call["dim"])
    if len(axes) > 1:
        raise Cannot("it sums over several axes", "Flatten them before.")
    soft = call.add(Activation("log_softmax", {"axis": axes[0]}), x, part="log_softmax")
    away = call.add(ScaleShift(np.asarray(-1.0)), soft, part="away")
    total = call.plus(x, away, "total")
    return call.reduce(total, axes, keep, ("", GlobalAveragePool(axes, keep)))
