"""An explorer of the shipped digits for tests, and its messages as a page reads them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.conversion import convert
from spikewright.explorer.model_session import ModelSession
from spikewright.showing import demo

SAMPLES = 80
TOKEN = "a-token"
PORT = 8123
OWN = f"http://127.0.0.1:{PORT}"
HEADERS = {"host": f"127.0.0.1:{PORT}", "origin": OWN}
"""The headers of a page's own socket."""


def subject(samples: int = SAMPLES) -> ModelSession:
    """The shipped digits, the first of them."""
    x, y = demo.held_out(samples)
    lines = ("from spikewright import demo", "", f"x, y = demo.held_out({samples})")
    base = convert(demo.MODEL)
    return ModelSession(base, {next(iter(base.inputs)): x}, y, "Digits", "demo.MODEL", lines)


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """The header of a binary message, and its arrays."""
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + length])
    start = -(-(4 + length) // 8) * 8
    arrays = {}
    for name, place in header["arrays"].items():
        kind = np.dtype(place["type"]).newbyteorder("<")
        count = int(np.prod(place["shape"]))
        found = np.frombuffer(content, kind, count, start + place["offset"])
        arrays[name] = found.reshape(place["shape"])
    return header, arrays


def accuracy(told: dict[str, Any], steps: int) -> float:
    """The accuracy by the mean of so many steps that `evaluate --json` told."""
    how = {"steps": steps, "readout": "mean"}.items()
    (found,) = (r for r in told["records"] if r["name"] == "accuracy" and how <= r["how"].items())
    return float(found["value"])


HOSTILE: list[tuple[str | bytes, str]] = [
    ("[" * 100_000, "JSON"),
    ('{"a":' * 100_000, "JSON"),
    ('{"number": ' + "[" * 900 + "]" * 900 + "}", "number"),
    ('{"number": 1' + "0" * 5000 + "}", "JSON"),
    ('{"number": 1e400}', "number"),
    ('{"number": "' + "x" * 5000 + '"}', "number"),
    ('{"' + "x" * 5000 + '": 1}', "no part of a request"),
    ('{"\\ud800\\u202e\\u001b[2J": 1}', "no part of a request"),
    ("[1]", "object"),
    ("null", "object"),
    ("", "JSON"),
    ("\x00", "JSON"),
    ("x" * ((1 << 20) + 1), "characters"),
    (b"", "binary"),
    (b"\x00\xff\xfe", "binary"),
    (b'{"number": 1}', "binary"),
]
"""Messages that no page of ours sends, and a word of the answer."""


def send(socket: Any, message: str | bytes) -> None:
    """Send a text, or bytes as they are."""
    if isinstance(message, bytes):
        socket.send_bytes(message)
    else:
        socket.send_text(message)
