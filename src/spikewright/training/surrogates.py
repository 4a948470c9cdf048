"""Surrogates: the slopes that stand for that of a number of spikes, which has none.

A number of spikes jumps by one where the voltage passes a multiple of the threshold theta. Its
surrogate is a peak at the jump, a function of the voltage's distance from there in units of theta.
Shape hardly matters, width does (Zenke & Vogels 2021, Neural Computation 33, 899-925).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import pi
from typing import Any, ClassVar

from spikewright._base.arguments import is_number
from spikewright._base.registries import Registry
from spikewright.errors import TrainingError

__all__ = [
    "SURROGATES",
    "Arctan",
    "ExponentialSurrogate",
    "FastSigmoid",
    "PeriodicExponential",
    "SigmoidSurrogate",
    "Surrogate",
    "TriangleSurrogate",
    "register",
]

Array = Any  # an array of the library that the slope is computed with


@dataclass(frozen=True)
class Surrogate(ABC):
    """A slope with a peak of `width`, in units of the threshold.

    `every` says at which jumps it peaks: at that of every number of spikes, or of the first alone,
    of either sign. Raises `TrainingError` for a width that is not above 0.
    """

    width: float
    every: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (is_number(self.width) and self.width > 0):
            raise TrainingError(
                f"{type(self).__name__}.width must be thresholds above 0, got {self.width!r}"
            )

    @abstractmethod
    def slope(self, xp: Any, x: Array) -> Array:
        """The slope at a distance `x` from the jump; `xp` has NumPy's `abs`, `exp`, `maximum`."""


SURROGATES: Registry[type[Surrogate]] = Registry("surrogate")
"""Every surrogate, by name (read only)."""

register = SURROGATES.named
"""Class decorator: make a surrogate known by a name."""


def surrogate_of(given: Any) -> Surrogate:
    """A surrogate, or that of a name with its usual width; raises `TrainingError`."""
    if isinstance(given, Surrogate):
        return given
    if not isinstance(given, str) or given not in SURROGATES:
        known = ", ".join(map(repr, SURROGATES))
        raise TrainingError(
            f"surrogate must be one of {known}, or one of spikewright.surrogates, got {given!r}"
        )
    made: Any = SURROGATES[given]
    found: Surrogate = made()
    return found


@register("arctan")
@dataclass(frozen=True)
class Arctan(Surrogate):
    """`(1 / 2w) / (1 + (pi x / 2w)^2)`: the derivative of an arctangent.

    Fang et al. 2021 (arXiv:2007.05785).
    """

    width: float = 0.5

    def slope(self, xp: Any, x: Array) -> Array:
        double = 2.0 * self.width
        return 1.0 / (x * x * (pi * pi / double) + double)


@register("fast sigmoid")
@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """`1 / (|x| / w + 1)^2`: SuperSpike (Zenke & Ganguli 2018)."""

    width: float = 0.04

    def slope(self, xp: Any, x: Array) -> Array:
        scaled = xp.abs(x) * (1.0 / self.width) + 1.0
        return 1.0 / (scaled * scaled)


@register("sigmoid")
@dataclass(frozen=True)
class SigmoidSurrogate(Surrogate):
    """`s (1 - s) / w`, `s = 1 / (1 + exp(-x / w))`: the derivative of a logistic function."""

    width: float = 0.25

    def slope(self, xp: Any, x: Array) -> Array:
        fallen = xp.exp(xp.abs(x) * (-1.0 / self.width))  # even in x, and never too large
        return (1.0 / self.width) * fallen / ((1.0 + fallen) * (1.0 + fallen))


@register("triangle")
@dataclass(frozen=True)
class TriangleSurrogate(Surrogate):
    """`height max(0, 1 - |x| / w)`: a triangle.

    Bellec et al. 2018 (arXiv:1803.09574).
    """

    width: float = 1.0
    height: float = 0.3

    def slope(self, xp: Any, x: Array) -> Array:
        return self.height * xp.maximum(1.0 - xp.abs(x) * (1.0 / self.width), 0.0)


@register("exponential")
@dataclass(frozen=True)
class ExponentialSurrogate(Surrogate):
    """`exp(-|x| / w) / w`: SLAYER (Shrestha & Orchard 2018, arXiv:1810.08646)."""

    width: float = 0.5

    def slope(self, xp: Any, x: Array) -> Array:
        return (1.0 / self.width) * xp.exp(xp.abs(x) * (-1.0 / self.width))


@register("periodic exponential")
@dataclass(frozen=True)
class PeriodicExponential(ExponentialSurrogate):
    """`ExponentialSurrogate` at the nearest of all jumps, for neurons with many spikes a step.

    Weidel & Sheik 2021 (arXiv:2111.01456).
    """

    every: ClassVar[bool] = True
