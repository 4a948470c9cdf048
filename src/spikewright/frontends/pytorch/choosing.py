"""Choosing values by indices, writing them at places, rows of tables, and values in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.extent import first_index
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import TorchCall, reads, to_array
from spikewright.frontends.reading.arithmetic import combined, product
from spikewright.frontends.reading.call import (
    BATCH_FIRST,
    Operand,
    UnsupportedOp,
    Value,
    finite,
    sample_shape,
)
from spikewright.frontends.reading.contraction import multiplied
from spikewright.frontends.reading.selection import taken
from spikewright.frontends.reading.truth import in_order, one_hot, place_of_extremum
from spikewright.graph.layers import Concatenate, Identity, Lookup, Reshape, Take


@reads("aten.embedding.default")
def _embedding(call: TorchCall) -> Value:
    return call.add(Lookup(call.array("weight")), call.value("indices"))


@reads("aten.one_hot.default")
def _one_hot(call: TorchCall) -> Value:
    classes = call["num_classes"]
    if classes < 1:
        raise UnsupportedOp(
            "how many classes it has depends on the data", "Give one_hot the number of classes."
        )
    return call.add(Lookup(np.eye(classes)), call.value("self"))


def rows_of_constant(call: TorchCall, numbers: Value) -> Value:
    """Rows of the operator's constant operand by computed numbers."""
    return call.add(Lookup(call.array("self")), numbers)


def _whole(call: TorchCall, indices: Any) -> np.ndarray:
    if not isinstance(indices, torch.Tensor):
        raise UnsupportedOp(
            "its indices depend on the input",
            "Make them constants of a module around this one.",
        )
    return np.asarray(indices.detach().cpu().numpy(), np.int64)


@reads("aten.index_select.default")
def _index_select(call: TorchCall) -> Value:
    if isinstance(call["self"], torch.Tensor) and call["dim"] == 0:
        return rows_of_constant(call, call.value("index"))
    x = call.value("self")
    return taken(call, x, _whole(call, call["index"]), call.axis(x, call["dim"]))


@reads("aten.index.Tensor")
def _index(call: TorchCall) -> Value:
    """Indexing by constants: along one axis it takes entries, along several it is looked up.

    A constant is indexed by numbers: they look its rows up.
    """
    if isinstance(call["self"], torch.Tensor):
        first, *others = call["indices"]
        if isinstance(first, Value) and not any(index is not None for index in others):
            return rows_of_constant(call, finite(first))
    x = call.value("self")
    given = list(call["indices"]) + [None] * (x.rank - len(call["indices"]))
    used = [dim for dim, index in enumerate(given) if index is not None]
    computed = [dim for dim in used if isinstance(given[dim], Value)]
    if computed:
        return _computed(call, x, given, used, computed)
    for dim in used:
        _whole(call, given[dim])
    (dim, index), *others = [(dim, given[dim]) for dim in used]
    if not others and index.dtype != torch.bool:
        return taken(call, x, _whole(call, index), call.axis(x, dim))
    chosen = tuple(slice(None) if i is None else i.detach().cpu() for i in given)
    return _looked_up(call, x, lambda where: where[chosen])


def _computed(call: TorchCall, x: Value, given: Any, used: list[int], computed: list[int]) -> Value:
    """The entries of one axis at computed places, of the first and only sample."""
    others = [given[dim] for dim in used if dim not in computed]
    first = all(not isinstance(i, Value) and i.numel() == 1 and not i.any() for i in others)
    lone = all(dim == 0 for dim in used if dim not in computed) and x.layout == BATCH_FIRST
    if len(computed) > 1 or not first or (others and not lone):
        _whole(call, given[computed[0]])
    (dim,) = computed
    axis, numbers = call.axis(x, dim), finite(given[dim])
    if not numbers.whole or (axis and not others):
        _whole(call, numbers)
    chosen = one_hot(call, numbers, x.shape[axis])
    places = tuple(("place", i) for i in range(len(numbers.shape)))
    own = tuple(range(len(x.shape)))
    rest = tuple(i for i in own if i != axis)
    return multiplied(call, [chosen, x], [(*places, axis), own], (*places, *rest))


@reads("aten.gather.default")
def _gather(call: TorchCall) -> Value:
    x, dim, index = call["self"], call["dim"], call["index"]
    if isinstance(index, Value):
        return _gathered(call, x, dim, finite(index))
    x = call.value("self")
    return _looked_up(call, x, lambda where: where.gather(dim, index.cpu()))


def _gathered(call: TorchCall, x: Any, dim: int, index: Value) -> Value:
    """Entries of an axis at computed places, which differ along the others."""
    axis = call.axis(index, dim)
    if not index.whole:
        _whole(call, index)
    operand = finite(x) if isinstance(x, Value) else call.against(x)
    own = tuple(range(len(index.shape)))
    others = [(n, m) for i, (n, m) in enumerate(zip(index.shape, operand.shape, strict=True))
              if i != axis]  # fmt: skip
    if any(m not in (1, n) for n, m in others):
        raise UnsupportedOp(
            "it reads from a part of the other axes alone", "Cut them off before it."
        )
    chosen = one_hot(call, index, operand.shape[axis])
    labels = [(*own, "place"), tuple("place" if i == axis else i for i in own)]
    return multiplied(call, [chosen, operand], labels, own)


@reads("aten.unfold.default")
def _unfold(call: TorchCall) -> Value:
    return _looked_up(
        call,
        call.value("self"),
        lambda where: where.unfold(call["dimension"], call["size"], call["step"]),
    )


@reads("aten.diagonal.default")
def _diagonal(call: TorchCall) -> Value:
    axes = call["offset"], call["dim1"], call["dim2"]
    return _looked_up(call, call.value("self"), lambda where: where.diagonal(*axes))


def _looked_up(call: TorchCall, x: Value, choose: Any) -> Value:
    """Any choice of values: its effect on their positions, for one sample, is looked up."""
    shape = x.shape
    number = math.prod(shape)
    where = torch.arange(number).reshape((1,) * (x.rank - len(shape)) + shape)
    found = choose(where).numpy()
    indices = np.ascontiguousarray(found.reshape(sample_shape(found.shape)))
    flat = ("flat", None if len(shape) == 1 else Reshape((number,)))
    return call.chain(x, flat, ("take", Take(indices, 0)))


@reads("aten.argmax.default", "aten.argmin.default")
def _argmax(call: TorchCall) -> Value:
    """The place of the largest or smallest value along an axis, as a whole number."""
    x = call.value("self")
    if call["dim"] is None:
        x = call.view(x, (1, math.prod(x.shape)))
        axis = 0
    else:
        axis = call.axis(x, call["dim"])
    keep = bool(call["keepdim"]) and call["dim"] is not None
    return place_of_extremum(call, x, axis, keep, "argmax" in call.target)


@reads("aten.topk.default", "aten.sort.default", "aten.sort.stable", "aten.argsort.default",
       "aten.argsort.stable")  # fmt: skip
def _in_order(call: TorchCall) -> Any:
    """So many of the largest or smallest values along an axis, or all of them, and their places.

    Of equal ones the first come first.
    """
    x, axis = call.along()
    several, count = isinstance(call.results, tuple | list), call.get("k", x.shape[axis])
    if x.shape[axis] == 1:  # one value is in order
        places = call.results[1] if several else call.results
        made: tuple[Any, Any] = x, torch.zeros(tuple(places.shape), dtype=torch.int64)
    else:
        falling = bool(call.get("largest", call.get("descending")))
        made = in_order(call, x, axis, count, falling)
    return made if several else made[1]


@reads("aten.slice_scatter.default")
def _write_slice(call: TorchCall) -> Value:
    x, new = _operands(call, call["self"], call["src"])
    dim = call["dim"] % x.rank
    if dim == x.layout.axis and new.layout == x.layout:
        return call.add(Identity(), new)
    axis, shape = call.axis(x, dim), x.shape
    start = first_index(call["start"], shape[axis])
    return _written(call, x, new, axis, range(shape[axis])[start :: call["step"]])


def _operands(call: TorchCall, x: Any, new: Any) -> tuple[Value, Value]:
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
def _write_one(call: TorchCall) -> Value:
    dim = call["dim"] % call.results.dim()
    x, new = _operands(call, call["self"], _as_slice(call, call["src"], dim))
    axis = call.axis(x, dim)
    return _written(call, x, new, axis, [call["index"] % x.shape[axis]])


def _as_slice(call: TorchCall, new: Any, dim: int) -> Any:
    """The values to write, with an axis of extent one where they are written."""
    if not isinstance(new, Value):
        return new.unsqueeze(dim)
    sizes = list(sizes_of(call.results))
    sizes[dim] = 1
    return call.view(finite(new), sizes, part="column")


def _written(call: TorchCall, x: Value, new: Value, axis: int, places: Sequence[int]) -> Value:
    """`x` with `new` at some places of an axis: both side by side, then taken in order."""
    extent = x.shape[axis]
    order = np.arange(extent)
    order[list(places)[: new.shape[axis]]] = extent + np.arange(new.shape[axis])
    both = call.add(Concatenate(axis), x, new, part="both")
    return call.add(Take(order, axis), both)


@reads("aten.scatter.src", "aten.scatter.value", "aten.scatter_add.default")
def _scatter(call: TorchCall) -> Value:
    """Values written, or added, at places along an axis, which may come from the input.

    Where they are written, the places are distinct, as PyTorch demands too.
    """
    given = [call["self"], call["index"], call.get("src", call.get("value"))]
    like = next(x for x in given if isinstance(x, Value))
    axis = call.axis(like, call["dim"])
    x, index, new = (finite(x) if isinstance(x, Value) else call.against(x) for x in given)
    _check_extents(x, index, new, axis)
    chosen = _chosen(call, index, x.shape[axis])
    written = _laid_out(call.inside("written"), chosen, new, index.shape, axis)
    if "add" in call.target:
        return combined(call, (1.0, x), (1.0, written))
    one = np.array(1.0)
    taken = _laid_out(call.inside("taken"), chosen, one, index.shape, axis)
    if not isinstance(taken, Value):
        return combined(call, (1.0, _kept(call, x, 1.0 - taken)), (1.0, written))
    if not isinstance(x, Value) and not x.any():
        return combined(call, (1.0, written))
    left = combined(call.inside("left"), (1.0, one), (-1.0, taken))
    return combined(call, (1.0, product(call.inside("kept"), left, x)), (1.0, written))


def _kept(call: TorchCall, x: Operand, left: NDArray) -> Operand:
    return product(call.inside("kept"), x, left) if isinstance(x, Value) else x * left


def _chosen(call: TorchCall, index: Operand, places: int) -> Operand:
    """Ones where each value goes, along a new last axis."""
    if isinstance(index, Value):
        return one_hot(call, replace(index, whole=1), places)
    return np.eye(places)[index.astype(np.int64)]


def _check_extents(x: Operand, index: Operand, new: Operand, axis: int) -> None:
    """Refuse places in a part of the other axes, and values of which only a part is written."""
    others = [tuple(n for i, n in enumerate(one.shape) if i != axis) for one in (x, index)]
    if others[0] != others[1] or (new.shape and new.shape != index.shape):
        raise UnsupportedOp(
            "it writes a part of its values, or into a part of the other axes",
            "Cut the values, or what they are written into, before it.",
        )


def _laid_out(
    call: TorchCall, chosen: Operand, new: Operand, shape: tuple[int, ...], axis: int
) -> Operand:
    """The sums of the values that each place of an axis is given; `chosen` says which these are."""
    own = tuple(range(len(shape)))
    result = tuple("place" if i == axis else i for i in own)
    if isinstance(chosen, Value) or isinstance(new, Value):
        values = new if isinstance(new, Value) else np.broadcast_to(new, shape)
        return multiplied(call, [chosen, values], [(*own, "place"), own], result)
    return np.moveaxis((chosen * np.broadcast_to(new, shape)[..., None]).sum(axis), -1, axis)
