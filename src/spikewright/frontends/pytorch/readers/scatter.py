"""Values written into a part of another: what in-place changes of slices become."""

from __future__ import annotations

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.readers.extent import cut, first_index, is_whole_batch
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import Concatenate, Identity, Reshape


@reads("aten.slice_scatter.default")
def _write_slice(call: Call) -> Value:
    x, new = call.value("self"), call.value("src")
    if call["dim"] % x.rank == 0 and call["start"] in (0, None) and is_whole_batch(call, new):
        return call.add(Identity(), new)
    axis = call.axis(x, call["dim"])
    if call["step"] != 1:
        raise Cannot(f"it writes every {call['step']}th value", "Write whole ranges.")
    return _replace(call, x, new, axis, first_index(call["start"], x.known_shape[axis]))


@reads("aten.select_scatter.default")
def _write_one(call: Call) -> Value:
    x, new = call.value("self"), call.value("src")
    axis, shape = call.axis(x, call["dim"]), x.known_shape
    column = call.add(Reshape((*shape[:axis], 1, *shape[axis + 1 :])), new, part="column")
    return _replace(call, x, column, axis, call["index"] % shape[axis])


def _replace(call: Call, x: Value, new: Value, axis: int, start: int) -> Value:
    """`x` with `new` in the place of as many of its values from `start`."""
    stop = start + new.known_shape[axis]
    after = x.known_shape[axis] - stop
    parts = [
        *([cut(call, x, axis, 0, start, "before")] if start else []),
        new,
        *([cut(call, x, axis, stop, after, "after")] if after else []),
    ]
    return call.add(Concatenate(axis), *parts)
