"""Choosing values by indices, which must be constants."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.readers.lookup import rows_of_constant
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.reading.layout import BATCH, fits
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.selection import taken
from spikewright.frontends.reading.values import Value, finite
from spikewright.graph.layers import Reshape, Take


def _whole(call: Call, indices: Any) -> np.ndarray:
    if not isinstance(indices, torch.Tensor):
        raise Unreadable(
            "its indices depend on the input",
            "Make them constants of a module around this one, or keep what comes before it: "
            "outputs=[...].",
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
    for computed in (index for index in given if isinstance(index, Value)):
        _whole(call, computed)
    for dim in used:
        call.axis(x, dim)
    if len(used) == 1 and isinstance(given[used[0]], torch.Tensor) and (
        given[used[0]].dtype != torch.bool
    ):  # fmt: skip
        return taken(call, x, _whole(call, given[used[0]]), call.axis(x, used[0]))
    for index in given:
        if index is not None:
            _whole(call, index)
    chosen = tuple(slice(None) if i is None else i.detach().cpu() for i in given)
    return _looked_up(call, x, lambda where: where[chosen])


@reads("aten.gather.default")
def _gather(call: Call) -> Value:
    x, index = call.value("self"), call["index"]
    _whole(call, index)
    dim = call["dim"]
    call.axis(x, dim)
    axis = x.layout.axis
    if not bool((index == index.narrow(axis, 0, 1)).all()):
        raise Unreadable("its indices differ from sample to sample")
    if x.merged:
        return _gathered_merged(call, x, dim, index.narrow(axis, 0, 1).cpu())
    return _looked_up(call, x, lambda where: where.gather(dim, index.narrow(axis, 0, 1).cpu()))


def _gathered_merged(call: Call, x: Value, dim: int, row: torch.Tensor) -> Value:
    """By the same indices in every row of an axis that samples are merged with, as heads are."""
    shape, groups = x.shape, x.layout.groups(len(x.shape))
    sizes = [math.prod(shape[own] for own in group if own != BATCH) for group in groups]
    rows = row.expand(
        *[-1 if BATCH not in group else n for group, n in zip(groups, sizes, strict=True)]
    )
    found = torch.arange(math.prod(shape)).reshape(sizes).gather(dim, rows)
    chosen = [shape[own] if BATCH in group else found.shape[k]
              for k, group in enumerate(groups) for own in group if own != BATCH]  # fmt: skip
    if not fits(chosen, x.layout, sizes_of(call.results), call.batch):
        raise Unreadable("its indices and the rows that they choose from differ in number", MIXES)
    take = Take(found.reshape(chosen).numpy(), 0)
    made = call.chain(x, ("flat", Reshape((math.prod(shape),))), ("take", take))
    return replace(made, layout=x.layout)


@reads("aten.unfold.default")
def _unfold(call: Call) -> Value:
    x = call.value("self")
    call.axis(x, call["dimension"])
    return _looked_up(
        call, x, lambda where: where.unfold(call["dimension"], call["size"], call["step"])
    )


@reads("aten.diagonal.default")
def _diagonal(call: Call) -> Value:
    x = call.value("self")
    offset, first, second = call["offset"], call["dim1"], call["dim2"]
    for dim in (first, second):
        call.axis(x, dim)
    return _looked_up(call, x, lambda where: where.diagonal(offset, first, second))


def _looked_up(call: Call, x: Value, choose: Any) -> Value:
    """Any choice of values: its effect on their positions, for one sample, is looked up."""
    if x.merged:
        raise Unreadable("the batch axis is merged with another one", MIXES)
    shape, axis = x.shape, x.layout.axis
    number = int(np.prod(shape))
    where = torch.arange(number).reshape(*shape[:axis], 1, *shape[axis:])
    found = choose(where)
    sizes = sizes_of(call.results)
    places = [dim for dim, size in enumerate(sizes) if call.batch.factor(size) == 1]
    places = [dim for dim in places if found.shape[dim] == 1]
    if len(places) > 1 and axis in places:
        places = [axis]
    if len(places) != 1:
        raise Unreadable("the batch axis cannot be followed through it", MIXES)
    indices = found.squeeze(places[0]).numpy()
    flat = ("flat", None if len(shape) == 1 else Reshape((number,)))
    made = call.chain(x, flat, ("take", Take(np.ascontiguousarray(indices), 0)))
    return replace(made, layout=x.layout.moved(places[0] - axis))
