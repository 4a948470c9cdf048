"""The search space: every parameter by name, with its choices or its range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spikewright._base.arguments import is_plain_number
from spikewright._base.options import Check
from spikewright.errors import TuningError

Plain = None | bool | int | float | str
"""Values of parameters: what every database can hold."""


@dataclass(frozen=True)
class Choices:
    """One of several values, which `check` allows; the first is where the search begins."""

    values: tuple[Plain, ...]
    check: Check | None = field(default=None, repr=False, compare=False)

    def suggest(self, trial: Any, name: str) -> Plain:
        """Let a trial of Optuna choose."""
        found: Plain = trial.suggest_categorical(name, self.values)
        return found

    @property
    def first(self) -> Plain:
        """The value that the search begins with."""
        return self.values[0]

    @property
    def is_fixed(self) -> bool:
        """True where nothing is left to choose."""
        return len(self.values) == 1

    def restricted(self, name: str, wanted: Any) -> Choices:
        """The same with one value, or those of a collection."""
        one = isinstance(wanted, str) or not isinstance(wanted, Iterable)
        values = (wanted,) if one else tuple(wanted)
        if not values:
            raise TuningError(f"space: {name!r} is left without a choice")
        if any(not isinstance(v, Plain) for v in values):
            raise TuningError(f"space: {name!r} takes numbers, texts and None, got {wanted!r}")
        for value in values if self.check else ():
            if self.check and (must := self.check.broken(value)):
                raise TuningError(f"space: {name!r} is {must}, got {value!r}")
        return Choices(values, self.check)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`; the search begins at `start`."""

    low: float
    high: float
    start: float

    def suggest(self, trial: Any, name: str) -> float:
        """Let a trial of Optuna choose."""
        found: float = trial.suggest_float(name, self.low, self.high)
        return found

    @property
    def first(self) -> float:
        """The value that the search begins with."""
        return self.start

    @property
    def is_fixed(self) -> bool:
        """True where nothing is left to choose."""
        return self.low == self.high

    def clip(self, value: float) -> float:
        """The nearest value that lies in it."""
        return min(self.high, max(self.low, value))

    def restricted(self, name: str, wanted: Any) -> Range:
        """From and to other ends, or a single number."""
        ends = wanted if isinstance(wanted, tuple | list) else (wanted, wanted)
        if len(ends) != 2 or not all(is_plain_number(end) for end in ends) or ends[0] > ends[1]:
            raise TuningError(f"space: {name!r} takes a number or (low, high), got {wanted!r}")
        low, high = float(ends[0]), float(ends[1])
        return Range(low, high, min(high, max(low, self.start)))


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
        name: parameter.restricted(name, wanted[name]) if name in wanted else parameter
        for name, parameter in space.items()
    }


def within(space: Space, most: int) -> Space:
    """A space with no more than `most` steps; raises `TuningError` where all have more."""
    steps = choices_of(space, "steps")
    fewer = [step for step in steps if step <= most]
    if not fewer:
        raise TuningError(f"max_network_steps={most}, and 'steps' of the space is {list(steps)}")
    return restricted(space, {"steps": fewer})


def begin(space: Space) -> Values:
    """The values that the search begins with."""
    return {name: parameter.first for name, parameter in space.items()}


def choices_of(space: Space, name: str) -> tuple[Any, ...]:
    """The choices for a parameter; none for a range."""
    parameter = space[name]
    return parameter.values if isinstance(parameter, Choices) else ()


def asked(space: Space, values: Mapping[str, Plain]) -> Values:
    """The values of those parameters that are asked of a trial."""
    return {name: values[name] for name, item in space.items() if not item.is_fixed}
