"""Truth values: comparisons of values, and connectives."""

from __future__ import annotations

from typing import Any

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.readers.arithmetic import extremum
from spikewright.frontends.pytorch.readers.normalization import over
from spikewright.frontends.pytorch.reasons import why_not
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.truth import NOT, are_whole, equal, greater, truth_of
from spikewright.frontends.reading.values import Value


def _named(*names: str) -> list[str]:
    return [f"aten.{name}.{kind}" for name in names for kind in ("Scalar", "Tensor")]


@reads(*_named("gt", "ge", "lt", "le"))
def _inequality(call: Call) -> Value:
    x, y = call.operands(call["self"], call["other"])
    name = call.target.split(".")[1]
    first, second = (x, y) if name in ("gt", "ge") else (y, x)
    return greater(call, first, second, strict=name in ("gt", "lt"))


@reads(*_named("eq", "ne"))
def _equality(call: Call) -> Value:
    """Of whole numbers and truth values."""
    x, y = call.operands(call["self"], call["other"])
    for value, best in ((x, y), (y, x)):
        if not isinstance(value, Value) or not isinstance(best, Value):
            continue
        if call.notes.get(("largest", best.name)) == value.name:
            made = greater(call, value, call.expand(best, value.shape), strict=False)
            return made if "eq" in call.target else call.add(NOT, made)
    if not are_whole(x, y):
        raise Unreadable(*why_not(call.target))
    return equal(call, x, y, "eq" in call.target)


_AND = ("aten.logical_and.default", "aten.bitwise_and.Tensor", "aten.__and__.Tensor")
_OR = ("aten.logical_or.default", "aten.bitwise_or.Tensor", "aten.__or__.Tensor")


@reads(*_AND, *_OR)
def _connective(call: Call) -> Value:
    """The smaller, or larger, of truth values."""
    return extremum(call, call.target in _OR, *_truths(call))


@reads("aten.logical_xor.default", "aten.bitwise_xor.Tensor", "aten.__xor__.Tensor")
def _difference(call: Call) -> Value:
    """Whether truth values are not the same."""
    first, second = call.operands(*_truths(call))
    return equal(call, first, second, same=False)


def _truths(call: Call) -> list[Any]:
    """Both operands as truth values; operators on bits take no other."""
    given = [call["self"], call["other"]]
    bits = "logical" not in call.target
    if bits and not all(x.truth for x in given if isinstance(x, Value)):
        raise Unreadable(*why_not(call.target))
    return [
        truth_of(call, x, f"truth_{i}") if isinstance(x, Value) else x != 0
        for i, x in enumerate(given)
    ]


@reads("aten.logical_not.default", "aten.bitwise_not.default")
def _negation(call: Call) -> Value:
    """One minus a truth value."""
    value = call.value("self")
    if not value.truth and "bitwise" in call.target:
        raise Unreadable(*why_not(call.target))
    return call.add(NOT, truth_of(call, value, "truth"))


@reads("aten.any.dim", "aten.any.dims", "aten.any.default", "aten.all.dim", "aten.all.dims",
       "aten.all.default")  # fmt: skip
def _some(call: Call) -> Value:
    """The largest, or smallest, of truth values."""
    truth = truth_of(call, call.value("self"), "truth")
    kind = "max" if "any" in call.target else "min"
    return reduced(call, truth, kind, over(call, truth), bool(call.get("keepdim")))
