"""The request of a page that watches a run, from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikewright._base.arguments import is_number
from spikewright._base.options import Check, number, one_of, whole
from spikewright.errors import SimulationError
from spikewright.explorer.live.run import LiveRun
from spikewright.explorer.message import asked, received, shown

_VALUES = Check(
    "an object of lists by the place of an input", lambda value: isinstance(value, dict)
)


@dataclass(frozen=True)
class Request:
    """Changes that a page asks for, None where it asks for none.

    `playing` and `speed`, in seconds of the network a second, hold until they are changed; `values`
    are those of some inputs, by place; `act` is "step" or "reset"; `curves` the place of an
    ensemble whose tuning curves are wanted.
    """

    playing: bool | None = asked(Check("true or false", lambda value: isinstance(value, bool)))
    speed: float | None = asked(number(1e-3, most=100))
    values: Mapping[int, tuple[float, ...]] | None = asked(_VALUES)
    act: str | None = asked(one_of(("step", "reset")))
    curves: int | None = asked(whole(0))


def request_of(text: str | bytes, run: LiveRun) -> tuple[int, Request]:
    """The number of a request, and the request, of a page that watches this run.

    Raises `SimulationError` naming what is unknown, or the field, its value and what may stand
    there.
    """
    number, given = received(text, Request)
    if given.get("curves", -1) >= len(run.ensembles):
        raise SimulationError(f"curves is below {len(run.ensembles)}, got {given['curves']}")
    if "values" in given:
        given["values"] = dict(_moved(place, v, run) for place, v in given["values"].items())
    return number, Request(**given)


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
