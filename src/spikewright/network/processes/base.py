"""The base of processes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import NetworkError
from spikewright.network.attributes import Registry
from spikewright.network.shapes import (
    Shape,
    above_zero,
    as_shape,
    as_value,
    count,
    finite,
    from_zero,
)

Step = Callable[..., Any]
State = dict[str, NDArray]
Chance = np.random.Generator | np.random.RandomState | int | None

PROCESSES = Registry("process")
"""Every registered process, by name (read only)."""


class Process(ABC):
    """A signal made step by step: the output of a node, or noise in neurons' currents.

    A subclass gives `make_step`, and `make_state` where it keeps state; both are called once for a
    run, and for every sample of a batch where the process has an input. Every sample gets the same
    random numbers. With a `seed` they are the same in every node, in every simulator and in `run`;
    else each node has its own.
    """

    default_size_in: int = 0
    default_size_out: int = 1
    default_dt: float = 0.001
    seed: int | None = None

    def __init__(
        self,
        default_size_in: int | None = None,
        default_size_out: int | None = None,
        default_dt: float | None = None,
        seed: int | None = None,
    ) -> None:
        given = {"size_in": default_size_in, "size_out": default_size_out, "dt": default_dt}
        for name, value in given.items():
            if value is not None:
                setattr(self, f"default_{name}", value)
        self.seed = seed

    def check_shapes(self, shape_in: Shape, shape_out: Shape) -> None:  # noqa: B027 - any will do
        """Raise `NetworkError` for an input or output that it cannot have."""

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> State:
        """The arrays of the process's state, as they are before the first step."""
        return {}

    @abstractmethod
    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        """A function `f(t)`, or `f(t, x)` where there is an input, that returns `shape_out` values.

        It may change the arrays of `state` in place and draw from `rng`. `t` is in seconds, `dt` at
        the first step.
        """

    def run(
        self, seconds: float, d: int | None = None, dt: float | None = None, rng: Chance = None
    ) -> NDArray:
        """The values of `round(seconds / dt)` steps; the rest is as in `run_steps`."""
        from_zero(seconds, f"{self!r}: seconds", " s")
        return self.run_steps(round(seconds / self._checked_dt(dt)), d, dt, rng)

    def run_steps(
        self, steps: int, d: int | None = None, dt: float | None = None, rng: Chance = None
    ) -> NDArray:
        """The first `steps` values `(steps, d)`, for a process without input.

        `d` and `dt` (seconds) are the process's defaults where they are not given, `rng` is a
        generator or a seed (default: the process's seed, or 0). Raises `NetworkError` for a size
        that the process cannot have, and for values of another shape.
        """
        return self._values([()] * count(steps, "steps", 0), (0,), d, dt, rng)

    def apply(
        self, x: ArrayLike, d: int | None = None, dt: float | None = None, rng: Chance = None
    ) -> NDArray:
        """The output `(steps, d)` for an input `(steps, size_in)`; otherwise as `run_steps`."""
        values = finite(x, f"{self!r}: its input", truth_values=True)
        if values.ndim != 2:
            raise NetworkError(f"{self!r} is given (steps, size_in) numbers, got {values.shape}")
        return self._values([(row,) for row in values], values.shape[1:], d, dt, rng)

    def _values(
        self, given: list[Any], shape_in: Shape, d: int | None, dt: float | None, rng: Chance
    ) -> NDArray:
        """One step for each of the inputs `given`."""
        shape = as_shape(self.default_size_out if d is None else d, f"{self!r}: d")
        dt = self._checked_dt(dt)
        self.check_shapes(shape_in, shape)
        chance = (self.seed or 0) if rng is None else rng
        state = self.make_state(shape_in, shape, dt)
        step = self.make_step(shape_in, shape, dt, np.random.default_rng(chance), state)
        values = np.empty((len(given), *shape))
        for i, x in enumerate(given):
            values[i] = self._value(step, shape, (i + 1) * dt, *x)
        return values

    def _value(self, step: Step, shape: Shape, t: float, *x: NDArray) -> NDArray:
        """The checked value of a step; raises `NetworkError` unless it is an array of `shape`."""
        try:
            value = as_value(step(t, *x))
        except Exception as error:
            raise NetworkError(
                f"{self!r} failed at t = {t:g} s ({type(error).__name__}: {error})"
            ) from error
        if value.shape != shape:
            raise NetworkError(
                f"{self!r} returned shape {value.shape} at t = {t:g} s, expected {shape}"
            )
        return value

    def _checked_dt(self, dt: float | None) -> float:
        return above_zero(self.default_dt if dt is None else dt, "dt", " s")


def check_no_input(process: Process, shape_in: Shape) -> None:
    """Raise `NetworkError` where there is an input for a process that takes none."""
    if math.prod(shape_in):
        raise NetworkError(
            f"{type(process).__name__} takes no input, got size_in = {shape_in}; leave size_in "
            "out, and add the input in a node behind it"
        )


def check_gives(process: Process, size: int, shape_out: Shape, what: str) -> None:
    """Raise `NetworkError` where a process gives another number of values than wanted."""
    if size != math.prod(shape_out):
        raise NetworkError(
            f"{type(process).__name__} gives {size} values a step, where the shape {shape_out} "
            f"takes {math.prod(shape_out)}; give {what} of that many values, or no size"
        )


register = PROCESSES.register
