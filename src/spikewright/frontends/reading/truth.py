"""Truth values: comparisons of values, and choices by them.

`a > b` is one or zero: the `threshold` activation at one of `a - b + 1`, and no more than one. It
jumps where the two are equal; a spiking network tends to it everywhere else.
"""

from __future__ import annotations

import numpy as np

from spikewright.frontends.reading.arithmetic import chosen, combined, product, scaled, total
from spikewright.frontends.reading.call import Call
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Operand, Value, common_shape
from spikewright.graph.layers import Activation, ScaleShift

STEP = Activation("threshold", {"threshold": 1.0, "value": 0.0, "maximum": 1.0})
NOT = ScaleShift(np.array(-1.0), np.array(1.0))


def are_whole(*operands: Operand) -> bool:
    """Whether values and constants are whole numbers, or truth values."""
    return all(
        bool(x.whole or x.truth) if isinstance(x, Value) else bool((x == np.round(x)).all())
        for x in operands
    )


def greater(call: Call, x: Operand, y: Operand, strict: bool) -> Value:
    """`x > y`, or `x >= y` unless it is `strict`."""
    first, second = (x, y) if strict else (y, x)  # x >= y where not y > x
    margin = 0.5 if are_whole(x, y) else 1.0  # between whole numbers, so that none lies on it
    terms = (1.0, first), (-1.0, second), (1.0, np.array(margin))
    step = call.add(STEP, combined(call, *terms, part="difference"), part="" if strict else "other")
    return step if strict else call.add(NOT, step)


def equal(call: Call, x: Operand, y: Operand, same: bool = True) -> Value:
    """Whether whole numbers are the same, or are not; for real ones it would jump everywhere."""
    difference = combined(call, (1.0, x), (-1.0, y), part="difference")
    return call.chain(
        difference,
        ("distance", Activation("abs")),
        ("distance and half", ScaleShift(shift=np.array(0.5))),
        ("unequal" if same else "", STEP),
        *((("", NOT),) if same else ()),
    )


def choice(call: Call, condition: Operand, yes: Operand, no: Operand) -> Value:
    """`yes` where a constant or a truth value holds, else `no`."""
    if not isinstance(condition, Value):
        return chosen(call, np.asarray(condition, bool), yes, no)
    if any(not isinstance(x, Value) and not np.isfinite(x).all() for x in (yes, no)):
        raise Unreadable(
            "its condition depends on the input, and it chooses a number that is not finite",
            "Use a large number, such as -1e4.",
        )
    return chosen_by_truth(call, condition, yes, no)


def chosen_by_truth(call: Call, condition: Value, yes: Operand, no: Operand) -> Value:
    """`c yes + (1 - c) no` for a truth value `c`."""
    condition = call.expand(condition, common_shape(condition, yes, no))
    other = call.add(NOT, condition, part="other")
    parts = [
        product(call, truth, x, f"chosen {index}")
        for index, truth, x in ((1, condition, yes), (2, other, no))
        if isinstance(x, Value) or np.any(x)
    ]
    return total(call, *(parts or [scaled(call, condition, np.array(0.0), "nothing")]))
