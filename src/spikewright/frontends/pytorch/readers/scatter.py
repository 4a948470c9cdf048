"""Values written into a part of another: in-place changes of slices, and at given places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call, to_array
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.readers.extent import first_index
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.arithmetic import combined, product
from spikewright.frontends.reading.contraction import multiplied
from spikewright.frontends.reading.truth import one_hot
from spikewright.frontends.reading.values import Operand, Unreadable, Value, finite
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


@reads("aten.scatter.src", "aten.scatter.value", "aten.scatter_add.default")
def _scatter(call: Call) -> Value:
    """Values written, or added, at places along an axis, which may come from the input.

    Where they are written, the places are distinct, as PyTorch demands too.
    """
    given = [call["self"], call["index"], call.get("src", call.get("value"))]
    like = next(x for x in given if isinstance(x, Value))
    axis = call.axis(like, call["dim"])
    x, index, new = (finite(x) if isinstance(x, Value) else call.against(x) for x in given)
    _check_extents(x, index, new, axis)
    chosen = _chosen(call, index, x.shape[axis])
    written = _laid_out(call, chosen, new, index.shape, axis, "written")
    if "add" in call.target:
        return combined(call, (1.0, x), (1.0, written))
    one = np.array(1.0)
    taken = _laid_out(call, chosen, one, index.shape, axis, "taken")
    if not isinstance(taken, Value):
        return combined(call, (1.0, _kept(call, x, 1.0 - taken)), (1.0, written))
    if not isinstance(x, Value) and not x.any():
        return combined(call, (1.0, written))
    left = combined(call, (1.0, one), (-1.0, taken), part="left")
    return combined(call, (1.0, product(call, left, x, "kept")), (1.0, written))


def _kept(call: Call, x: Operand, left: NDArray) -> Operand:
    return product(call, x, left, "kept") if isinstance(x, Value) else x * left


def _chosen(call: Call, index: Operand, places: int) -> Operand:
    """Ones where each value goes, along a new last axis."""
    if isinstance(index, Value):
        return one_hot(call, replace(index, whole=1), places)
    return np.eye(places)[index.astype(np.int64)]


def _check_extents(x: Operand, index: Operand, new: Operand, axis: int) -> None:
    """Refuse places in a part of the other axes, and values of which only a part is written."""
    others = [tuple(n for i, n in enumerate(one.shape) if i != axis) for one in (x, index)]
    if others[0] != others[1] or (new.shape and new.shape != index.shape):
        raise Unreadable(
            "it writes a part of its values, or into a part of the other axes",
            "Cut the values, or what they are written into, before it.",
        )


def _laid_out(
    call: Call, chosen: Operand, new: Operand, shape: tuple[int, ...], axis: int, part: str
) -> Operand:
    """The sums of the values that each place of an axis is given; `chosen` says which these are."""
    own = tuple(range(len(shape)))
    result = tuple("place" if i == axis else i for i in own)
    if isinstance(chosen, Value) or isinstance(new, Value):
        values = new if isinstance(new, Value) else np.broadcast_to(new, shape)
        return multiplied(call, [chosen, values], [(*own, "place"), own], result, part)
    return np.moveaxis((chosen * np.broadcast_to(new, shape)[..., None]).sum(axis), -1, axis)
