"""Answers of Python functions in a block of steps, given again when the block is run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from spikewright.errors import SimulationError


class Moment:
    """The time in seconds for which a function is being called, or was called last; None: none."""

    time: float | None = None


class _Kept(NamedTuple):
    """One call: the input that it was given, if any, and what it gave or raised."""

    x: Any
    value: Any
    error: BaseException | None = None


class Recalled:
    """A function of time, and maybe of an input, that gives what it gave when steps are run again.

    Calls are kept from `mark` on. After `rewind` they are answered from what was kept, in order;
    an error is raised again until `forgive` forgets it.
    """

    def __init__(self, function: Callable[..., Any], label: str, moment: Moment) -> None:
        self.function, self._label, self._moment = function, label, moment
        self._kept: list[_Kept] = []
        self._at = 0

    def __call__(self, *given: Any) -> Any:
        if self._at < len(self._kept):
            return self._again(given)
        self._moment.time = given[0]
        x = given[1].copy() if len(given) > 1 else None
        try:
            value = self.function(*given)
            kept = value if isinstance(value, float) or value is None else _fixed(value)
            self._kept.append(_Kept(x, kept))
        except BaseException as error:
            if len(self._kept) == self._at:  # else the answer is there: a signal came behind it
                self._kept.append(_Kept(x, None, error))
            raise
        self._at += 1
        return value

    def _again(self, given: tuple[Any, ...]) -> Any:
        kept = self._kept[self._at]
        if len(given) > 1 and not np.array_equal(kept.x, given[1], equal_nan=True):
            raise SimulationError(
                f"{self._label}: its function was called for t = {given[0]:g} s before the run was "
                "interrupted, with another input. Go on with the same inputs, or reset() first"
            )
        if kept.error is not None:
            raise kept.error
        self._at += 1
        return _fixed(kept.value)

    def mark(self) -> None:
        """Forget the calls of steps that are done."""
        self._kept, self._at = self._kept[self._at :], 0  # at once: no signal comes between

    def rewind(self) -> None:
        """Answer again from the mark on."""
        self._at = 0

    def reject(self, number: int, error: Exception) -> None:
        """Take an answer for an error: the `number`-th of the last ones, from 1 for the last."""
        self._at = max(0, self._at - number)
        self._kept[self._at :] = [_Kept(self._kept[self._at].x, None, error)]

    @property
    def failed(self) -> bool:
        """True after a call that ended with an error, or whose answer was one."""
        return bool(self._kept) and self._kept[-1].error is not None

    def forgive(self) -> None:
        """Forget an error, so that the function is called again."""
        if self.failed:
            self._kept.pop()

    @property
    def answers(self) -> list[tuple[Any, Any]]:
        """The inputs and values of those calls."""
        return [(kept.x, kept.value) for kept in self._kept[self._at :] if kept.error is None]

    @answers.setter
    def answers(self, answers: list[tuple[Any, Any]]) -> None:
        self._kept, self._at = [_Kept(x, value) for x, value in answers], 0


def _fixed(value: Any) -> Any:
    """A value that stays as it is when a function changes what it has returned."""
    return value.copy() if isinstance(value, np.ndarray) else deepcopy(value)


def reject(function: Any, number: int, error: Exception) -> None:
    """Note that what a function gave is an error, if it is one that keeps its answers."""
    if isinstance(function, Recalled):
        function.reject(number, error)


class Calls:
    """All functions of an execution that keep their answers."""

    def __init__(self) -> None:
        self.moment = Moment()
        self._functions: list[Recalled] = []

    def of(self, function: Callable[..., Any], label: str) -> Recalled:
        """A function that keeps its answers from now on."""
        made = Recalled(function, label, self.moment)
        self._functions.append(made)
        return made

    def drop(self, functions: Iterable[Any]) -> None:
        """Leave out functions that are not called any more."""
        gone = {id(function) for function in functions}
        self._functions = [one for one in self._functions if id(one) not in gone]

    def mark(self) -> None:
        """Forget the calls of steps that are done."""
        for function in self._functions:
            function.mark()

    def rewind(self) -> None:
        """Answer again from the mark on."""
        for function in self._functions:
            function.rewind()

    def forgive(self) -> None:
        """Forget errors, so that functions are called again."""
        for function in self._functions:
            function.forgive()
