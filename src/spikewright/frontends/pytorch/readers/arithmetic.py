"""Sums, products, quotients, extrema, choices, and putting values side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikewright.frontends.pytorch.call import Call, to_array
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading import arithmetic
from spikewright.frontends.reading.attention import masked
from spikewright.frontends.reading.functions import length, log_of_sum, rounded
from spikewright.frontends.reading.reasons import JUMPS, PLACES
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.selection import stacked
from spikewright.frontends.reading.truth import are_whole, choice
from spikewright.frontends.reading.values import Value, common_shape, finite
from spikewright.graph.layers import Concatenate, Identity, UnitNormalization


@reads("aten.add.Tensor", "aten.add.Scalar")
def _add(call: Call) -> Value:
    if call.results.dtype == torch.bool:
        raise Unreadable("a sum of truth values is another", "Use torch.logical_or.")
    return combine(call, call["self"], 1, call["other"], call["alpha"])


@reads("aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor")
def _subtract(call: Call) -> Value:
    return combine(call, call["self"], 1, call["other"], -call["alpha"])


@reads("aten.rsub.Tensor", "aten.rsub.Scalar")
def _subtract_from(call: Call) -> Value:
    return combine(call, call["self"], -call["alpha"], call["other"], 1)


@reads("aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor")
def _multiply(call: Call) -> Value:
    return times(call, call["self"], call["other"])


def times(call: Call, x: Any, y: Any, part: str = "") -> Value:
    """`x y`, where at least one of them depends on the input."""
    names = [getattr(one, "name", None) for one in (x, y)]
    for sign, size in (names, names[::-1]):
        of_sign, of_size = call.notes.get(("sign", sign)), call.notes.get(("size", size))
        if of_sign is not None and of_sign == of_size:
            return call.add(Identity(), of_sign, part=part)
    first, second = call.operands(x, y)
    return arithmetic.product(call, first, second, part)


@reads("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor", "aten.divide.Tensor")
def _divide(call: Call) -> Value:
    return _quotient(call, call["self"], call["other"])


def _quotient(call: Call, x: Any, y: Any, part: str = "") -> Value:
    norm = call.notes.get(("norm", y.name)) if isinstance(y, Value) else None
    if norm is not None and norm[0] == x:
        return call.add(UnitNormalization(*norm[1:]), finite(x), part=part)
    first, second = call.operands(x, y)
    return arithmetic.quotient(call, first, second, part)


@reads("aten.addcmul.default", "aten.addcdiv.default")
def _add_product(call: Call) -> Value:
    first, second = call["tensor1"], call["tensor2"]
    multiplies = "addcmul" in call.target
    if not isinstance(first, Value) and not isinstance(second, Value):
        both = first * second if multiplies else first / second
        return combine(call, call["self"], 1, both, call["value"])
    made = times(call, first, second, "product") if multiplies else (
        _quotient(call, first, second, "quotient")
    )  # fmt: skip
    return combine(call, made, call["value"], call["self"], 1)


@reads("aten.floor_divide.default", "aten.div.Tensor_mode", "aten.div.Scalar_mode")
def _whole_quotient(call: Call) -> Value:
    """Quotients of whole numbers by constants, rounded down; of others without rounding alone."""
    mode = call.get("rounding_mode", "floor")
    if mode is None:
        return _quotient(call, call["self"], call["other"])
    x, divisor = call.operands(call["self"], call["other"])
    constant = not isinstance(divisor, Value) and are_whole(divisor) and bool((divisor > 0).all())
    if mode != "floor" or not constant or not isinstance(x, Value) or not are_whole(x):
        raise Unreadable(*JUMPS)
    middle = arithmetic.combined(call, (1.0, x), (1.0, np.array(0.5)), part="middle")
    return rounded(call, arithmetic.quotient(call, middle, divisor, "quotient"), "floor")


@reads("aten.hypot.default")
def _length(call: Call) -> Value:
    x, y = call.operands(call["self"], call["other"])
    return length(call, x, y)


@reads("aten.logaddexp.default")
def _log_of_sum(call: Call) -> Value:
    x, y = call.operands(call["self"], call["other"])
    return log_of_sum(call, x, y)


@reads("aten.nan_to_num.default")
def _as_numbers(call: Call) -> Value:
    """The value itself, and another number where a mask makes it minus infinity."""
    x = call["self"]
    if x.masked is None:
        return call.add(Identity(), x)
    least = call["neginf"]
    least = float(torch.finfo(call.dtype).min) if least is None else least
    return choice(call, ~x.masked, replace(x, masked=None), np.array(least))


def combine(call: Call, x: Any, a: float, y: Any, b: float, part: str = "") -> Value:
    """`a x + b y`, where at least one of them depends on the input."""
    first, second = call.operands(x, y)
    for mask, scores, factors in ((first, second, (a, b)), (second, first, (b, a))):
        if not isinstance(mask, Value) or not isinstance(scores, Value):
            continue
        if mask.seen is not None and factors == (1, 1):
            shape = common_shape(scores, mask)
            made = masked(call, call.expand(finite(scores), shape), mask)
            return replace(made, seen=call.expand(mask.seen, shape, "seen"))
    return arithmetic.combined(call, (a, first), (b, second), part=part)


@reads("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def _masked_fill(call: Call) -> Value:
    return _chosen(call, call["mask"], call["value"], call["self"])


@reads(
    "aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar",
)  # fmt: skip
def _where(call: Call) -> Value:
    return _chosen(call, call["condition"], call["self"], call["other"])


def _chosen(call: Call, condition: Any, yes: Any, no: Any) -> Value:
    """`yes` where a condition holds, else `no`."""
    return choice(call, *call.operands(condition, yes, no))


@reads("aten.index_fill.int_Scalar", "aten.index_fill.int_Tensor")
def _index_fill(call: Call) -> Value:
    """A number at constant places of an axis."""
    if isinstance(call["index"], Value):
        raise Unreadable(*PLACES)
    sizes = call.results.shape
    filled = torch.zeros(tuple(sizes), dtype=torch.bool)
    filled = filled.index_fill(call["dim"], call["index"].cpu(), True)
    return _chosen(call, filled, call["value"], call["self"])


@reads("aten.tril.default", "aten.triu.default")
def _triangle(call: Call) -> Value:
    """Zeros above or below a diagonal of the last two axes."""
    x = call.value("self")
    shape = [x.shape[call.axis(x, dim)] for dim in (-2, -1)]
    cut = torch.tril if "tril" in call.target else torch.triu
    return times(call, x, cut(torch.ones(shape), call["diagonal"]))


@reads("aten.maximum.default", "aten.minimum.default", "aten.max.other", "aten.min.other")
def _extremum(call: Call) -> Value:
    return extremum(call, "max" in call.target, call["self"], call["other"])


def extremum(call: Call, largest: bool, x: Any, y: Any, part: str = "") -> Value:
    """The larger or the smaller of two, where at least one depends on the input."""
    return arithmetic.extremum(call, largest, *call.operands(x, y), part=part)


@reads("aten.cat.default", "aten.concat.default", "aten.concatenate.default")
def _concatenate(call: Call) -> Value:
    first = _first(call)
    axis = call.axis(first, call["dim"])
    parts = [
        _beside(call, item, first, axis, str(index))
        for index, item in enumerate(call["tensors"])
        if isinstance(item, Value) or item.numel()
    ]
    return call.add(Concatenate(axis) if len(parts) > 1 else Identity(), *parts)


@reads("aten.stack.default")
def _stack(call: Call) -> Value:
    first = _first(call)
    dim = call["dim"] % (first.rank + 1)
    values = [
        _beside(call, item, first, None, f"{index}/constant")
        for index, item in enumerate(call["tensors"])
    ]
    lacking = first.rank - len(first.shape)
    return stacked(call, values, max(dim - lacking, 0))


def _first(call: Call) -> Value:
    return next(item for item in call["tensors"] if isinstance(item, Value))


def _beside(call: Call, item: Any, like: Value, axis: int | None, part: str) -> Value:
    """A value to join; a constant becomes one, of the other's extents but along `axis`."""
    if isinstance(item, Value):
        return finite(item)
    array = to_array(item).reshape(item.shape[like.rank - len(like.shape) :])
    extents = list(like.shape)
    if axis is not None:
        extents[axis] = array.shape[axis]
    return call.constant_like(np.broadcast_to(array, extents).copy(), like, part)
