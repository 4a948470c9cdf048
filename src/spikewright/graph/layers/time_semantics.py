"""Time semantics of layers: the form on all steps of a sequence at once, and that at one step.

A layer does the same at every position of an axis that it leaves alone. So it has a form on whole
sequences, with an axis of time more, and one at a single step, without it. Each layer declares how
it acts on axes (`Layer.acts`), and both forms follow: one adds an axis that the layer leaves alone,
the other removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
T = TypeVar("T")

MIXES = "its result at one step depends on others"
OWN = "it has values of its own for every step of the sequence"


class AlongTimeError(Exception):
    """A layer has no form at one step; the message says why."""


def without(entries: tuple[T, ...], axis: int) -> tuple[T, ...]:
    """A shape, or other entries one an axis, without one of its axes."""
    return (*entries[:axis], *entries[axis + 1 :])


def in_front(axis: int) -> int:
    """An axis of a step, where time is in front; axes below zero count from the end."""
    return axis + (axis >= 0)


def remaining(axis: int, rank: int, time: int, reason: str = MIXES) -> int:
    """An axis of a sequence without the axis `time`; raises `AlongTimeError` if it is that."""
    if axis % rank == time:
        raise AlongTimeError(reason)
    return axis - (axis > time) if axis >= 0 else axis + (axis % rank < time)


def shared(value: NDArray, axis: int) -> NDArray:
    """A value without an axis, counted from the end; raises `AlongTimeError` where it varies."""
    if -axis > value.ndim:
        return value
    first = np.take(value, [0], axis)
    if not np.array_equal(np.broadcast_to(first, value.shape), value):
        raise AlongTimeError(OWN)
    return np.squeeze(first, axis)


def one(extent: int) -> int:
    """The entry of an axis that is left alone, where that is one repeat, step or value."""
    return 1


def no_pair(extent: int) -> tuple[int, int]:
    """The entry of an axis that is left alone, where that is nothing before and after."""
    return (0, 0)


@dataclass(frozen=True)
class TimeSemantics:
    """How a layer acts on the axes of its inputs, read from the names of its fields.

    `axes` is the field of the axis, or axes, along which it acts; each becomes `becomes` axes. It
    also acts along the `last` ones, without a field. `entries` are fields with one entry an axis,
    each with the entry that leaves an axis of an extent alone. `arrays` broadcast against the
    input. `reason` says why a layer that acts along time has no form at one step.
    """

    axes: str = ""
    becomes: Callable[[Any], int] = one
    last: int = 0
    entries: Mapping[str, Callable[[int], Any]] = field(default_factory=dict)
    arrays: tuple[str, ...] = ()
    reason: str = MIXES

    def over_steps(self, layer: Any, steps: int) -> Any:
        """The layer on sequences, whose first axis is time; None where there is none."""
        changes = {
            name: (alone(steps), *getattr(layer, name)) for name, alone in self.entries.items()
        }
        if self.axes:
            changes[self.axes] = _each(in_front, getattr(layer, self.axes))
        return replace(layer, **changes) if changes else layer

    def at_one_step(self, layer: Any, time: int, shapes: tuple[Shape, ...]) -> tuple[Any, int]:
        """See `Layer.at_one_step`."""
        shape = max(shapes, key=len)
        rank, at = len(shape), time
        if time >= rank - self.last:
            raise AlongTimeError(self.reason)
        changes = self._other_entries(layer, time, shape[time])
        if self.axes:
            axes = getattr(layer, self.axes)
            changes[self.axes] = _each(lambda axis: remaining(axis, rank, time, self.reason), axes)
            before = [axis for axis in np.atleast_1d(axes).tolist() if axis % rank < time]
            at += len(before) * (self.becomes(layer) - 1)
        for name in self.arrays:
            value = getattr(layer, name)
            changes[name] = None if value is None else shared(value, time - rank)
        return replace(layer, **changes) if changes else layer, at

    def _other_entries(self, layer: Any, axis: int, extent: int) -> dict[str, Any]:
        """The fields of entries without that of an axis, which must leave the axis alone."""
        for name, alone in self.entries.items():
            if getattr(layer, name)[axis] != alone(extent):
                raise AlongTimeError(self.reason)
        return {name: without(getattr(layer, name), axis) for name in self.entries}


def _each(change: Callable[[int], int], axes: Any) -> Any:
    """An axis, or each of a tuple of axes, changed."""
    return tuple(map(change, axes)) if isinstance(axes, tuple) else change(axes)


@dataclass(frozen=True)
class Windowed(TimeSemantics):
    """Sliding windows: entries are those of the one to three spatial axes, beside the channels.

    A field `weight` has these axes behind its first two.
    """

    def over_steps(self, layer: Any, steps: int) -> Any:
        """Windows of one step: time is a spatial axis more, so channels must be last."""
        if not layer.channels_last or len(getattr(layer, next(iter(self.entries)))) > 2:
            return None
        return self.widened(layer, steps)

    def widened(self, layer: Any, extent: int) -> Any:
        """The layer with a spatial axis of this extent more, the first, which it leaves alone."""
        made = super().over_steps(layer, extent)
        return replace(made, weight=layer.weight[:, :, None]) if hasattr(layer, "weight") else made

    def at_one_step(self, layer: Any, time: int, shapes: tuple[Shape, ...]) -> tuple[Any, int]:
        """See `Layer.at_one_step`."""
        (shape,) = shapes
        spatial, axis = len(shape) - 1, time - (not layer.channels_last)
        weight = getattr(layer, "weight", None)
        channels = axis in (-1, spatial)
        if channels or (weight is not None and weight.shape[axis + 2] != 1):
            raise AlongTimeError(self.reason)
        changes = self._other_entries(layer, axis, shape[time])
        if spatial == 1:
            raise AlongTimeError("it has no axis beside time and channels")
        if weight is not None:
            changes["weight"] = np.squeeze(weight, axis + 2)
        return replace(layer, **changes), time
