"""Messages of pages and to them: requests, of which nothing is trusted, and binary answers.

A request is a JSON object. A binary answer is a header in JSON, and arrays behind it, as they lie
in memory:

4 bytes         length of the header, a little-endian whole number
the header      JSON in UTF-8; "arrays" are {name: {"type", "shape", "offset"}}
the arrays      from the next multiple of eight bytes on, each at its offset from there
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.options import Check, whole
from spikewright.errors import SimulationError, SpikewrightError, printable, short_name

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

LONGEST = 1 << 20
"""Characters of a request, at most."""

_ALIGNED = 8


def asked(check: Check, default: Any = None) -> Any:
    """A field of a request: the check of what a page gives, and its value where it gives none."""
    return field(default=default, metadata={"check": check})


def or_none(check: Check) -> Check:
    """The same, or None."""
    return Check(f"None or {check.must}", lambda value: value is None or check.holds(value))


def fits(request: type[Any], name: str, value: Any) -> bool:
    """True for a value that may stand in a field of a request."""
    return not _checks(request)[name].broken(value)


def _checks(request: type[Any]) -> dict[str, Check]:
    return {one.name: one.metadata["check"] for one in fields(request)}


def received(text: str | bytes, request: type[Any]) -> tuple[int, dict[str, Any]]:
    """The number of a request, 0 where it has none, and its fields.

    Raises `SimulationError` for what is no JSON object, for an unknown name, and for a value that
    may not stand in its field.
    """
    checks = {"number": whole(0), **_checks(request)}
    given = _object(text)
    unknown = sorted(set(given) - set(checks))
    if unknown:
        names = ", ".join(checks)
        raise SimulationError(f"{shown(unknown[0])} is no part of a request, which has {names}")
    for name, value in given.items():
        if must := checks[name].broken(value):
            raise SimulationError(f"{name} must be {must}, got {shown(value)}")
    return given.pop("number", 0), given


def _object(text: str | bytes) -> dict[str, Any]:
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


def shown(value: Any) -> str:
    """A value of a request in a message: a page may send much, and deep lists have no text."""
    try:
        return short_name(repr(value))
    except (RecursionError, ValueError):  # lists in lists without end, whole numbers without end
        return f"a {type(value).__name__} that is too large to show"


async def messages(socket: WebSocket) -> AsyncIterator[str | bytes]:
    """Messages of a page until it leaves: texts, and bytes, which no page of ours sends."""
    while (message := await socket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        yield text if text is not None else message.get("bytes") or b""


async def refuse(socket: WebSocket, error: Exception, **more: Any) -> None:
    """Tell a page of an error; layers, rules and functions of a user's own may raise any."""
    kind = "" if isinstance(error, SpikewrightError) else f"{type(error).__name__}: "
    text = printable(f"{kind}{error}")
    await socket.send_json({"kind": "error", **more, "text": text})


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> bytes:
    """A binary answer: plain data, and arrays of bytes, whole numbers or float32."""
    places, parts, offset = {}, [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        places[name] = {"type": array.dtype.name, "shape": array.shape, "offset": offset}
        parts.append(_padded(content))
        offset += len(parts[-1])
    head = json.dumps({**header, "arrays": places}).encode()
    return b"".join([_padded(len(head).to_bytes(4, "little") + head), *parts])


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNED)
