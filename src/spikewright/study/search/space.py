"""The search space: every parameter by name, with its choices or its range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from spikewright._base.arguments import is_plain_number
from spikewright.errors import TuningError

Plain = None | bool | int | float | str
"""Values of parameters: what every database can hold."""


class Suggests(Protocol):
    """The methods of an Optuna trial that choose values."""

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number of a range."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of several values."""


@dataclass(frozen=True)
class Choices:
    """One of several values; the first is where the search begins."""

    values: tuple[Plain, ...]

    def suggest(self, trial: Suggests, name: str) -> Plain:
        """Let a trial choose."""
        found: Plain = trial.suggest_categorical(name, self.values)
        return found

    def holds(self, value: Plain) -> bool:
        """Whether a value is one of them; True is not 1 here."""
        return any(value == item and type(value) is type(item) for item in self.values)

    @property
    def first(self) -> Plain:
        """The value that the search begins with."""
        return self.values[0]


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`; the search begins at `start`."""

    low: float
    high: float
    start: float

    def suggest(self, trial: Suggests, name: str) -> float:
        """Let a trial choose."""
        return trial.suggest_float(name, self.low, self.high)

    def holds(self, value: Plain) -> bool:
        """Whether a value lies in it."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def first(self) -> float:
        """The value that the search begins with."""
        return self.start

    def clip(self, value: float) -> float:
        """The nearest value that lies in it."""
        return min(self.high, max(self.low, value))


Parameter = Choices | Range
Space = Mapping[str, Parameter]
Values = dict[str, Plain]


def restricted(space: Space, wanted: Mapping[str, Any]) -> dict[str, Parameter]:
    """A space with some parameters restricted: `{name: value, choices or (low, high)}`.

    A tuple of two numbers is a range, of a parameter that has one; any other collection is choices,
    anything else the only value. Raises `TuningError` for names that the space does not have, and
    for values that the parameter cannot take.
    """
    unknown = sorted(set(wanted) - set(space))
    if unknown:
        raise TuningError(
            f"space: there is no parameter {unknown[0]!r}; parameters are {', '.join(space)}"
        )
    return {
        name: _restricted(name, parameter, wanted[name]) if name in wanted else parameter
        for name, parameter in space.items()
    }


def _restricted(name: str, parameter: Parameter, wanted: Any) -> Parameter:
    if isinstance(parameter, Range):
        return _range(name, parameter, wanted)
    values = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else wanted
    choices = Choices(tuple(values))
    if not choices.values:
        raise TuningError(f"space: {name!r} is left without a choice")
    if any(not isinstance(v, Plain) for v in choices.values):
        raise TuningError(f"space: {name!r} takes numbers, texts and None, got {wanted!r}")
    return choices


def _range(name: str, parameter: Range, wanted: Any) -> Parameter:
    ends = wanted if isinstance(wanted, tuple | list) else (wanted, wanted)
    if len(ends) != 2 or not all(is_plain_number(end) for end in ends) or ends[0] > ends[1]:
        raise TuningError(f"space: {name!r} takes a number or (low, high), got {wanted!r}")
    low, high = float(ends[0]), float(ends[1])
    return Range(low, high, min(high, max(low, parameter.start)))


def suggest(space: Space, trial: Suggests) -> Values:
    """Let a trial choose every parameter; parameters with a single choice are not asked for."""
    return {
        name: parameter.first if is_fixed(parameter) else parameter.suggest(trial, name)
        for name, parameter in space.items()
    }


def begin(space: Space) -> Values:
    """The values that the search begins with."""
    return {name: parameter.first for name, parameter in space.items()}


def choices_of(space: Space, name: str) -> tuple[Plain, ...]:
    """The choices for a parameter; none for a range."""
    parameter = space[name]
    return parameter.values if isinstance(parameter, Choices) else ()


def is_fixed(parameter: Parameter) -> bool:
    """Whether nothing is left to choose."""
    if isinstance(parameter, Choices):
        return len(parameter.values) == 1
    return parameter.low == parameter.high


def asked(space: Space, values: Mapping[str, Plain]) -> Values:
    """The values of those parameters that are asked of a trial."""
    return {name: values[name] for name, item in space.items() if not is_fixed(item)}
