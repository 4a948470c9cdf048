"""Values written into a part of another: in-place changes of slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright.frontends.pytorch.call import Call, to_array
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.readers.extent import first_index
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.values import Value, finite
from spikewright.graph.layers import Concatenate, Identity, Take


@reads("aten.slice_scatter.default")
def _write_slice(call: Call) -> Value:
    x, new = _operands(call, call["self"], call["src"])
    dim = call["dim"] % x.rank
    if dim == x.layout.axis and new.layout == x.layout:
        return call.add(Identity(), new)
    axis, shape = call.axis(x, dim), x.shape
    start = first_index(call["start"], shape[axis])
    return _written(call, x, new, axis, range(shape[axis])[start :: call["step"]])


def _operands(call: Call, x: Any, new: Any) -> tuple[Value, Value]:
    """Both as values: one of them may be a constant."""
    like = x if isinstance(x, Value) else new
    values = []
    for step, item in (("into", x), ("new", new)):
        if isinstance(item, Value):
            values.append(finite(item))
        else:
            array = to_array(item).reshape(item.shape[like.rank - len(like.shape) :])
            values.append(call.constant_like(array, like, step))
    return values[0], values[1]


@reads("aten.select_scatter.default")
def _write_one(call: Call) -> Value:
    dim = call["dim"] % call.results.dim()
    x, new = _operands(call, call["self"], _as_slice(call, call["src"], dim))
    axis = call.axis(x, dim)
    return _written(call, x, new, axis, [call["index"] % x.shape[axis]])


def _as_slice(call: Call, new: Any, dim: int) -> Any:
    """The values to write, with an axis of extent one where they are written."""
    if not isinstance(new, Value):
        return new.unsqueeze(dim)
    sizes = list(sizes_of(call.results))
    sizes[dim] = 1
    return call.view(finite(new), sizes, part="column")


def _written(call: Call, x: Value, new: Value, axis: int, places: Sequence[int]) -> Value:
    """`x` with `new` at some places of an axis: both side by side, then taken in order."""
    extent = x.shape[axis]
    order = np.arange(extent)
    order[list(places)[: new.shape[axis]]] = extent + np.arange(new.shape[axis])
    both = call.add(Concatenate(axis), x, new, part="both")
    return call.add(Take(order, axis), both)
