"""The base of distributions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.registries import enter
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed

Chance = int | np.random.Generator | None
_registry: dict[str, type[Distribution]] = {}
DISTRIBUTIONS = MappingProxyType(_registry)
"""Every registered distribution, by name (read only)."""


class Distribution(ABC):
    """A distribution from which values are drawn."""

    @abstractmethod
    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        """`(n, d)` values as float64; the generator's state decides which."""

    def sample(self, n: int, d: int | None = None, rng: Chance = None) -> NDArray:
        """`n` numbers, `(n,)`, or vectors, `(n, d)`; `rng` is a generator or a seed (default: new).

        Whole numbers are integers.
        """
        drawn = self.draw(n, 1 if d is None else d, np.random.default_rng(rng))
        return drawn[:, 0] if d is None else drawn


T = TypeVar("T", bound=type[Distribution])


def register(cls: T) -> T:
    """Class decorator: make a distribution known to files."""
    return enter(_registry, fixed(cls), "distribution")


def check_numbers(owner: object, **values: Any) -> None:
    """Raise `NetworkError` unless every value is a finite number."""
    for name, value in values.items():
        if not is_number(value):
            raise NetworkError(
                f"{type(owner).__name__}.{name} must be a finite number, got {value!r}"
            )


def require(condition: bool, message: str) -> None:
    """Raise `NetworkError` unless the condition holds."""
    if not condition:
        raise NetworkError(message)
