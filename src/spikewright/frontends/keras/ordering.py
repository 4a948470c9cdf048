"""The order of values along an axis: the largest ones, and the places where they stand."""

from __future__ import annotations

from spikewright.frontends.keras.registry import Call, Unreadable, Value, reads, unbatched_axis
from spikewright.frontends.reading.ranking import in_order, place_of_extremum


@reads("ops.Argmax", "ops.Argmin")
def place(call: Call) -> Value:
    """The place of the largest or smallest value along an axis, the first of equal ones."""
    if call.layer.axis is None:
        raise Unreadable("it looks for one place in the whole batch", "Give its axis")
    (x,) = call.inputs
    axis = unbatched_axis(call.layer.axis, len(x.shape))
    return place_of_extremum(call, x, axis, call.layer.keepdims, call.kind == "ops.Argmax")


@reads("ops.Sort", "ops.Argsort")
def sort(call: Call) -> Value:
    """All values along an axis in rising order, or the places where they stand."""
    if call.layer.axis is None:
        raise Unreadable("it puts the whole batch into order", "Give its axis")
    (x,) = call.inputs
    axis = unbatched_axis(call.layer.axis, len(x.shape))
    values, places = in_order(call, x, axis, x.shape[axis], falling=False)
    return values if call.kind == "ops.Sort" else places


@reads("ops.TopK")
def largest(call: Call) -> tuple[Value, Value]:
    """The largest values along the last axis in falling order, and their places."""
    (x,) = call.inputs
    return in_order(call, x, len(x.shape) - 1, int(call.layer.k), falling=True)
