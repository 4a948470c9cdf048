"""The largest values along an axis, and values in order, with the places where they stood."""

from __future__ import annotations

import math
from typing import Any

import torch

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.ranking import in_order, place_of_extremum
from spikewright.frontends.reading.values import Value


@reads("aten.argmax.default", "aten.argmin.default")
def _argmax(call: Call) -> Value:
    """The place of the largest or smallest value along an axis, as a whole number."""
    x = call.value("self")
    if call["dim"] is None:
        x = call.view(x, (1, math.prod(x.shape)))
        axis = 0
    else:
        axis = call.axis(x, call["dim"])
    keep = bool(call["keepdim"]) and call["dim"] is not None
    return place_of_extremum(call, x, axis, keep, "argmax" in call.target)


@reads("aten.topk.default")
def _largest(call: Call) -> tuple[Any, Any]:
    """The largest or smallest values and their places; of equal ones the first come first."""
    return _in_order(call, bool(call["largest"]), call["k"], call["dim"])


@reads("aten.sort.default", "aten.sort.stable")
def _sort(call: Call) -> tuple[Any, Any]:
    return _in_order(call, bool(call["descending"]), None, call["dim"])


@reads("aten.argsort.default", "aten.argsort.stable")
def _places_in_order(call: Call) -> Any:
    return _in_order(call, bool(call["descending"]), None, call["dim"])[1]


def _in_order(call: Call, falling: bool, count: int | None, dim: int) -> tuple[Any, Any]:
    """So many of the largest or smallest values along an axis, or all of them, and their places."""
    x = call.value("self")
    axis = call.axis(x, dim)
    if x.shape[axis] == 1:  # one value is in order
        several = isinstance(call.results, tuple | list)
        places = call.results[1] if several else call.results
        return x, torch.zeros(tuple(places.shape), dtype=torch.int64)
    return in_order(call, x, axis, x.shape[axis] if count is None else count, falling)
