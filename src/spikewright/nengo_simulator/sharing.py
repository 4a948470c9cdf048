"""Whether functions of nodes may leave something for each other.

Engines work on blocks of steps, so a node's function is called for many steps before the next
node's is. That is wrong where one writes what the other reads behind the simulator's back, as two
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
_WRITES = {"STORE_GLOBAL", "STORE_DEREF"}
_DEPTH, _MOST_ITEMS = 4, 1000

Reached = tuple[Any, bool]
"""What identifies an object or a variable, and whether it may be changed."""


def share_state(model: Any) -> bool:
    """Whether two nodes' functions reach the same thing, and one may change it."""
    seen: dict[Any, bool] = {}
    for node in model.all_nodes:
        function = node.output
        if not callable(function) or hasattr(function, "make_step"):
            continue
        found: dict[Any, bool] = {}
        for thing, changes in _reached(function, _DEPTH):
            found[thing] = found.get(thing, False) or changes
        if any(thing in seen and (changes or seen[thing]) for thing, changes in found.items()):
            return True
        seen.update({thing: changes or seen.get(thing, False) for thing, changes in found.items()})
    return False


def _reached(item: Any, depth: int) -> Iterator[Reached]:
    if isinstance(item, _PLAIN) or depth == 0:
        return
    if isinstance(item, types.FunctionType):
        yield from _of_function(item, depth)
    elif isinstance(item, types.MethodType):
        yield from _each((item.__self__, item.__func__), depth)
    elif isinstance(item, functools.partial):
        yield from _each((item.func, *item.args, *item.keywords.values()), depth)
    elif isinstance(item, tuple | frozenset):
        yield from _each(item, depth)
    elif type(item).__name__ != "ufunc":
        yield id(item), True
        yield from _each(_inside(item), depth)


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, list | set):
        return item
    return item.values() if isinstance(item, dict) else getattr(item, "__dict__", {}).values()


def _each(items: Iterable[Any], depth: int) -> Iterator[Reached]:
    for item in islice(items, _MOST_ITEMS):
        yield from _reached(item, depth - 1)


def _of_function(function: types.FunctionType, depth: int) -> Iterator[Reached]:
    """What a function closes over, its defaults, and the globals that it names."""
    code, spaces = function.__code__, function.__globals__
    writes = {i.argval for i in dis.get_instructions(code) if i.opname in _WRITES}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield ("cell", id(cell)), name in writes
        yield from _each(_content(cell), depth)
    yield from _each(function.__defaults__ or (), depth)
    for name in code.co_names:
        if name in spaces or name in writes:
            yield ("global", id(spaces), name), name in writes
            yield from _each([spaces.get(name)], depth)


def _content(cell: Any) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not bound yet
        return []
