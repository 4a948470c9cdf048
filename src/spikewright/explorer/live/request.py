"""The request of a page that watches a run, from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import SimulationError
from spikewright.explorer.live.run import LiveRun
from spikewright.explorer.message import NUMBER, Checks, check, received, shown

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


_CHECKS: Checks = {
    "number": NUMBER,
    "playing": (lambda v: isinstance(v, bool), "true or false"),
    "speed": (
        lambda v: is_number(v) and SLOWEST <= v <= FASTEST,
        f"a number from {SLOWEST:g} to {FASTEST:g}",
    ),
    "values": (lambda v: isinstance(v, dict), "an object of lists by the place of an input"),
    "act": (lambda v: v in _ACTS, f"one of {', '.join(_ACTS)}"),
    "curves": (is_whole, "the place of an ensemble"),
}


def request_of(text: str | bytes, run: LiveRun) -> Request:
    """The request of a page that watches this run.

    Raises `SimulationError` naming what is unknown, or the field, its value and what may stand
    there.
    """
    given = received(text)
    check(given, _CHECKS)
    if "curves" in given and not 0 <= given["curves"] < len(run.ensembles):
        raise SimulationError(f"curves is below {len(run.ensembles)}, got {given['curves']}")
    if "values" in given:
        given["values"] = dict(_moved(place, v, run) for place, v in given["values"].items())
    return Request(**given)


def _moved(place: str, values: Any, run: LiveRun) -> tuple[int, tuple[float, ...]]:
    """The place of an input, and its values, if they are values of that input."""
    if place not in map(str, range(len(run.inputs))):
        count = len(run.inputs)
        raise SimulationError(f"values: inputs are numbered below {count}, got {shown(place)}")
    given = run.inputs[int(place)]
    size, bound = given.node.size_out, given.bound
    if not (
        isinstance(values, list)
        and len(values) == size
        and all(is_number(value) and -bound <= value <= bound for value in values)
    ):
        raise SimulationError(
            f"values: {given.name} takes a list of {size} numbers from {-bound:g} to {bound:g}, "
            f"got {shown(values)}"
        )
    return int(place), tuple(map(float, values))
