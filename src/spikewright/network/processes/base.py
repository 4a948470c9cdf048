"""What a process is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._registries import enter
from spikewright.errors import NetworkError
from spikewright.network.shapes import Shape, is_number, is_whole

Step = Callable[..., Any]
State = dict[str, NDArray]

_registry: dict[str, type[Process]] = {}
PROCESSES = MappingProxyType(_registry)
"""Every registered process, by name (read only)."""


class Process(ABC):
    """A signal made step by step: the output of a node, or noise in neurons' currents.

    A subclass gives `make_step`, and `make_state` where it keeps state; both are called once for a
    run, and for every sample of a batch where the process has an input. Every sample sees the same
    random numbers.
    """

    default_size_in: ClassVar[int] = 0

    @property
    def default_size_out(self) -> int:
        """Number of output values where a node does not say."""
        return 1

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> State:
        """Arrays that the process keeps from step to step, as they are before the first."""
        return {}

    @abstractmethod
    def make_step(
        self, shape_in: Shape, shape_out: Shape, dt: float, rng: np.random.Generator, state: State
    ) -> Step:
        """A function `f(t)`, or `f(t, x)` where there is an input, that returns `shape_out` values.

        It may change the arrays of `state` in place and draw from `rng`. `t` is in seconds, `dt` at
        the first step.
        """

    def run_steps(
        self, steps: int, dt: float = 0.001, size_out: int | None = None, seed: int = 0
    ) -> NDArray:
        """The first `steps` values `(steps, size_out)`, for a process without input."""
        if not (is_whole(steps) and steps >= 0):
            raise NetworkError(f"steps must be a whole number from 0, got {steps!r}")
        if not (is_number(dt) and dt > 0):
            raise NetworkError(f"dt must be above 0 s, got {dt!r}")
        shape = (self.default_size_out if size_out is None else size_out,)
        rng, state = np.random.default_rng(seed), self.make_state((0,), shape, dt)
        step = self.make_step((0,), shape, dt, rng, state)
        values = np.empty((steps, *shape))
        for i in range(steps):
            values[i] = step((i + 1) * dt)
        return values


T = TypeVar("T", bound=type[Process])


def register(cls: T) -> T:
    """Class decorator: make a process known to files."""
    return enter(_registry, cls, "process")
