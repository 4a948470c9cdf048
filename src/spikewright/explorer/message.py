"""Messages of pages: JSON objects whose fields are checked, since none of them is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from spikewright._base.arguments import is_whole
from spikewright.errors import SimulationError

Checks = Mapping[str, tuple[Callable[[Any], bool], str]]
"""By the name of a field: true for values that may stand there, and what these are, in words."""

NUMBER = (lambda v: is_whole(v) and v >= 0, "a whole number from 0")
"""The check of the number that a page gives a request."""


def received(text: str) -> dict[str, Any]:
    """The object in a text; raises `SimulationError` for any other text."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SimulationError(f"a request is JSON: {error}") from None
    if not isinstance(given, dict):
        raise SimulationError(f"a request is a JSON object, got a {type(given).__name__}")
    return given


def check(given: Mapping[str, Any], checks: Checks) -> None:
    """Raise `SimulationError` for an unknown name, or a value that may not stand in its field."""
    unknown = sorted(set(given) - set(checks))
    if unknown:
        raise SimulationError(f"{unknown[0]!r} is no part of a request: {', '.join(checks)} are")
    for name, value in given.items():
        holds, what = checks[name]
        if not holds(value):
            raise SimulationError(f"{name} is {what}, got {value!r}")
