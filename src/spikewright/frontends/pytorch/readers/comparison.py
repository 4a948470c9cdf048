"""Truth values: comparisons of values, and connectives."""

from __future__ import annotations

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.readers.arithmetic import extremum
from spikewright.frontends.pytorch.reasons import why_not
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.truth import NOT, are_whole, equal, greater
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
    if not are_whole(x, y):
        raise Unreadable(*why_not(call.target))
    return equal(call, x, y, "eq" in call.target)


_AND = ("aten.logical_and.default", "aten.bitwise_and.Tensor", "aten.__and__.Tensor")
_OR = ("aten.logical_or.default", "aten.bitwise_or.Tensor", "aten.__or__.Tensor")


@reads(*_AND, *_OR)
def _connective(call: Call) -> Value:
    """The smaller, or larger, of truth values."""
    given = call["self"], call["other"]
    if not all(x.truth for x in given if isinstance(x, Value)):
        raise Unreadable(*why_not(call.target))
    return extremum(call, call.target in _OR, *given)


@reads("aten.logical_not.default", "aten.bitwise_not.default")
def _negation(call: Call) -> Value:
    """One minus a truth value."""
    value = call.value("self")
    if not value.truth:
        raise Unreadable(*why_not(call.target))
    return call.add(NOT, value)
