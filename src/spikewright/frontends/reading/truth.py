"""Truth values: comparisons of values, choices by them, and the order of values along an axis.

`a > b` is one or zero: the `threshold` activation at one of `a - b + 1`, and no more than one. It
jumps where the two are equal; a spiking network tends to it everywhere else. Values in order are
comparisons with the largest; of equal values the first comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from spikewright.frontends.reading.arithmetic import (
    LEAST,
    chosen,
    combined,
    extremum,
    length,
    log_of_sum,
    product,
    quotient,
    scaled,
    total,
)
from spikewright.frontends.reading.call import (
    Call,
    Operand,
    UnsupportedOp,
    Value,
    common_shape,
    finite,
)
from spikewright.frontends.reading.products import hidden_unless
from spikewright.frontends.reading.reductions import cumulative_sum, reduced
from spikewright.graph.layers import (
    Activation,
    Broadcast,
    Concatenate,
    Identity,
    Reshape,
    ScaleShift,
)

Binary = Callable[[Call, Operand, Operand], Value]

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
    difference = combined(call.inside("difference"), *terms)
    step = call.add(STEP, difference, part="" if strict else "other")
    return step if strict else call.add(NOT, step)


def equal(call: Call, x: Operand, y: Operand, same: bool = True) -> Value:
    """Whether whole numbers are the same, or are not; for real ones it would jump everywhere."""
    difference = combined(call.inside("difference"), (1.0, x), (-1.0, y))
    return call.chain(
        difference,
        ("distance", Activation("abs")),
        ("distance and half", ScaleShift(shift=np.array(0.5))),
        ("unequal" if same else "", STEP),
        *((("", NOT),) if same else ()),
    )


def _extremum(largest: bool) -> Binary:
    return lambda call, x, y: extremum(call, largest, x, y)


def _comparison(greatest_first: bool, strict: bool) -> Binary:
    return lambda call, x, y: greater(call, *((x, y) if greatest_first else (y, x)), strict)


BINARY: Mapping[str, Binary] = {
    "add": total,
    "subtract": lambda call, x, y: combined(call, (1.0, x), (-1.0, y)),
    "multiply": product,
    "divide": quotient,
    "maximum": _extremum(True),
    "minimum": _extremum(False),
    "length": length,
    "log of sum": log_of_sum,
    "log of sum to base 2": lambda call, x, y: log_of_sum(call, x, y, 2.0),
    "greater": _comparison(True, strict=True),
    "greater or equal": _comparison(True, strict=False),
    "less": _comparison(False, strict=True),
    "less or equal": _comparison(False, strict=False),
    "either": _extremum(True),
    "both": _extremum(False),
    "differ": lambda call, x, y: equal(call, x, y, same=False),
}
"""Operations on two operands, of which at least one is a value; the last are of truth values."""


def truth_of(call: Call, x: Value) -> Value:
    """Whether values are anything but zero."""
    if x.truth:
        return x
    if x.whole:
        made = equal(call, x, np.array(0.0), False)
    else:
        size = call.add(Activation("abs"), x, part="size")
        made = greater(call, size, np.array(0.0), True)
    return replace(made, truth=True)


def one_hot(call: Call, numbers: Value, count: int) -> Value:
    """Ones at the places that whole numbers name, along a new last axis."""
    call = call.inside("one_hot")
    wide = call.chain(
        numbers,
        ("axis", Reshape((*numbers.shape, 1))),
        ("", Broadcast((*numbers.shape, count))),
        part="number",
    )
    places = np.arange(count, dtype=float)
    return equal(call, replace(wide, whole=1), places, True)


def choice(call: Call, condition: Operand, yes: Operand, no: Operand) -> Value:
    """`yes` where a constant or a truth value holds, else `no`."""
    if not isinstance(condition, Value):
        return chosen(call, np.asarray(condition, bool), yes, no)
    hidden = _hiding(call, condition, yes, no)
    if hidden is not None:
        return hidden
    if any(not isinstance(x, Value) and not np.isfinite(x).all() for x in (yes, no)):
        raise UnsupportedOp(
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
    shape = common_shape(seen, kept)
    seen = call.expand(seen, shape, "seen/broadcast")
    kept = call.expand(kept, shape) if isinstance(kept, Value) else kept
    made = hidden_unless(call, seen, kept)
    return replace(made, seen=seen)


def chosen_by_truth(call: Call, condition: Value, yes: Operand, no: Operand) -> Value:
    """`c yes + (1 - c) no` for a truth value `c`."""
    shape = common_shape(condition, yes, no)
    condition = call.expand(condition, shape)
    other = call.add(NOT, condition, part="other")
    parts = [
        product(call.inside(f"chosen {index}"), truth, x)
        for index, truth, x in ((1, condition, yes), (2, other, no))
        if isinstance(x, Value) or np.any(x)
    ]
    nothing = [] if parts else [scaled(call.inside("nothing"), condition, np.array(0.0))]
    return total(call, *parts, *nothing)


_MOST = 64  # each further one is compared with all values that are left


def in_order(call: Call, x: Value, axis: int, count: int, falling: bool) -> tuple[Value, Value]:
    """So many of the largest or smallest values along an axis, and their places.

    Raises `UnsupportedOp` for more than 64 of them.
    """
    if count > _MOST:
        raise UnsupportedOp(
            f"it puts {count} values into order, for which each is compared with all others, and "
            f"at most {_MOST} can be",
            "Ask for fewer, as torch.topk does, or do it with the outputs: outputs=[...].",
        )
    if falling:
        return largest_along(call, x, axis, count)
    values, places = largest_along(call, _turned(call, x), axis, count, "falling")
    return call.negated(values, ""), places


def largest_along(
    call: Call, x: Value, axis: int, count: int, part: str = ""
) -> tuple[Value, Value]:
    """The `count` largest values along an axis in falling order, and their places."""
    values, places, rest = list[Value](), list[Value](), finite(x)
    for rank in range(count):
        best = reduced(call.inside(f"{rank}/value"), rest, "max", (axis,), True)
        hot = _first_largest(call.inside(f"{rank}/chosen"), rest, best, axis)
        values.append(best)
        places.append(_place(call.inside(f"{rank}/place"), hot, axis, True))
        if rank + 1 < count:
            rest = _without(call.inside(f"{rank}/rest"), rest, hot, axis)
    join = Concatenate(axis) if count > 1 else Identity()
    made = call.add(join, *values, part=part), call.add(join, *places, part="places")
    return replace(made[0], whole=x.whole), replace(made[1], whole=1)


def _without(call: Call, x: Value, hot: Value, axis: int) -> Value:
    """The values, of which the chosen one becomes less than all others."""
    least = reduced(call.inside("least"), x, "min", (axis,), True)
    below = combined(call.inside("below"), (1.0, least), (1.0, np.array(-1.0)))
    return chosen_by_truth(call, hot, call.expand(below, x.shape, "beside"), x)


def _first_largest(call: Call, x: Value, best: Value, axis: int) -> Value:
    """One where the largest value along an axis stands, the first of equal ones; else zero."""
    best = call.expand(best, x.shape, "beside")
    hot = greater(call.inside("is_largest"), x, best, False)
    before = cumulative_sum(call.inside("before"), hot, axis, exclusive=True)
    first = combined(call.inside("first"), (1.0, hot), (-1.0, before))
    return replace(call.add(Activation("relu"), first), truth=True)


def place_of_extremum(call: Call, x: Value, axis: int, keep: bool, largest: bool) -> Value:
    """The place of the largest or smallest value along an axis, the first of equal ones."""
    x = x if largest else _turned(call, x)
    best = reduced(call.inside("chosen/largest"), x, "max", (axis,), True)
    return _place(call, _first_largest(call.inside("chosen"), x, best, axis), axis, keep)


def _turned(call: Call, x: Value) -> Value:
    """The values in the opposite order, whole ones still whole."""
    return replace(call.negated(x), whole=x.whole)


def _place(call: Call, hot: Value, axis: int, keep: bool) -> Value:
    """The place at which the only one along an axis stands."""
    shape = [1] * len(hot.shape)
    shape[axis] = hot.shape[axis]
    places = np.arange(hot.shape[axis], dtype=float).reshape(shape)
    marked = scaled(call.inside("places"), hot, places)
    return replace(reduced(call, marked, "sum", (axis,), keep), whole=1)
