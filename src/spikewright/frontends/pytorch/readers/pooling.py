"""Pooling over windows and over whole axes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.readers.arithmetic import combine
from spikewright.frontends.pytorch.readers.normalization import ORDERS, over
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.reductions import (
    cumulative_sum,
    differences,
    product_over,
    reduced,
)
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Value
from spikewright.frontends.reading.windows import (
    adaptive_average,
    adaptive_maximum,
    windowed,
)
from spikewright.graph.layers import (
    AveragePool,
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
    rank = _rank(call)
    layer = MaxPool(*_windows(call), call.numbers("dilation", rank), bool(call["ceil_mode"]))
    x, pads = call.notes.get(("surrounded", getattr(call["self"], "name", None)), (None, ()))
    if x is None or layer.ceil_mode or any(map(any, pads[:-rank])):
        value = windowed(call, layer, call.windows("self", rank))
    else:  # the values around are padding of the windows
        both = zip(layer.padding, pads[-rank:], strict=True)
        padding = tuple((a + c, b + d) for (a, b), (c, d) in both)
        value = windowed(call, replace(layer, padding=padding), x)
    return (value, None) if "with_indices" in call.target else value


@reads("aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default")
def _average_pool(call: Call) -> Value:
    divisor, rank = call.get("divisor_override"), _rank(call)
    include = bool(call["count_include_pad"]) or divisor is not None
    pool = AveragePool(*_windows(call), bool(call["ceil_mode"]), include)
    if divisor is None:
        return windowed(call, pool, call.windows("self", rank))
    x = call.windows("self", rank)
    counts = pool.divisors(x.shape[-rank:]) / divisor  # means back to sums, then the divisor
    scale = np.asarray(counts.flat[0]) if np.ptp(counts) == 0 else counts[None]
    return call.add(ScaleShift(scale), windowed(call, pool, x, "average"))


@reads(
    "aten.adaptive_avg_pool1d.default", "aten.adaptive_avg_pool2d.default",
    "aten.adaptive_avg_pool3d.default", "aten._adaptive_avg_pool2d.default",
    "aten._adaptive_avg_pool3d.default",
)  # fmt: skip
def _adaptive_average_pool(call: Call) -> Value:
    return adaptive_average(call, *_adaptive(call, call.results))


def _adaptive(call: Call, result: Any) -> tuple[Value, tuple[int, ...], tuple[int, ...]]:
    """The value, its spatial axes, and their extents in the result."""
    rank, x = _rank(call), call.value("self")
    axes = tuple(call.axis(x, dim) for dim in range(-rank, 0))
    return x, axes, tuple(sizes_of(result)[-rank:])


@reads(
    "aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
)  # fmt: skip
def _adaptive_max_pool(call: Call) -> tuple[Value | None, ...]:
    return adaptive_maximum(call, *_adaptive(call, call.results[0])), None


_REDUCTIONS = {
    "mean": "mean", "sum": "sum", "amax": "max", "max": "max", "amin": "min", "min": "min",
    "logsumexp": "log of sum of exp",
}  # fmt: skip


@reads(
    "aten.mean.dim", "aten.mean.default", "aten.sum.dim_IntList", "aten.sum.default",
    "aten.amax.default", "aten.max.default", "aten.max.dim", "aten.amin.default",
    "aten.min.default", "aten.min.dim", "aten.logsumexp.default",
)  # fmt: skip
def _reduction(call: Call) -> Value | tuple[Value | None, ...]:
    x, keep = call.value("self"), bool(call.get("keepdim"))
    name, axes = call.target.split(".")[1], over(call, x)
    value = reduced(call, x, _REDUCTIONS[name], axes, keep)
    if name in ("amax", "max") and keep:
        call.notes["largest", value.name] = x.name
    return (value, None) if isinstance(call.results, tuple | list) else value


@reads("aten.cdist.default")
def _distances(call: Call) -> Value:
    """Norms of the differences of all rows of one and all rows of another."""
    order = float(call["p"])
    if order not in ORDERS:
        options = "Use order 1, 2 or infinity."
        raise Unreadable(f"distances of order {order} have no reading", options)
    first, second = (
        call.view(x, (*x_sizes[:at], 1, *x_sizes[at:]), name) if isinstance(x, Value)
        else x.unsqueeze(at - len(x_sizes) - 1)
        for name, step in (("x1", 1), ("x2", 2))
        for x in [call[name]]
        for x_sizes in [sizes_of_operand(x)]
        for at in [len(x_sizes) - step]
    )  # fmt: skip
    difference = combine(call, first, 1, second, -1, "difference")
    return reduced(call, difference, ORDERS[order], (len(difference.shape) - 1,), False)


def sizes_of_operand(x: Any) -> tuple[int, ...]:
    """The program's extents of a value or a constant."""
    if isinstance(x, Value):
        return (*(1,) * (x.rank - len(x.shape)), *x.shape)
    return tuple(x.shape)


@reads("aten.prod.dim_int")
def _product(call: Call) -> Value:
    x = call.value("self")
    return product_over(call, x, over(call, x), bool(call.get("keepdim")))


@reads("aten.diff.default")
def _differences(call: Call) -> Value:
    x = call.value("self")
    if call["prepend"] is not None or call["append"] is not None:
        raise Unreadable("it puts values before or behind its own", "Use torch.cat before it.")
    return differences(call, x, call.axis(x, call["dim"]), call["n"])


@reads("aten.cumsum.default")
def _cumulative_sum(call: Call) -> Value:
    x = call.value("self")
    return cumulative_sum(call, x, call.axis(x, call["dim"]))
