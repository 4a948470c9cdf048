"""Copies of Python functions with what they share, one set for every sample of a batch.

All functions of a sample are copied with one memo: what two of them hold together, their copies
hold together, and nothing else does.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from spikewright.network.python_state import PythonState


def why_not_copied(states: Sequence[PythonState]) -> dict[int, str]:
    """Predicates of those functions, by number, whose state no copy can have to itself."""
    found: dict[int, str] = {}
    fixed = looked_at(states)
    for number, state in enumerate(states):
        shared = [one.what for one in state.shared if id(one.value) not in fixed]
        if state.wrong:
            found[number] = state.wrong[0]
        elif shared:
            found[number] = f"reads {shared[0]}, which can change"
    return found


def looked_at(states: Iterable[PythonState]) -> dict[int, Any]:
    """Arrays and containers of plain values that none of the functions changes, by identity."""
    states = list(states)
    reached = [
        (value, state)
        for state in states
        for value in (*state.held, *(one.value for one in state.shared))
    ]
    changed = {id(value) for value, state in reached if not state.looked_at(value)}
    return {id(value): value for value, _ in reached if id(value) not in changed}


def needs_copies(state: PythonState, fixed: dict[int, Any]) -> bool:
    """Whether copies of a function differ from it."""
    return bool(state.rebinds or any(id(value) not in fixed for value in state.held))


def copied(
    targets: Sequence[Any], states: Sequence[PythonState], samples: int
) -> list[tuple[Any, ...]]:
    """Each function for every sample; the first sample has the functions themselves.

    A function without state of its own is the same for all. Raises `TypeError` where a function
    holds what cannot be copied.
    """
    fixed = looked_at(states)
    alone = [not needs_copies(state, fixed) for state in states]
    made = [list(targets)]
    for _ in range(1, samples if not all(alone) else 1):
        make = _Copier(states, fixed)
        pairs = zip(targets, alone, strict=True)
        made.append([target if same else make.copy(target) for target, same in pairs])
    made += [made[0]] * (samples - len(made))
    return list(zip(*made, strict=True))


class _Copier:
    """One set of copies. Functions come first, and get what they hold when all are there."""

    def __init__(self, states: Sequence[PythonState], fixed: dict[int, Any]) -> None:
        self._memo: dict[int, Any] = dict(fixed)
        self._cells: dict[int, types.CellType] = {}
        for state in states:
            self._memo.update((id(value), value) for value in state.kept)
        functions = {id(f): f for state in states for f in state.functions}
        for function in functions.values():
            self._memo[id(function)] = self._empty(function)
        for method in {id(m): m for state in states for m in state.methods}.values():
            self._memo[id(method)] = getattr(self.copy(method.__self__), method.__name__)
        for function in functions.values():
            self._fill(function, self._memo[id(function)])

    def copy(self, item: Any) -> Any:
        """The copy of an object, the same one whoever asks for it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # copies of iterators
            return deepcopy(item, self._memo)

    def _empty(self, function: types.FunctionType) -> types.FunctionType:
        cells = tuple(
            self._cells.setdefault(id(cell), types.CellType())
            for cell in function.__closure__ or ()
        )
        code, space, name = function.__code__, function.__globals__, function.__name__
        made = types.FunctionType(code, space, name, None, cells)
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        return made

    def _fill(self, function: types.FunctionType, made: types.FunctionType) -> None:
        made.__defaults__ = self.copy(function.__defaults__)
        made.__kwdefaults__ = self.copy(function.__kwdefaults__)
        made.__dict__.update({name: self.copy(value) for name, value in vars(function).items()})
        for old, new in zip(function.__closure__ or (), made.__closure__ or (), strict=True):
            _fill_cell(old, new, self.copy)


def _fill_cell(old: types.CellType, new: types.CellType, copy: Callable[[Any], Any]) -> None:
    try:
        content = old.cell_contents
    except ValueError:  # not bound yet
        return
    new.cell_contents = copy(content)


class ClosureContents(NamedTuple):
    """The contents of a closure's variables, in order; those of functions among them likewise."""

    contents: tuple[Any, ...]


def held_by(function: Any) -> Any:
    """What a function holds, or the object itself where it is no function with a closure."""
    return _held(function, {})


def _held(value: Any, known: dict[int, ClosureContents]) -> Any:
    if not isinstance(value, types.FunctionType) or value.__closure__ is None:
        return value
    if id(value) in known:  # it holds itself
        return known[id(value)]
    known[id(value)] = ClosureContents(())
    return ClosureContents(
        tuple(_held(content, known) for content in map(_content, value.__closure__))
    )


def holding(function: Any, held: Any) -> Any:
    """A fresh function of the same kind that holds this; objects are returned as they are.

    The contents of its variables are replaced in place.
    """
    if not isinstance(held, ClosureContents):
        return held
    for cell, content in zip(function.__closure__, held.contents, strict=False):
        cell.cell_contents = holding(_content(cell), content)
    return function


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None
