"""What a function made by another function holds: the variables of its closure, as values."""

from __future__ import annotations

import types
from typing import Any, NamedTuple


class Held(NamedTuple):
    """The contents of a closure's variables, in order; functions among them stand as `Held` too."""

    contents: tuple[Any, ...]


def held_by(function: Any) -> Any:
    """What a function holds, or the object itself where it is no function with a closure."""
    return _held(function, {})


def _held(value: Any, known: dict[int, Held]) -> Any:
    if not isinstance(value, types.FunctionType) or value.__closure__ is None:
        return value
    if id(value) in known:  # it holds itself
        return known[id(value)]
    known[id(value)] = Held(())
    return Held(tuple(_held(content, known) for content in map(_content, value.__closure__)))


def holding(function: Any, held: Any) -> Any:
    """A fresh function of the same kind that holds this; objects are returned as they are.

    The contents of its variables are replaced in place.
    """
    if not isinstance(held, Held):
        return held
    for cell, content in zip(function.__closure__, held.contents, strict=False):
        cell.cell_contents = holding(_content(cell), content)
    return function


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None
