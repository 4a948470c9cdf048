"""The order of values along an axis: the places of the largest ones, and their values.

Each is a comparison with the largest, which jumps where two are equal; of equal values the first
comes first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikewright.frontends.reading.arithmetic import combined, scaled
from spikewright.frontends.reading.call import Call
from spikewright.frontends.reading.reductions import cumulative_sum, reduced
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.truth import chosen_by_truth, greater
from spikewright.frontends.reading.values import Value, finite
from spikewright.graph.layers import Activation, Concatenate, Identity

_MOST = 64  # each further one is compared with all values that are left


def in_order(call: Call, x: Value, axis: int, count: int, falling: bool) -> tuple[Value, Value]:
    """So many of the largest or smallest values along an axis, and their places.

    Raises `Unreadable` for more than 64 of them.
    """
    if count > _MOST:
        raise Unreadable(
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
        best = reduced(call, rest, "max", (axis,), True, f"{rank}/value")
        hot = _first_largest(call, rest, best, axis, f"{rank}/chosen")
        values.append(best)
        places.append(_place(call, hot, axis, True, f"{rank}/place"))
        if rank + 1 < count:
            rest = _without(call, rest, hot, axis, f"{rank}/rest")
    join = Concatenate(axis) if count > 1 else Identity()
    made = call.add(join, *values, part=part), call.add(join, *places, part="places")
    return replace(made[0], whole=x.whole), replace(made[1], whole=1)


def _without(call: Call, x: Value, hot: Value, axis: int, part: str) -> Value:
    """The values, of which the chosen one becomes less than all others."""
    least = reduced(call, x, "min", (axis,), True, f"{part}/least")
    below = combined(call, (1.0, least), (1.0, np.array(-1.0)), part=f"{part}/below")
    return chosen_by_truth(call, hot, call.expand(below, x.shape, f"{part}/beside"), x, part)


def _first_largest(call: Call, x: Value, best: Value, axis: int, part: str) -> Value:
    """One where the largest value along an axis stands, the first of equal ones; else zero."""
    best = call.expand(best, x.shape, f"{part}/beside")
    hot = greater(call, x, best, False, f"{part}/is_largest")
    before = cumulative_sum(call, hot, axis, exclusive=True, part=f"{part}/before")
    first = combined(call, (1.0, hot), (-1.0, before), part=f"{part}/first")
    return replace(call.add(Activation("relu"), first, part=part), truth=True)


def place_of_extremum(call: Call, x: Value, axis: int, keep: bool, largest: bool) -> Value:
    """The place of the largest or smallest value along an axis, the first of equal ones."""
    x = x if largest else _turned(call, x)
    best = reduced(call, x, "max", (axis,), True, "chosen/largest")
    return _place(call, _first_largest(call, x, best, axis, "chosen"), axis, keep)


def _turned(call: Call, x: Value) -> Value:
    """The values in the opposite order, whole ones still whole."""
    return replace(call.negated(x), whole=x.whole)


def _place(call: Call, hot: Value, axis: int, keep: bool, part: str = "") -> Value:
    """The place at which the only one along an axis stands."""
    shape = [1] * len(hot.shape)
    shape[axis] = hot.shape[axis]
    places = np.arange(hot.shape[axis], dtype=float).reshape(shape)
    marked = scaled(call, hot, places, f"{part}/places".lstrip("/"))
    return replace(reduced(call, marked, "sum", (axis,), keep, part), whole=1)
