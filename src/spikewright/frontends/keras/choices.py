"""Truth values of `keras.ops`: comparisons of values, and choices by them."""

from __future__ import annotations

from spikewright.frontends.keras.arithmetic import operands
from spikewright.frontends.keras.reasons import why_not
from spikewright.frontends.keras.registry import Call, Unreadable, Value, reads
from spikewright.frontends.reading.arithmetic import extremum
from spikewright.frontends.reading.truth import NOT, are_whole, choice, equal, greater


@reads("ops.Greater", "ops.GreaterEqual", "ops.Less", "ops.LessEqual")
def inequality(call: Call) -> Value:
    """Of two tensors, or of a tensor and a constant."""
    x, y = operands(call, "x1", "x2")
    first, second = (x, y) if "Greater" in call.kind else (y, x)
    return greater(call, first, second, strict=not call.kind.endswith("Equal"))


@reads("ops.Equal", "ops.NotEqual")
def equality(call: Call) -> Value:
    """Of whole numbers and truth values."""
    x, y = operands(call, "x1", "x2")
    if not are_whole(x, y):
        raise Unreadable(*why_not(call.kind))
    return equal(call, x, y, call.kind == "ops.Equal")


@reads("ops.LogicalAnd", "ops.LogicalOr", "ops.LogicalNot")
def connective(call: Call) -> Value:
    """The smaller, or larger, of truth values, or one minus one."""
    if not all(value.truth for value in call.inputs):
        raise Unreadable(*why_not(call.kind))
    if call.kind == "ops.LogicalNot":
        return call.add(NOT, *call.inputs)
    return extremum(call, call.kind == "ops.LogicalOr", *operands(call, "x1", "x2"))


@reads("ops.Where")
def where(call: Call) -> Value:
    """A choice between tensors and constants, by a constant condition or by a truth value."""
    condition, x, y = operands(call, "condition", "x1", "x2")
    if isinstance(condition, Value) and not condition.truth:
        raise Unreadable("its condition holds numbers", "Compare them, such as x > 0")
    return choice(call, condition, x, y)
