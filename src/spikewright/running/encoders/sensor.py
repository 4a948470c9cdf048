"""Events as sensors record them: structured arrays with the fields t, x, y and p, as tonic's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.running.encoders.base import Shape

UNIT = 1e-6  # seconds: sensors count microseconds
_ONE = ""  # an axis of one place, which no field is about


def rows_of(events: NDArray, shape: Shape, where: str) -> NDArray:
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
        told = ", ".join(f"{name} {events[name][number]}" for name in events.dtype.names or ())
        raise SimulationError(f"{where}: event {number}, ({told}), {why}")
