"""Elementwise functions of represented values as data, so that files can hold `function=`.

A connection may also hold any Python callable, or a NumPy ufunc, which files refuse.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.registries import enter
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed

_registry: dict[str, type[Pointwise]] = {}
POINTWISE = MappingProxyType(_registry)
"""Every function of values one by one, by name (read only)."""


class Pointwise(ABC):
    """A function of every value by itself; a connection calls it once for all points."""

    @abstractmethod
    def __call__(self, x: NDArray) -> NDArray:
        """The function of each value, of the same shape."""


T = TypeVar("T", bound=type[Pointwise])


def register(cls: T) -> T:
    """Class decorator: make a function known to files."""
    return enter(_registry, fixed(cls), "function")


@register
@dataclass(frozen=True)
class Square(Pointwise):
    """`x^2`."""

    def __call__(self, x: NDArray) -> NDArray:
        return np.square(x)


@register
@dataclass(frozen=True)
class Above(Pointwise):
    """`max(x - threshold, 0)`."""

    threshold: float

    def __post_init__(self) -> None:
        _check(self, self.threshold)

    def __call__(self, x: NDArray) -> NDArray:
        return np.maximum(x - self.threshold, 0.0)


@register
@dataclass(frozen=True)
class Step(Pointwise):
    """1 where values are above `threshold`, 0 elsewhere."""

    threshold: float

    def __post_init__(self) -> None:
        _check(self, self.threshold)

    def __call__(self, x: NDArray) -> NDArray:
        return np.where(x > self.threshold, 1.0, 0.0)


@register
@dataclass(frozen=True)
class SmoothStep(Pointwise):
    """`1 - exp(-(x - threshold) / width)` where values are above `threshold`, 0 elsewhere."""

    threshold: float
    width: float

    def __post_init__(self) -> None:
        _check(self, self.threshold)
        if not (is_number(self.width) and self.width > 0):
            raise NetworkError(f"SmoothStep.width must be a number above 0, got {self.width!r}")

    def __call__(self, x: NDArray) -> NDArray:
        return -np.expm1(-np.maximum(x - self.threshold, 0.0) / self.width)


def _check(function: Pointwise, threshold: float) -> None:
    if not is_number(threshold):
        name = type(function).__name__
        raise NetworkError(f"{name}.threshold must be a finite number, got {threshold!r}")
