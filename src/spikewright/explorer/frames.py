"""Binary messages: a header in JSON, and arrays behind it, as they lie in memory.

4 bytes         length of the header, a little-endian whole number
the header      JSON in UTF-8; "arrays" are {name: {"type", "shape", "offset"}}
the arrays      from the next multiple of eight bytes on, each at its offset from there
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNED = 8


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> bytes:
    """A message: plain data, and arrays of bytes, whole numbers or float32."""
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
