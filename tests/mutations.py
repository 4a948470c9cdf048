"""Plain data and arrays of files, changed as somebody who knows the format could."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = tuple[Any, ...]

WRONG: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 10**6, 2**31, 2**63, 2**70, -(2**70), 10**400),
    *(0.0, 0.5, -0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan")),
    *("", "x", "a0", "...", "\x00", "\ud800", "relu", "x" * 5000),
    *([], {}, [[]], [0], [1, 2, 3], [None], ["x", "y"], [-1] * 3, [10**6] * 4, {"map": {}}),
    *({"array": "a0"}, {"array": "none"}, {"array": 3}, {"type": "Lowpass", "tau": -1.0}),
    *({"type": "Lowpass", "tau": float("nan")}, {"type": "NoSuch"}, {"type": []}, {"object": 0}),
    *({"part": {"object": 0}, "key": [0]}, {"slice": [None, None, -1]}, {"map": {"x": 1}}),
]
DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]
WRONG.append(DEEP)


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Paths to everything inside plain data."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*here, key)
        if isinstance(item, dict | list):
            yield from places(item, (*here, key))


def inside(value: Any, place: Place) -> Any:
    """What lies at a path."""
    for key in place:
        value = value[key]
    return value


def mutated(content: Any, rng: random.Random) -> Any:
    """Data like these, changed in one place or two."""
    content = deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2))):
        everywhere = list(places(content))
        if everywhere:
            _change(content, everywhere, rng)
    return content


def _change(content: Any, everywhere: list[Place], rng: random.Random) -> None:
    """Drop something, double it, take it from elsewhere, or put something wrong in its place."""
    place = rng.choice(everywhere)
    holder, key = inside(content, place[:-1]), place[-1]
    kind = rng.random()
    if kind < 0.1:
        del holder[key]
    elif kind < 0.15 and isinstance(holder, list):
        holder.insert(key, deepcopy(holder[key]))
    elif kind < 0.2 and isinstance(holder, dict):
        holder[rng.choice(("type", "array", "map", "x", ""))] = holder.pop(key)
    elif kind < 0.45:
        holder[key] = deepcopy(inside(content, rng.choice(everywhere)))
    elif kind < 0.65 and type(holder[key]) in (int, float):
        holder[key] = rng.choice((-1, 2, 0.5, 1000, -1e300)) * holder[key] + rng.choice((0, 1, -1))
    else:
        holder[key] = deepcopy(rng.choice(WRONG))


def mutated_arrays(arrays: dict[str, NDArray], rng: random.Random) -> dict[str, NDArray]:
    """Arrays like these, one of them of other values, another shape or type, or gone."""
    name = rng.choice(sorted(arrays))
    array = np.array(arrays[name])
    changed = {**arrays, name: array}
    kind = rng.randrange(7)
    if kind == 0:
        del changed[name]
    elif kind == 1:
        changed[name] = array[:-1] if array.ndim else array[None]
    elif kind == 2:
        changed[name] = array[None]
    elif kind == 3:
        changed[name] = array[..., :0] if array.ndim else np.zeros(0)
    elif kind == 4:
        with np.errstate(all="ignore"):
            changed[name] = array.astype(rng.choice(("f2", "f4", "i1", "u8", "?")))
    elif array.size:
        wrong = (-1, 0, 2**40, -(2**40))
        if array.dtype.kind == "f":
            wrong = (float("nan"), float("inf"), -1e300, 1e300, -1.0)  # type: ignore[assignment]
        with np.errstate(all="ignore"):
            flat = array.reshape(-1)
            flat[rng.randrange(flat.size)] = np.array(rng.choice(wrong)).astype(array.dtype)
    return changed
