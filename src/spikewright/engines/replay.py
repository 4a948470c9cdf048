"""Record and replay of Python functions: a block that is run again gets the values it got before.

A function of the user's may keep a state or have side effects, so a block of steps that failed must
not call it a second time for the steps that it has already computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from spikewright.errors import SimulationError


class CallTime:
    """The simulated time in seconds of the present call of a function, or of the last one."""

    seconds: float | None = None


class _CallRecord(NamedTuple):
    """A call of a function: its input, if any, and the value it returned or error it raised."""

    x: Any
    value: Any
    error: BaseException | None = None


class ReplayedFunction:
    """A function of time (and of an input, if any) whose calls are recorded and can be replayed.

    Calls are recorded from `mark` on. After `rewind` they are replayed in order from the record; an
    error is raised again until `clear_error` removes it.
    """

    def __init__(self, function: Callable[..., Any], label: str, call_time: CallTime) -> None:
        self.function, self._label, self._call_time = function, label, call_time
        self._calls: list[_CallRecord] = []
        self._next = 0

    def __call__(self, *given: Any) -> Any:
        if self._next < len(self._calls):
            return self._replay(given)
        self._call_time.seconds = given[0]
        x = given[1].copy() if len(given) > 1 else None
        try:
            value = self.function(*given)
            recorded = value if isinstance(value, float) or value is None else _copy(value)
            self._calls.append(_CallRecord(x, recorded))
        except BaseException as error:
            if len(self._calls) == self._next:  # else an interrupt came after it was recorded
                self._calls.append(_CallRecord(x, None, error))
            raise
        self._next += 1
        return value

    def _replay(self, given: tuple[Any, ...]) -> Any:
        kept = self._calls[self._next]
        if len(given) > 1 and not np.array_equal(kept.x, given[1], equal_nan=True):
            raise SimulationError(
                f"{self._label}: its function was called for t = {given[0]:g} s before the run was "
                "interrupted, with another input. Go on with the same inputs, or reset() first"
            )
        if kept.error is not None:
            raise kept.error
        self._next += 1
        return _copy(kept.value)

    def mark(self) -> None:
        """Drop the record of the steps that are done."""
        # One assignment, so that no interrupt can come between its parts.
        self._calls, self._next = self._calls[self._next :], 0

    def rewind(self) -> None:
        """Replay the calls since the mark."""
        self._next = 0

    def reject(self, number: int, error: Exception) -> None:
        """Record an error in place of a value: that of the `number`-th last call (1: the last)."""
        self._next = max(0, self._next - number)
        self._calls[self._next :] = [_CallRecord(self._calls[self._next].x, None, error)]

    @property
    def failed(self) -> bool:
        """Whether the last call raised an error, or returned a value that was rejected."""
        return bool(self._calls) and self._calls[-1].error is not None

    def clear_error(self) -> None:
        """Remove a recorded error, so that the function is called again."""
        if self.failed:
            self._calls.pop()

    @property
    def answers(self) -> list[tuple[Any, Any]]:
        """The inputs and values of the calls that would be replayed."""
        return [(kept.x, kept.value) for kept in self._calls[self._next :] if kept.error is None]

    @answers.setter
    def answers(self, answers: list[tuple[Any, Any]]) -> None:
        self._calls, self._next = [_CallRecord(x, value) for x, value in answers], 0


def _copy(value: Any) -> Any:
    """A copy of a returned value: a function may change in place what it has returned."""
    return value.copy() if isinstance(value, np.ndarray) else deepcopy(value)


def reject(function: Any, number: int, error: Exception) -> None:
    """Record an error in place of the value of a call, where the function's calls are recorded."""
    if isinstance(function, ReplayedFunction):
        function.reject(number, error)


class CallLog:
    """All functions of an execution whose calls are recorded."""

    def __init__(self) -> None:
        self.call_time = CallTime()
        self._functions: list[ReplayedFunction] = []

    def of(self, function: Callable[..., Any], label: str) -> ReplayedFunction:
        """The function, with its calls recorded from now on."""
        made = ReplayedFunction(function, label, self.call_time)
        self._functions.append(made)
        return made

    def drop(self, functions: Iterable[Any]) -> None:
        """Remove functions that are no longer called."""
        gone = {id(function) for function in functions}
        self._functions = [one for one in self._functions if id(one) not in gone]

    def mark(self) -> None:
        """Drop the record of the steps that are done."""
        for function in self._functions:
            function.mark()

    def rewind(self) -> None:
        """Replay the calls since the mark."""
        for function in self._functions:
            function.rewind()

    def clear_error(self) -> None:
        """Remove recorded errors, so that functions are called again."""
        for function in self._functions:
            function.clear_error()
