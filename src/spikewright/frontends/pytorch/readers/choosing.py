"""Choosing values by indices, which must be constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.readers.lookup import rows_of_constant
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.contraction import multiplied
from spikewright.frontends.reading.layout import BATCH_FIRST, sample_shape
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.selection import taken
from spikewright.frontends.reading.truth import one_hot
from spikewright.frontends.reading.values import Value, finite
from spikewright.graph.layers import Reshape, Take


def _whole(call: Call, indices: Any) -> np.ndarray:
    if not isinstance(indices, torch.Tensor):
        raise Unreadable(
            "its indices depend on the input",
            "Make them constants of a module around this one.",
        )
    return np.asarray(indices.detach().cpu().numpy(), np.int64)


@reads("aten.index_select.default")
def _index_select(call: Call) -> Value:
    if isinstance(call["self"], torch.Tensor) and call["dim"] == 0:
        return rows_of_constant(call, call.value("index"))
    x = call.value("self")
    return taken(call, x, _whole(call, call["index"]), call.axis(x, call["dim"]))


@reads("aten.index.Tensor")
def _index(call: Call) -> Value:
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


def _computed(call: Call, x: Value, given: Any, used: list[int], computed: list[int]) -> Value:
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
def _gather(call: Call) -> Value:
    x, dim, index = call["self"], call["dim"], call["index"]
    if isinstance(index, Value):
        return _gathered(call, x, dim, finite(index))
    x = call.value("self")
    return _looked_up(call, x, lambda where: where.gather(dim, index.cpu()))


def _gathered(call: Call, x: Any, dim: int, index: Value) -> Value:
    """Entries of an axis at computed places, which differ along the others."""
    axis = call.axis(index, dim)
    if not index.whole:
        _whole(call, index)
    operand = finite(x) if isinstance(x, Value) else call.against(x)
    own = tuple(range(len(index.shape)))
    others = [(n, m) for i, (n, m) in enumerate(zip(index.shape, operand.shape, strict=True))
              if i != axis]  # fmt: skip
    if any(m not in (1, n) for n, m in others):
        raise Unreadable("it reads from a part of the other axes alone", "Cut them off before it.")
    chosen = one_hot(call, index, operand.shape[axis])
    labels = [(*own, "place"), tuple("place" if i == axis else i for i in own)]
    return multiplied(call, [chosen, operand], labels, own)


@reads("aten.unfold.default")
def _unfold(call: Call) -> Value:
    return _looked_up(
        call,
        call.value("self"),
        lambda where: where.unfold(call["dimension"], call["size"], call["step"]),
    )


@reads("aten.diagonal.default")
def _diagonal(call: Call) -> Value:
    axes = call["offset"], call["dim1"], call["dim2"]
    return _looked_up(call, call.value("self"), lambda where: where.diagonal(*axes))


def _looked_up(call: Call, x: Value, choose: Any) -> Value:
    """Any choice of values: its effect on their positions, for one sample, is looked up."""
    shape = x.shape
    number = math.prod(shape)
    where = torch.arange(number).reshape((1,) * (x.rank - len(shape)) + shape)
    found = choose(where).numpy()
    indices = np.ascontiguousarray(found.reshape(sample_shape(found.shape)))
    flat = ("flat", None if len(shape) == 1 else Reshape((number,)))
    return call.chain(x, flat, ("take", Take(indices, 0)))
