"""Whether functions of nodes may share state.

Engines work on blocks of steps, so a node's function is called for many steps before the next
node's is. That is wrong where one writes state that the other reads without a connection, as two
methods of one object do. Such models run step by step.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

_PLAIN = (
    bool, int, float, complex, str, bytes, range, type(None), type, types.ModuleType,
    types.BuiltinFunctionType,
)  # fmt: skip
_FIXED = (types.MethodType, functools.partial, tuple, frozenset)
_WRITES = {"STORE_GLOBAL", "STORE_DEREF"}
_DEPTH, _MOST = 4, 10_000

Reached = dict[Any, bool]
"""What identifies objects and variables, and whether they may be changed."""


def share_state(model: Any) -> bool:
    """Whether two nodes' functions reach the same object, and one may change it."""
    seen: Reached = {}
    for node in model.all_nodes:
        function = node.output
        if not callable(function) or hasattr(function, "make_step"):
            continue
        found = _reached(function)
        if any(thing in seen and (changes or seen[thing]) for thing, changes in found.items()):
            return True
        seen.update({thing: changes or seen.get(thing, False) for thing, changes in found.items()})
    return False


def _reached(function: Any) -> Reached:
    """Objects that a function refers to, nearest first, up to a depth and a number of objects."""
    found: Reached = {}
    met: set[int] = set()
    layer = [function]
    for _ in range(_DEPTH):
        below: list[Any] = []
        for item in layer:
            if isinstance(item, _PLAIN) or id(item) in met or len(met) > _MOST:
                continue
            met.add(id(item))
            for thing, changes in _identified(item):
                found[thing] = found.get(thing, False) or changes
            below += islice(_inside(item), _MOST)
        layer = below
    return found


def _identified(item: Any) -> Iterator[tuple[Any, bool]]:
    """Keys of the state that an object may share, each with whether it may be changed."""
    if isinstance(item, types.FunctionType):
        code, writes = item.__code__, _written(item)
        for name, cell in zip(code.co_freevars, item.__closure__ or (), strict=True):
            yield ("cell", id(cell)), name in writes
        for name in code.co_names:
            yield ("global", id(item.__globals__), name), name in writes
    elif not isinstance(item, _FIXED) and type(item).__name__ != "ufunc":
        yield id(item), True


def _written(function: types.FunctionType) -> set[str]:
    instructions = dis.get_instructions(function.__code__)
    return {i.argval for i in instructions if i.opname in _WRITES}


def _inside(item: Any) -> Iterable[Any]:
    """Objects that an object refers to."""
    if isinstance(item, types.FunctionType):
        names = item.__code__.co_names
        spaces = [item.__globals__[name] for name in names if name in item.__globals__]
        contents = [c for cell in item.__closure__ or () for c in _content(cell)]
        return [*contents, *(item.__defaults__ or ()), *spaces]
    if isinstance(item, types.MethodType):
        return (item.__self__, item.__func__)
    if isinstance(item, functools.partial):
        return (item.func, *item.args, *item.keywords.values())
    if isinstance(item, tuple | frozenset | list | set):
        return item
    return item.values() if isinstance(item, dict) else getattr(item, "__dict__", {}).values()


def _content(cell: Any) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not bound yet
        return []
