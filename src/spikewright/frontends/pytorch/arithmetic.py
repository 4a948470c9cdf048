"""Sums, products, quotients, comparisons, choices, and putting values side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikewright.frontends.pytorch.reductions import over
from spikewright.frontends.pytorch.registry import TorchCall, reads, to_array, unsupported_reason
from spikewright.frontends.reading import arithmetic
from spikewright.frontends.reading.arithmetic import rounded
from spikewright.frontends.reading.call import (
    JUMPS,
    PLACES,
    UnsupportedOp,
    Value,
    common_shape,
    finite,
)
from spikewright.frontends.reading.products import masked
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.selection import stacked
from spikewright.frontends.reading.truth import (
    BINARY,
    NOT,
    are_whole,
    choice,
    equal,
    greater,
    truth_of,
)
from spikewright.graph.layers import Concatenate, Identity, UnitNormalization


@reads("aten.add.Tensor", "aten.add.Scalar")
def _add(call: TorchCall) -> Value:
    if call.results.dtype == torch.bool:
        raise UnsupportedOp("a sum of truth values is another", "Use torch.logical_or.")
    return combine(call, call["self"], 1, call["other"], call["alpha"])


@reads("aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor")
def _subtract(call: TorchCall) -> Value:
    return combine(call, call["self"], 1, call["other"], -call["alpha"])


@reads("aten.rsub.Tensor", "aten.rsub.Scalar")
def _subtract_from(call: TorchCall) -> Value:
    return combine(call, call["self"], -call["alpha"], call["other"], 1)


@reads("aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor")
def _multiply(call: TorchCall) -> Value:
    return times(call, call["self"], call["other"])


def times(call: TorchCall, x: Any, y: Any) -> Value:
    """`x y`, where at least one of them depends on the input."""
    names = [getattr(one, "name", None) for one in (x, y)]
    for sign, size in (names, names[::-1]):
        of_sign, of_size = call.notes.get(("sign", sign)), call.notes.get(("size", size))
        if of_sign is not None and of_sign == of_size:
            return call.add(Identity(), of_sign)
    first, second = call.operands(x, y)
    return arithmetic.product(call, first, second)


@reads("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor", "aten.divide.Tensor")
def _divide(call: TorchCall) -> Value:
    return _quotient(call, call["self"], call["other"])


def _quotient(call: TorchCall, x: Any, y: Any) -> Value:
    norm = call.notes.get(("norm", y.name)) if isinstance(y, Value) else None
    if norm is not None and norm[0] == x:
        return call.add(UnitNormalization(*norm[1:]), finite(x))
    first, second = call.operands(x, y)
    return arithmetic.quotient(call, first, second)


@reads("aten.addcmul.default", "aten.addcdiv.default")
def _add_product(call: TorchCall) -> Value:
    first, second = call["tensor1"], call["tensor2"]
    multiplies = "addcmul" in call.target
    if not isinstance(first, Value) and not isinstance(second, Value):
        both = first * second if multiplies else first / second
        return combine(call, call["self"], 1, both, call["value"])
    made = times(call.inside("product"), first, second) if multiplies else (
        _quotient(call.inside("quotient"), first, second)
    )  # fmt: skip
    return combine(call, made, call["value"], call["self"], 1)


@reads("aten.floor_divide.default", "aten.div.Tensor_mode", "aten.div.Scalar_mode")
def _whole_quotient(call: TorchCall) -> Value:
    """Quotients of whole numbers by constants, rounded down; of others without rounding alone."""
    mode = call.get("rounding_mode", "floor")
    if mode is None:
        return _quotient(call, call["self"], call["other"])
    x, divisor = call.operands(call["self"], call["other"])
    constant = not isinstance(divisor, Value) and are_whole(divisor) and bool((divisor > 0).all())
    if mode != "floor" or not constant or not isinstance(x, Value) or not are_whole(x):
        raise UnsupportedOp(*JUMPS)
    middle = arithmetic.combined(call.inside("middle"), (1.0, x), (1.0, np.array(0.5)))
    return rounded(call, arithmetic.quotient(call.inside("quotient"), middle, divisor), "floor")


@reads("aten.nan_to_num.default")
def _as_numbers(call: TorchCall) -> Value:
    """The value itself, and another number where a mask makes it minus infinity."""
    x = call["self"]
    if x.masked is None:
        return call.add(Identity(), x)
    least = call["neginf"]
    least = float(torch.finfo(call.dtype).min) if least is None else least
    return choice(call, ~x.masked, replace(x, masked=None), np.array(least))


def combine(call: TorchCall, x: Any, a: float, y: Any, b: float) -> Value:
    """`a x + b y`, where at least one of them depends on the input."""
    first, second = call.operands(x, y)
    for mask, scores, factors in ((first, second, (a, b)), (second, first, (b, a))):
        if not isinstance(mask, Value) or not isinstance(scores, Value):
            continue
        if mask.seen is not None and factors == (1, 1):
            shape = common_shape(scores, mask)
            made = masked(call, call.expand(finite(scores), shape), mask)
            return replace(made, seen=call.expand(mask.seen, shape, "seen"))
    return arithmetic.combined(call, (a, first), (b, second))


@reads("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def _masked_fill(call: TorchCall) -> Value:
    return _chosen(call, call["mask"], call["value"], call["self"])


@reads(
    "aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar",
)  # fmt: skip
def _where(call: TorchCall) -> Value:
    return _chosen(call, call["condition"], call["self"], call["other"])


def _chosen(call: TorchCall, condition: Any, yes: Any, no: Any) -> Value:
    """`yes` where a condition holds, else `no`."""
    return choice(call, *call.operands(condition, yes, no))


@reads("aten.index_fill.int_Scalar", "aten.index_fill.int_Tensor")
def _index_fill(call: TorchCall) -> Value:
    """A number at constant places of an axis."""
    if isinstance(call["index"], Value):
        raise UnsupportedOp(*PLACES)
    sizes = call.results.shape
    filled = torch.zeros(tuple(sizes), dtype=torch.bool)
    filled = filled.index_fill(call["dim"], call["index"].cpu(), True)
    return _chosen(call, filled, call["value"], call["self"])


@reads("aten.tril.default", "aten.triu.default")
def _triangle(call: TorchCall) -> Value:
    """Zeros above or below a diagonal of the last two axes."""
    x = call.value("self")
    shape = [x.shape[call.axis(x, dim)] for dim in (-2, -1)]
    cut = torch.tril if "tril" in call.target else torch.triu
    return times(call, x, cut(torch.ones(shape), call["diagonal"]))


def extremum(call: TorchCall, largest: bool, x: Any, y: Any) -> Value:
    """The larger or the smaller of two, where at least one depends on the input."""
    return arithmetic.extremum(call, largest, *call.operands(x, y))


@reads("aten.cat.default", "aten.concat.default", "aten.concatenate.default")
def _concatenate(call: TorchCall) -> Value:
    first = _first(call)
    axis = call.axis(first, call["dim"])
    parts = [
        _beside(call, item, first, axis, str(index))
        for index, item in enumerate(call["tensors"])
        if isinstance(item, Value) or item.numel()
    ]
    return call.add(Concatenate(axis) if len(parts) > 1 else Identity(), *parts)


@reads("aten.stack.default")
def _stack(call: TorchCall) -> Value:
    first = _first(call)
    dim = call["dim"] % (first.rank + 1)
    values = [
        _beside(call, item, first, None, f"{index}/constant")
        for index, item in enumerate(call["tensors"])
    ]
    lacking = first.rank - len(first.shape)
    return stacked(call, values, max(dim - lacking, 0))


def _first(call: TorchCall) -> Value:
    return next(item for item in call["tensors"] if isinstance(item, Value))


def _beside(call: TorchCall, item: Any, like: Value, axis: int | None, part: str) -> Value:
    """A value to join; a constant becomes one, of the other's extents but along `axis`."""
    if isinstance(item, Value):
        return finite(item)
    array = to_array(item).reshape(item.shape[like.rank - len(like.shape) :])
    extents = list(like.shape)
    if axis is not None:
        extents[axis] = array.shape[axis]
    return call.constant_like(np.broadcast_to(array, extents).copy(), like, part)


_BINARY = {
    **dict.fromkeys(("gt.Scalar", "gt.Tensor"), "greater"),
    **dict.fromkeys(("ge.Scalar", "ge.Tensor"), "greater or equal"),
    **dict.fromkeys(("lt.Scalar", "lt.Tensor"), "less"),
    **dict.fromkeys(("le.Scalar", "le.Tensor"), "less or equal"),
    **dict.fromkeys(("maximum.default", "max.other"), "maximum"),
    **dict.fromkeys(("minimum.default", "min.other"), "minimum"),
    "hypot.default": "length",
    "logaddexp.default": "log of sum",
}


@reads(*(f"aten.{name}" for name in _BINARY))
def _binary(call: TorchCall) -> Value:
    """An operation on two values, or a value and a constant."""
    first, second = call.operands(call["self"], call["other"])
    return BINARY[_BINARY[call.target.removeprefix("aten.")]](call, first, second)


@reads("aten.eq.Scalar", "aten.eq.Tensor", "aten.ne.Scalar", "aten.ne.Tensor")
def _equality(call: TorchCall) -> Value:
    """Of whole numbers and truth values."""
    x, y = call.operands(call["self"], call["other"])
    for value, best in ((x, y), (y, x)):
        if not isinstance(value, Value) or not isinstance(best, Value):
            continue
        if call.notes.get(("largest", best.name)) == value.name:
            made = greater(call, value, call.expand(best, value.shape), strict=False)
            return made if "eq" in call.target else call.add(NOT, made)
    if not are_whole(x, y):
        raise UnsupportedOp(*unsupported_reason(call.target))
    return equal(call, x, y, "eq" in call.target)


_CONNECTIVES = {
    f"aten.{name}": kind
    for kind, names in {
        "both": "logical_and.default bitwise_and.Tensor __and__.Tensor",
        "either": "logical_or.default bitwise_or.Tensor __or__.Tensor",
        "differ": "logical_xor.default bitwise_xor.Tensor __xor__.Tensor",
    }.items()
    for name in names.split()
}


@reads(*_CONNECTIVES)
def _connective(call: TorchCall) -> Value:
    """The smaller or larger of truth values, or whether they differ."""
    first, second = call.operands(*_truths(call))
    return BINARY[_CONNECTIVES[call.target]](call, first, second)


def _truths(call: TorchCall) -> list[Any]:
    """Both operands as truth values; operators on bits take no other."""
    given = [call["self"], call["other"]]
    bits = "logical" not in call.target
    if bits and not all(x.truth for x in given if isinstance(x, Value)):
        raise UnsupportedOp(*unsupported_reason(call.target))
    return [
        truth_of(call.inside(f"truth_{i}"), x) if isinstance(x, Value) else x != 0
        for i, x in enumerate(given)
    ]


@reads("aten.logical_not.default", "aten.bitwise_not.default")
def _negation(call: TorchCall) -> Value:
    """One minus a truth value."""
    value = call.value("self")
    if not value.truth and "bitwise" in call.target:
        raise UnsupportedOp(*unsupported_reason(call.target))
    return call.add(NOT, truth_of(call.inside("truth"), value))


@reads("aten.any.dim", "aten.any.dims", "aten.any.default", "aten.all.dim", "aten.all.dims",
       "aten.all.default")  # fmt: skip
def _some(call: TorchCall) -> Value:
    """The largest, or smallest, of truth values."""
    truth = truth_of(call.inside("truth"), call.value("self"))
    kind = "max" if "any" in call.target else "min"
    return reduced(call, truth, kind, over(call, truth), bool(call.get("keepdim")))
