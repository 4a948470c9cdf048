"""Elementwise functions of represented values as data, so that files can hold `function=`.

A connection may also hold any Python callable, or a NumPy ufunc, which files refuse.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.network.attributes import ClassRegistry
from spikewright.network.shapes import above_zero, number

POINTWISE = ClassRegistry("function")
"""Every function of values one by one, by name (read only)."""


class Pointwise(ABC):
    """A function of every value by itself; a connection calls it once for all points."""

    @abstractmethod
    def __call__(self, x: NDArray) -> NDArray:
        """The function of each value, of the same shape."""


register = POINTWISE.register


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
        number(self.threshold, f"{type(self).__name__}.threshold")

    def __call__(self, x: NDArray) -> NDArray:
        return np.maximum(x - self.threshold, 0.0)


@register
@dataclass(frozen=True)
class Step(Pointwise):
    """1 where values are above `threshold`, 0 elsewhere."""

    threshold: float

    def __post_init__(self) -> None:
        number(self.threshold, f"{type(self).__name__}.threshold")

    def __call__(self, x: NDArray) -> NDArray:
        return np.where(x > self.threshold, 1.0, 0.0)


@register
@dataclass(frozen=True)
class SmoothStep(Pointwise):
    """`1 - exp(-(x - threshold) / width)` where values are above `threshold`, 0 elsewhere."""

    threshold: float
    width: float

    def __post_init__(self) -> None:
        number(self.threshold, f"{type(self).__name__}.threshold")
        above_zero(self.width, "SmoothStep.width")

    def __call__(self, x: NDArray) -> NDArray:
        return -np.expm1(-np.maximum(x - self.threshold, 0.0) / self.width)
