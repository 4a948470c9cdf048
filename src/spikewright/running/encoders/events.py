"""Events as neuromorphic sensors give them: rows (time, index, value), or structured arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import SimulationError
from spikewright.running.encoders.values import Encoder, Shape, check_rate

_MOST_STEPS = 10_000_000  # that events alone make a run last
_TOLERANCE = 1e-6  # of a step: a time that is a multiple of dt belongs to the step it begins
_UNIT = 1e-6  # seconds: sensors count microseconds
_ONE = ""  # an axis of one place, which no field is about


@dataclass(frozen=True)
class Events(Encoder):
    """Samples are lists of events, rows `(time, index, value)`; each is a pulse in its step.

    `x` is a sequence of arrays `(events, 2 + k)`, one a sample, of any length, in any order:
    columns are the time, the index (`k` = 1: into the flattened input, else one column an axis of
    the input, as x and y of a camera) and the value, such as a polarity of 1 or -1. Or arrays are
    structured `(events,)`, in the order of time, with the fields t, x, y and p in any order, as
    tonic and sensors give them: of a polarity p the input has an axis of two, else it is the sign.
    `time_unit` is the unit of times in seconds: None is 1 of rows, and 1e-6, microseconds, of
    structured arrays. An event at time t is in the step that lasts from `n dt` to `(n + 1) dt`.
    Events of one step and place add up.

    A value v is a pulse of height `v / (rate dt)`: events of value 1 that come `rate` times a
    second are an input of 1 on average. Without a `rate` the mean over the whole run is the sum of
    all events, the frame that networks for event data are often trained on. A run that is given no
    number of steps ends with the last event. Raises `SimulationError` for events before the start,
    behind the end or outside the input, and for fields that are missing or do not fit.
    """

    time_unit: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None:
            check_rate(self, self.rate)
        unit = self.time_unit
        if unit is not None and not (is_number(unit) and unit > 0):
            raise SimulationError(f"Events: time_unit is a number of seconds above 0, got {unit!r}")

    @property
    def takes_arrays(self) -> bool:
        return False

    def samples(self, given: Any, name: str, shape: Shape) -> Sequence[Any]:
        if _is_structured(given):
            raise SimulationError(f"input {name!r} is the events of one sample: give [events]")
        try:
            return [
                self._rows(sample, shape, f"input {name!r}, sample {number}")
                for number, sample in enumerate(given)
            ]
        except (TypeError, ValueError) as error:
            raise SimulationError(
                f"input {name!r} must be a sequence of arrays of events for {self!r}: {error}"
            ) from None

    def _rows(self, sample: Any, shape: Shape, where: str) -> NDArray:
        """A sample's events, times in units of `_unit`."""
        if _is_structured(sample):
            rows = _rows_of(sample, shape, where)
            rows[:, 0] *= 1.0 if self.time_unit else _UNIT
        else:
            rows = np.asarray(sample, np.float64)
        _check(rows, shape, where)
        return rows

    @property
    def _unit(self) -> float:
        """Seconds of a unit of rows' times."""
        return 1.0 if self.time_unit is None else self.time_unit

    @property
    def _units(self) -> str:
        alone = f"{self._unit:g} s"
        return alone if self.time_unit else f"{alone}, {_UNIT:g} s in structured arrays"

    def needed(self, samples: Sequence[Any], dt: float) -> int | None:
        steps = 1 + max(
            (self._steps(sample, dt).max() for sample in samples if len(sample)), default=0
        )
        if steps > _MOST_STEPS:
            raise SimulationError(
                f"the last event would be in step {steps:.3g} of {dt:g} s; with {self!r} times are "
                f"in units of {self._units}: give time_unit=1e-6 for microseconds, or steps"
            )
        return int(steps)

    def _steps(self, sample: NDArray, dt: float) -> NDArray:
        """The number of the step, from 0, that each event is in: a whole number."""
        return np.floor(sample[:, 0] * (self._unit / dt) + _TOLERANCE)

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        size = math.prod(shape)
        frames = np.zeros((len(samples), steps * size))
        factor = steps if self.rate is None else 1.0 / (self.rate * dt)
        for sample, frame in zip(samples, frames, strict=True):
            step = self._steps(sample, dt)
            if len(sample) and step.max() >= steps:
                raise SimulationError(
                    f"an event at {sample[:, 0].max() * self._unit:g} s comes after the run's "
                    f"{steps} steps of {dt:g} s; give more steps, or cut the events off"
                )
            at = step.astype(np.int64) * size + _places(sample, shape)
            np.add.at(frame, at, sample[:, -1])
            frame[np.unique(at)] *= factor  # all others are zero, and most are never written
        return frames.reshape(len(samples), steps, *shape)


def _is_structured(given: Any) -> bool:
    return isinstance(given, np.ndarray) and given.dtype.names is not None


def _places(sample: NDArray, shape: Shape) -> NDArray:
    """The place of every event in the flattened input."""
    index = sample[:, 1:-1].astype(np.int64)
    if index.shape[1] == 0:
        return np.zeros(len(sample), np.int64)
    if index.shape[1] == 1:
        return index[:, 0]
    return np.asarray(np.ravel_multi_index(tuple(index.T), shape), np.int64)


def _check(sample: NDArray, shape: Shape, where: str) -> None:
    """Raise `SimulationError` naming the first invalid event, and its fault."""
    widths = sorted({3, 2 + len(shape)})
    if sample.ndim != 2 or sample.shape[1] not in widths:
        wanted = " or ".join(f"(events, {width})" for width in widths)
        raise SimulationError(
            f"{where}: events are rows (time, index, value) of an array {wanted}, got shape "
            f"{sample.shape}"
        )
    single = sample.shape[1] == 3
    extents = np.array([math.prod(shape)] if single else shape)
    index = sample[:, 1:-1]
    with np.errstate(invalid="ignore"):
        outside = ((index < 0) | (index >= extents) | (index != np.floor(index))).any(axis=1)
    for bad, why in (
        (~np.isfinite(sample).all(axis=1), "is not made of finite numbers"),
        (sample[:, 0] < 0, "comes before the start"),
        (outside, f"is not inside an input of shape {shape}"),
    ):
        if bad.any():
            number = int(np.flatnonzero(bad)[0])
            row = ", ".join(f"{value:g}" for value in sample[number])
            raise SimulationError(f"{where}: event {number}, ({row}), {why}")


def _rows_of(events: NDArray, shape: Shape, where: str) -> NDArray:
    """Rows `(t, index, ..., value)` of a structured array `(events,)`, its fields in any order.

    Along an axis of two, the first or the last, the polarity p is the place: 0 (or -1) and 1; every
    value is 1. Without such an axis it is the value's sign. `(n,)` takes x as its index. Without a
    field p that is not needed all values are 1. Raises `SimulationError` for missing fields, other
    polarities, times that are below 0 or go back, positions outside and inputs of another form.
    """
    axes = _axes(shape, where)
    has = events.dtype.names or ()
    missing = [name for name in ("t", *axes) if name not in (*has, _ONE)]
    if missing or events.ndim != 1:
        raise SimulationError(
            f"{where}: events are a structured array (events,) with the fields t, "
            f"{', '.join(filter(None, axes))} for an input of shape {shape}; got shape "
            f"{events.shape} with {', '.join(has)}"
        )
    columns = {name: np.asarray(events[name], np.float64) for name in has if name in "txyp"}
    polarity = columns.pop("p", np.ones(len(events)))
    columns |= {"p": (polarity > 0).astype(np.float64), _ONE: np.zeros(len(events))}
    _check_times(columns["t"], events, where)
    _refuse(~np.isin(polarity, (-1, 0, 1)), events, where, "has a polarity other than -1, 0 and 1")
    for name, extent in zip(axes, shape, strict=True):
        index = columns[name]
        outside = ~((index >= 0) & (index < extent) & (index == np.floor(index)))
        _refuse(outside, events, where, f"is outside: {name} is from 0 to {extent - 1}")
    value = np.ones(len(events)) if "p" in axes else np.where(polarity > 0, 1.0, -1.0)
    return np.stack([columns["t"], *(columns[name] for name in axes), value], axis=1)


def _axes(shape: Shape, where: str) -> tuple[str, ...]:
    """The field behind each axis of an input."""
    if len(shape) < 3:
        return ("y", "x") if len(shape) == 2 else ("x",) * len(shape)
    if len(shape) == 3:
        first, last = shape[0], shape[-1]
        for extent, name in ((2, "p"), (1, _ONE)):
            if first == extent and (last != extent or extent == 1):
                return name, "y", "x"
            if last == extent != first:
                return "y", "x", name
    raise SimulationError(
        f"{where}: the fields x, y and p fit inputs (n,), (height, width) and those with an axis "
        f"of 2 or 1 before or behind; for one of shape {shape} give rows (time, index, value)"
    )


def _check_times(times: NDArray, events: NDArray, where: str) -> None:
    _refuse(~(times >= 0), events, where, "comes before the start")
    back = np.append(False, np.diff(times) < 0)
    _refuse(back, events, where, "is earlier than the one before it: np.sort(events, order='t')")


def _refuse(bad: NDArray, events: NDArray, where: str, why: str) -> None:
    """Raise `SimulationError` naming the first of the bad events, and its fault."""
    if bad.any():
        number = int(np.flatnonzero(bad)[0])
        fields_text = ", ".join(
            f"{name} {events[name][number]}" for name in events.dtype.names or ()
        )
        raise SimulationError(f"{where}: event {number}, ({fields_text}), {why}")
