"""The form of a sequence's layer at one step: the same layer, without the axis of time.

A layer that acts along time has no such form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    BatchNormalization,
    Broadcast,
    Concatenate,
    Crop,
    Divide,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Layer,
    LayerNormalization,
    Lookup,
    Maximum,
    Minimum,
    Multiply,
    Pad,
    ParametricReLU,
    Permute,
    Reshape,
    RMSNormalization,
    ScaleShift,
    Shape,
    Slice,
    Sum,
    Take,
    Tile,
    UnitNormalization,
    ZeroPad,
)


class PerStep(NamedTuple):
    """The layer at one step; `time` is the axis of time that the whole layer's output has."""

    layer: Layer
    time: int


class AlongTimeError(Exception):
    """A layer has no form at one step; the message says why."""


_MIXES = "its result at one step depends on others"
_OWN = "it has values of its own for every step of the sequence"


def without(shape: Shape, axis: int) -> Shape:
    """A shape without one of its axes."""
    return (*shape[:axis], *shape[axis + 1 :])


def of_one(layer: Layer, shape: Shape, time: int) -> PerStep:
    """A layer of one input of (unbatched) `shape`, whose axis `time` is time.

    Raises `AlongTimeError` with the reason where it acts along time, or is not known not to.
    """
    rule = _RULES.get(type(layer))
    if rule is None:
        raise AlongTimeError(f"{layer.kind} is not known to act on every step alone")
    return rule(layer, shape, time)


def of_several(layer: Layer, shapes: Sequence[Shape], time: int) -> PerStep:
    """A layer of inputs that all have time, counted from the end in `time` (below zero).

    Raises `AlongTimeError` as `of_one` does.
    """
    if isinstance(layer, Add | Multiply | Maximum | Minimum | Divide):
        return PerStep(layer, max(map(len, shapes)) + time)
    if isinstance(layer, Concatenate):
        rank = len(shapes[0])
        axis, at = layer.axis % rank, rank + time
        if axis == at:
            raise AlongTimeError("it joins sequences one behind the other")
        return PerStep(Concatenate(axis - (axis > at)), at)
    raise AlongTimeError(f"{layer.kind} is not known to act on every step alone")


def _same(layer: Layer, shape: Shape, time: int) -> PerStep:
    return PerStep(layer, time)


def _affine(layer: Affine, shape: Shape, time: int) -> PerStep:
    if time == len(shape) - 1:
        raise AlongTimeError("its weights act along time")
    return PerStep(layer, time)


def _activation(layer: Activation, shape: Shape, time: int) -> PerStep:
    if layer.elementwise:
        return PerStep(layer, time)
    axis = layer.axis(len(shape)) + len(shape)
    (moved,) = _moved((axis,), len(shape), time)
    return PerStep(replace(layer, parameters={"axis": moved}), time)


def _moved(axes: Sequence[int], rank: int, time: int) -> tuple[int, ...]:
    """Axes as they are without that of time; raises `AlongTimeError` if it is one of them."""
    counted = [axis % rank for axis in axes]
    if time in counted:
        raise AlongTimeError(_MIXES)
    return tuple(axis - (axis > time) for axis in counted)


def _on_axis(layer: Any, shape: Shape, time: int) -> PerStep:
    (axis,) = _moved((layer.axis,), len(shape), time)
    return PerStep(replace(layer, axis=axis), time)


def _on_axes(layer: Any, shape: Shape, time: int) -> PerStep:
    axes = _moved(layer.axes, len(shape), time)
    changes: dict[str, Any] = {"axes": axes}
    for name in ("scale", "shift"):
        value = getattr(layer, name, None)
        if value is not None:
            changes[name] = _broadcast_without(value, shape, time)
    return PerStep(replace(layer, **changes), time)


def _reduced(layer: Any, shape: Shape, time: int) -> PerStep:
    """Sums and maxima over whole axes, which may vanish in front of time."""
    found = _on_axes(layer, shape, time)
    gone = 0 if layer.keepdims else sum(axis % len(shape) < time for axis in layer.axes)
    return PerStep(found.layer, time - gone)


def _broadcast_without(value: NDArray, shape: Shape, time: int) -> NDArray:
    """A value that broadcasts to `shape`, without the axis of time, along which it is constant."""
    axis = time - (len(shape) - value.ndim)
    if axis < 0:
        return value
    first = np.take(value, [0], axis)
    if not np.array_equal(np.broadcast_to(first, value.shape), value):
        raise AlongTimeError(_OWN)
    return np.squeeze(first, axis)


def _scale_shift(layer: ScaleShift, shape: Shape, time: int) -> PerStep:
    parts = (
        None if value is None else _broadcast_without(value, shape, time)
        for value in (layer.scale, layer.shift)
    )
    return PerStep(ScaleShift(*parts), time)


def _parametric(layer: ParametricReLU, shape: Shape, time: int) -> PerStep:
    return PerStep(ParametricReLU(_broadcast_without(layer.slope, shape, time)), time)


def _reshape(layer: Reshape, shape: Shape, time: int) -> PerStep:
    """One that leaves time an axis of its own, with as many values before it."""
    made = layer.output_shape(shape)
    before = math.prod(shape[:time])
    for axis, steps in enumerate(made):
        if steps == shape[time] and math.prod(made[:axis]) == before:
            return PerStep(Reshape(without(made, axis)), axis)
    raise AlongTimeError("it mixes the axis of time with others")


def _permute(layer: Permute, shape: Shape, time: int) -> PerStep:
    axes = tuple(axis - (axis > time) for axis in layer.axes if axis != time)
    return PerStep(Permute(axes), layer.axes.index(time))


def _slice(layer: Slice, shape: Shape, time: int) -> PerStep:
    if layer.ranges[time] != (0, shape[time], 1):
        raise AlongTimeError("it chooses some steps of the sequence")
    return PerStep(Slice(without(layer.ranges, time)), time)  # type: ignore[arg-type]


def _take(layer: Take, shape: Shape, time: int) -> PerStep:
    (axis,) = _moved((layer.axis,), len(shape), time)
    more = layer.indices.ndim - 1 if layer.axis % len(shape) < time else 0
    return PerStep(Take(layer.indices, axis), time + more)


def _per_axis(name: str, nothing: Any) -> Callable[[Any, Shape, int], PerStep]:
    """Layers with one entry an axis: that of time must be the one that leaves it alone."""

    def rule(layer: Any, shape: Shape, time: int) -> PerStep:
        entries = getattr(layer, name)
        if entries[time] != nothing:
            raise AlongTimeError(_MIXES)
        return PerStep(replace(layer, **{name: without(entries, time)}), time)

    return rule


def _broadcast(layer: Broadcast, shape: Shape, time: int) -> PerStep:
    at = time + len(layer.shape) - len(shape)
    return PerStep(Broadcast(without(layer.shape, at)), at)


_RULES: Mapping[type[Layer], Callable[[Any, Shape, int], PerStep]] = {
    **dict.fromkeys((Identity, Add, Multiply, Maximum, Minimum, Lookup), _same),
    Affine: _affine,
    Activation: _activation,
    **dict.fromkeys((BatchNormalization,), _on_axis),
    **dict.fromkeys((LayerNormalization, RMSNormalization, UnitNormalization), _on_axes),
    **dict.fromkeys((GlobalAveragePool, GlobalMaxPool, Sum), _reduced),
    ScaleShift: _scale_shift,
    ParametricReLU: _parametric,
    Reshape: _reshape,
    Permute: _permute,
    Slice: _slice,
    Take: _take,
    Concatenate: lambda layer, shape, time: of_several(layer, [shape], time - len(shape)),
    Crop: _per_axis("crops", (0, 0)),
    Tile: _per_axis("repeats", 1),
    **dict.fromkeys((Pad, ZeroPad), _per_axis("pads", (0, 0))),
    Broadcast: _broadcast,
}
