"""Truth values of `keras.ops`: comparisons of values, and choices by them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.keras.arithmetic import operands
from spikewright.frontends.keras.constants import constant_value
from spikewright.frontends.keras.reasons import why_not
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    array,
    plain_array,
    reads,
    unbatched_axes,
)
from spikewright.frontends.reading.arithmetic import combined, extremum
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.truth import NOT, are_whole, choice, equal, greater
from spikewright.graph.layers import (
    Activation,
    Broadcast,
    Crop,
    Identity,
    Input,
    Permute,
    Reshape,
    Slice,
    Take,
    UpsampleNearest,
)


@reads("ops.Greater", "ops.GreaterEqual", "ops.Less", "ops.LessEqual")
def inequality(call: Call) -> Value:
    """Of two tensors, or of a tensor and a constant."""
    x, y = operands(call, "x1", "x2")
    first, second = (x, y) if "Greater" in call.kind else (y, x)
    return greater(call, first, second, strict=not call.kind.endswith("Equal"))


@reads("ops.Equal", "ops.NotEqual")
def equality(call: Call) -> Value:
    """Of whole numbers and truth values; of real inputs of the model, to a constant."""
    x, y = operands(call, "x1", "x2")
    if are_whole(x, y):
        return equal(call, x, y, call.kind == "ops.Equal")
    value, other = (x, y) if isinstance(x, Value) else (y, x)
    if isinstance(other, Value):
        raise Unreadable(*why_not(call.kind))
    unequal = unequal_to(call, value, other, "" if call.kind == "ops.NotEqual" else "unequal")
    return unequal if call.kind == "ops.NotEqual" else call.add(NOT, unequal)


def unequal_to(call: Call, x: Value, constant: NDArray, part: str = "") -> Value:
    """Whether a value differs from a constant: whole numbers, or an input as it is given.

    Raises `Unreadable` for real numbers that a layer has computed.
    """
    if are_whole(x, constant):
        return equal(call.inside(part) if part else call, x, constant, same=False)
    if x.name is not None and not _is_given(call, x):
        raise Unreadable(*why_not("ops.NotEqual"))
    place = f"{part}/" if part else ""
    difference = combined(call, (1.0, x), (-1.0, constant), part=f"{place}difference")
    distance = call.add(Activation("abs"), difference, part=f"{place}distance")
    return greater(call.inside(part) if part else call, distance, np.zeros(()), strict=True)


def truth_of(call: Call, mask: Any, part: str) -> Value:
    """A mask as truth values: of numbers, those that are not zero."""
    if not isinstance(mask, Value):
        return constant_value(call.builder, plain_array(mask).astype(bool), *call.named(part))
    return mask if mask.truth else unequal_to(call, mask, np.zeros(()), part)


_MOVES = (Identity, Reshape, Permute, Broadcast, Crop, Slice, Take, UpsampleNearest)


def _is_given(call: Call, x: Value) -> bool:
    """Whether values are those of an input of the model, at whatever places."""
    nodes = {node.name: node for node in call.builder.nodes}
    name = x.name
    while name in nodes and isinstance(nodes[name].layer, _MOVES):
        (name,) = nodes[name].inputs
    return name in nodes and isinstance(nodes[name].layer, Input)


@reads("ops.LogicalAnd", "ops.LogicalOr", "ops.LogicalNot", "ops.LogicalXor")
def connective(call: Call) -> Value:
    """The smaller, or larger, of truth values, one minus one, or whether two differ."""
    if not all(value.truth for value in call.inputs):
        raise Unreadable(*why_not(call.kind))
    if call.kind == "ops.LogicalNot":
        return call.add(NOT, *call.inputs)
    if call.kind == "ops.LogicalXor":
        x, y = operands(call, "x1", "x2")
        return equal(call, x, y, same=False)
    return extremum(call, call.kind == "ops.LogicalOr", *operands(call, "x1", "x2"))


@reads("ops.Any", "ops.All")
def over_axes(call: Call) -> Value:
    """Whether some, or all, of truth values hold along axes."""
    (x,) = call.inputs
    if not x.truth:
        raise Unreadable(*why_not("ops.LogicalAnd"))
    axes = unbatched_axes(call.layer.axis, len(x.shape))
    kind = "max" if call.kind == "ops.Any" else "min"
    return reduced(call, x, kind, axes, bool(call.layer.keepdims))


@reads("ops.Select")
def select(call: Call) -> Value:
    """The first of several choices whose condition holds."""
    names = ("condlist", "choicelist")
    conditions, choices = (
        [x if isinstance(x, Value) else plain_array(x) for x in call.arguments[name]]
        for name in names
    )
    made = call.arguments.get("default", 0.0)
    made = made if isinstance(made, Value) else array(made)
    for index, (condition, chosen) in reversed(
        list(enumerate(zip(conditions, choices, strict=True)))
    ):
        if isinstance(condition, Value) and not condition.truth:
            raise Unreadable("its condition holds numbers", "Compare them, such as x > 0")
        part = call.inside(f"choice_{index}") if index else call
        made = choice(part, *part.operands(condition, chosen, made))
    return made


@reads("ops.Where")
def where(call: Call) -> Value:
    """A choice between tensors and constants, by a constant condition or by a truth value."""
    condition, x, y = operands(call, "condition", "x1", "x2")
    if isinstance(condition, Value) and not condition.truth:
        raise Unreadable("its condition holds numbers", "Compare them, such as x > 0")
    return choice(call, condition, x, y)
