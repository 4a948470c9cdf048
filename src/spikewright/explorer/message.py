"""Messages of pages: JSON objects whose fields are checked, since none of them is trusted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from spikewright._base.arguments import is_whole
from spikewright.errors import SimulationError, short_name

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

Checks = Mapping[str, tuple[Callable[[Any], bool], str]]
"""By the name of a field: true for values that may stand there, and what these are, in words."""

NUMBER = (lambda v: is_whole(v) and v >= 0, "a whole number from 0")
"""The check of the number that a page gives a request."""


LONGEST = 1 << 20
"""Characters of a request, at most."""


async def messages(socket: WebSocket) -> AsyncIterator[str | bytes]:
    """What a page sends until it leaves: texts, and bytes, which no page of ours sends."""
    while (message := await socket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        yield text if text is not None else message.get("bytes") or b""


def received(text: str | bytes) -> dict[str, Any]:
    """The object in a text; raises `SimulationError` for anything else that a page sends."""
    if not isinstance(text, str):
        raise SimulationError(f"a request is a text, got a binary message of {len(text)} bytes")
    if len(text) > LONGEST:
        raise SimulationError(f"a request has at most {LONGEST} characters, got {len(text)}")
    try:
        given = json.loads(text)
    except RecursionError:
        raise SimulationError("a request is JSON, and no lists in lists a thousand deep") from None
    except ValueError as error:
        raise SimulationError(f"a request is JSON: {error}") from None
    if not isinstance(given, dict):
        raise SimulationError(f"a request is a JSON object, got a {type(given).__name__}")
    return given


def check(given: Mapping[str, Any], checks: Checks) -> None:
    """Raise `SimulationError` for an unknown name, or a value that may not stand in its field."""
    unknown = sorted(set(given) - set(checks))
    if unknown:
        names = ", ".join(checks)
        raise SimulationError(f"{shown(unknown[0])} is no part of a request: {names} are")
    for name, value in given.items():
        holds, what = checks[name]
        if not holds(value):
            raise SimulationError(f"{name} is {what}, got {shown(value)}")


def shown(value: Any) -> str:
    """A value of a request in a message: a page may send much, and deep lists have no text."""
    try:
        return short_name(repr(value))
    except (RecursionError, ValueError):  # lists in lists without end, whole numbers without end
        return f"a {type(value).__name__} that is too large to show"
