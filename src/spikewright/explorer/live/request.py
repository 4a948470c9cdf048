"""What a page asks of a run, from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import SimulationError
from spikewright.explorer.live.run import LiveRun

SLOWEST, FASTEST = 0.001, 100.0  # seconds of the network in a second
_ACTS = ("step", "reset")


@dataclass(frozen=True)
class Request:
    """Changes that a page asks for, None where it asks for none.

    `number` counts a page's requests. `playing` and `speed`, in seconds of the network a second,
    hold until they are changed; `values` are those of some inputs, by place; `act` is "step" or
    "reset"; `curves` the place of an ensemble whose tuning curves are wanted.
    """

    number: int = 0
    playing: bool | None = None
    speed: float | None = None
    values: Mapping[int, tuple[float, ...]] | None = None
    act: str | None = None
    curves: int | None = None


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "number": (lambda v: is_whole(v) and v >= 0, "a whole number from 0"),
    "playing": (lambda v: isinstance(v, bool), "true or false"),
    "speed": (
        lambda v: is_number(v) and SLOWEST <= v <= FASTEST,
        f"a number from {SLOWEST:g} to {FASTEST:g}",
    ),
    "values": (lambda v: isinstance(v, dict), "an object of lists by the place of an input"),
    "act": (lambda v: v in _ACTS, f"one of {', '.join(_ACTS)}"),
    "curves": (is_whole, "the place of an ensemble"),
}


def request_of(text: str, run: LiveRun) -> Request:
    """The request of a page that watches this run.

    Raises `SimulationError` naming what is unknown, or the field, its value and what may stand
    there.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SimulationError(f"a request is JSON: {error}") from None
    if not isinstance(given, dict):
        raise SimulationError(f"a request is a JSON object, got a {type(given).__name__}")
    known = [field.name for field in fields(Request)]
    for name, value in given.items():
        if name not in known:
            raise SimulationError(f"{name!r} is no part of a request: {', '.join(known)} are")
        holds, what = _CHECKS[name]
        if not holds(value):
            raise SimulationError(f"{name} is {what}, got {value!r}")
    if "curves" in given and not 0 <= given["curves"] < len(run.ensembles):
        raise SimulationError(f"curves is below {len(run.ensembles)}, got {given['curves']}")
    if "values" in given:
        given["values"] = dict(_moved(place, v, run) for place, v in given["values"].items())
    return Request(**given)


def _moved(place: str, values: Any, run: LiveRun) -> tuple[int, tuple[float, ...]]:
    """The place of an input, and its values, if they are values of that input."""
    if place not in map(str, range(len(run.inputs))):
        raise SimulationError(f"values: inputs are numbered below {len(run.inputs)}, got {place!r}")
    given = run.inputs[int(place)]
    size, bound = given.node.size_out, given.bound
    if not (
        isinstance(values, list)
        and len(values) == size
        and all(is_number(value) and -bound <= value <= bound for value in values)
    ):
        raise SimulationError(
            f"values: {given.name} takes a list of {size} numbers from {-bound:g} to {bound:g}, "
            f"got {values!r}"
        )
    return int(place), tuple(map(float, values))
