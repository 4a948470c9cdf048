"""Truth values: comparisons of values, and choices by them.

`a > b` is one or zero: the `threshold` activation at one of `a - b + 1`, and no more than one. It
jumps where the two are equal; a spiking network tends to it everywhere else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikewright.frontends.reading.arithmetic import chosen, combined, product, scaled, total
from spikewright.frontends.reading.attention import HIDDEN, LEAST, hidden_unless
from spikewright.frontends.reading.call import Call
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Operand, Value, common_shape
from spikewright.graph.layers import Activation, Broadcast, Reshape, ScaleShift

STEP = Activation("threshold", {"threshold": 1.0, "value": 0.0, "maximum": 1.0})
NOT = ScaleShift(np.array(-1.0), np.array(1.0))


def are_whole(*operands: Operand) -> bool:
    """Whether values and constants are whole numbers, or truth values."""
    return all(
        bool(x.whole or x.truth) if isinstance(x, Value) else bool((x == np.round(x)).all())
        for x in operands
    )


def greater(call: Call, x: Operand, y: Operand, strict: bool, part: str = "") -> Value:
    """`x > y`, or `x >= y` unless it is `strict`."""
    place = f"{part}/" if part else ""
    first, second = (x, y) if strict else (y, x)  # x >= y where not y > x
    margin = 0.5 if are_whole(x, y) else 1.0  # between whole numbers, so that none lies on it
    terms = (1.0, first), (-1.0, second), (1.0, np.array(margin))
    difference = combined(call, *terms, part=f"{place}difference")
    step = call.add(STEP, difference, part=part if strict else f"{place}other")
    return step if strict else call.add(NOT, step, part=part)


def equal(call: Call, x: Operand, y: Operand, same: bool = True, part: str = "") -> Value:
    """Whether whole numbers are the same, or are not; for real ones it would jump everywhere."""
    difference = combined(call, (1.0, x), (-1.0, y), part=f"{part}/difference".lstrip("/"))
    return call.chain(
        difference,
        ("distance", Activation("abs")),
        ("distance and half", ScaleShift(shift=np.array(0.5))),
        ("unequal" if same else "", STEP),
        *((("", NOT),) if same else ()),
        part=part,
    )


def truth_of(call: Call, x: Value, part: str = "") -> Value:
    """Whether values are anything but zero."""
    if x.truth:
        return x
    if x.whole:
        made = equal(call, x, np.array(0.0), False, part)
    else:
        size = call.add(Activation("abs"), x, part=f"{part}/size".lstrip("/"))
        made = greater(call, size, np.array(0.0), True, part)
    return replace(made, truth=True)


def one_hot(call: Call, numbers: Value, count: int, part: str = "one_hot") -> Value:
    """Ones at the places that whole numbers name, along a new last axis."""
    wide = call.chain(
        numbers,
        ("axis", Reshape((*numbers.shape, 1))),
        ("", Broadcast((*numbers.shape, count))),
        part=f"{part}/number",
    )
    places = np.arange(count, dtype=float)
    return equal(call, replace(wide, whole=1), places, True, part)


def choice(call: Call, condition: Operand, yes: Operand, no: Operand) -> Value:
    """`yes` where a constant or a truth value holds, else `no`."""
    if not isinstance(condition, Value):
        return chosen(call, np.asarray(condition, bool), yes, no)
    hidden = _hiding(call, condition, yes, no)
    if hidden is not None:
        return hidden
    if any(not isinstance(x, Value) and not np.isfinite(x).all() for x in (yes, no)):
        raise Unreadable(
            "its condition depends on the input, and it chooses a number that is not finite",
            "Use a large number, such as -1e4.",
        )
    return chosen_by_truth(call, condition, yes, no)


def _hiding(call: Call, condition: Value, yes: Operand, no: Operand) -> Value | None:
    """Values, or a number, that a mask of the data hides; None where nothing is hidden."""
    least = [not isinstance(x, Value) and bool((np.asarray(x) <= LEAST).all()) for x in (yes, no)]
    if least.count(True) != 1:
        return None
    kept = no if least[0] else yes
    seen = call.add(NOT, condition, part="seen") if least[0] else condition
    if not isinstance(kept, Value):
        if np.any(kept):
            return None
        other = ScaleShift(np.array(-HIDDEN), np.array(HIDDEN))
        shape = common_shape(seen, kept)
        made = call.add(other, call.expand(seen, shape))
        seen = call.expand(seen, shape)
    else:
        shape = common_shape(seen, kept)
        seen = call.expand(seen, shape, "seen/broadcast")
        made = hidden_unless(call, seen, call.expand(kept, shape))
    return replace(made, seen=seen)


def chosen_by_truth(
    call: Call, condition: Value, yes: Operand, no: Operand, part: str = ""
) -> Value:
    """`c yes + (1 - c) no` for a truth value `c`."""
    place = f"{part}/" if part else ""
    shape = common_shape(condition, yes, no)
    condition = call.expand(condition, shape, f"{place}broadcast")
    other = call.add(NOT, condition, part=f"{place}other")
    parts = [
        product(call, truth, x, f"{place}chosen {index}")
        for index, truth, x in ((1, condition, yes), (2, other, no))
        if isinstance(x, Value) or np.any(x)
    ]
    nothing = [] if parts else [scaled(call, condition, np.array(0.0), f"{place}nothing")]
    return total(call, *parts, *nothing, part=part)
