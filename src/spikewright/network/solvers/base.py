"""The base of solvers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.registries import enter
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed

_registry: dict[str, type[Solver]] = {}
SOLVERS = MappingProxyType(_registry)
"""Every registered solver, by name (read only)."""


class Solution(NamedTuple):
    """Decoders `(n, outputs)`, and the solver's information (`rmses`: one an output)."""

    decoders: NDArray
    info: dict[str, Any]


class Solver(ABC):
    """Finds decoders `D` with `A D` close to `Y`.

    With `weights` a connection stores the matrix between neurons, not decoders and encoders. A
    solver is `compositional` where the solution of a linear function of `Y` is that function of the
    solution of `Y`; with `weights` the others solve for the input of every receiving neuron.
    """

    weights: bool
    compositional: ClassVar[bool] = True
    from_zero: ClassVar[tuple[str, ...]] = ()
    """Fields that are finite numbers from 0."""

    def __post_init__(self) -> None:
        self._check_weights()
        for name in self.from_zero:
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise NetworkError(f"{type(self).__name__}.{name} must be 0 or more, got {value!r}")

    def _check_weights(self) -> None:
        """Raise `NetworkError` unless `weights` is a truth value, as a penalty given first is not.

        A truth value of NumPy's becomes Python's.
        """
        if not isinstance(self.weights, bool | np.bool_):
            kind = type(self).__name__
            numbers = [f.name for f in fields(self) if isinstance(f.default, float)]
            hint = f"Did you mean {numbers[0]}={self.weights!r}?" if numbers else ""
            raise NetworkError(
                f"{kind}.weights must be True or False, got {self.weights!r}. {hint}".rstrip()
            )
        object.__setattr__(self, "weights", bool(self.weights))

    @abstractmethod
    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        """Decoders for activities `(m, n)` and targets `(m, outputs)`.

        Raises `NetworkError` where no decoders exist.
        """


T = TypeVar("T", bound=type[Solver])


def register(cls: T) -> T:
    """Class decorator: make a solver known to files."""
    return enter(_registry, fixed(cls), "solver")


def rmse(activities: NDArray, decoders: NDArray, targets: NDArray) -> NDArray:
    """Root mean square errors of the decoded values, `(outputs,)`."""
    error = targets - activities @ decoders
    found: NDArray = np.sqrt(np.mean(error * error, axis=0))
    return found


def solution(activities: NDArray, decoders: NDArray, targets: NDArray, **info: Any) -> Solution:
    """Decoders with their errors."""
    return Solution(decoders, {"rmses": rmse(activities, decoders, targets), **info})
