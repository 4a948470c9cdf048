"""Points in and on the unit sphere, at random and evenly scattered."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikewright.network.distributions.base import (
    Distribution,
    check_numbers,
    register,
    require,
)


def _check_magnitude(owner: object, value: float) -> None:
    check_numbers(owner, min_magnitude=value)
    require(
        0 <= value < 1, f"{type(owner).__name__}.min_magnitude must lie in [0, 1), got {value!r}"
    )


def _radii(uniform: NDArray, d: int, least: float) -> NDArray:
    """Distances from the origin of points spread evenly over the ball outside `least`."""
    inner = least**d
    radii: NDArray = (inner + (1.0 - inner) * uniform) ** (1.0 / d)
    return radii


@register
@dataclass(frozen=True)
class UniformHypersphere(Distribution):
    """Random points of the unit ball outside `min_magnitude`, or of its surface."""

    surface: bool = False
    min_magnitude: float = 0.0

    def __post_init__(self) -> None:
        _check_magnitude(self, self.min_magnitude)

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        points = rng.standard_normal((n, d))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        if self.surface:
            return points
        return points * _radii(rng.random((n, 1)), d, self.min_magnitude)


@register
@dataclass(frozen=True)
class QuasirandomSequence(Distribution):
    """Points of the unit cube that keep their distance: the R_d sequence, shifted and shuffled.

    `i alpha mod 1` with `alpha_j = phi^-j`, `phi^(d+1) = phi + 1` (Roberts 2018), from a random
    point on, in a random order.
    """

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        phi = 2.0
        for _ in range(60):
            phi = (1.0 + phi) ** (1.0 / (d + 1))
        steps = (1.0 / phi) ** np.arange(1, d + 1) % 1.0
        points = (rng.random(d) + np.arange(n)[:, None] * steps) % 1.0
        return rng.permutation(points)


@register
@dataclass(frozen=True)
class ScatteredHypersphere(Distribution):
    """Evenly scattered points of the unit ball outside `min_magnitude`, or of its surface.

    Points of the unit cube drawn from `base` are mapped to the sphere so that equal volumes stay
    equal (Fang & Wang 1994, section 1.5.3), which keeps their distances.
    """

    surface: bool = False
    min_magnitude: float = 0.0
    base: Distribution = field(default_factory=QuasirandomSequence)

    def __post_init__(self) -> None:
        _check_magnitude(self, self.min_magnitude)
        require(
            isinstance(self.base, Distribution),
            f"ScatteredHypersphere.base must be a distribution over [0, 1], got {self.base!r}",
        )

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        if self.surface:
            if d == 1:
                return _signs(n, rng)
            return _on_sphere(self.base.draw(n, d - 1, rng))
        cube = self.base.draw(n, d, rng)
        if d == 1:
            far = self.min_magnitude + (1.0 - self.min_magnitude) * np.abs(2 * cube - 1)
            return np.where(cube < 0.5, -far, far)
        return _on_sphere(cube[:, :-1]) * _radii(cube[:, -1:], d, self.min_magnitude)


def _signs(n: int, rng: np.random.Generator) -> NDArray:
    """As many of either sign as possible, in a random order."""
    signs = np.ones((n, 1))
    signs[: n // 2 + (n % 2) * int(rng.integers(2))] = -1.0
    return rng.permutation(signs)


def _on_sphere(cube: NDArray) -> NDArray:
    """Points `(n, d - 1)` of the unit cube on the sphere in `d` dimensions, volumes kept.

    Pairs of coordinates (and for odd `d` one triple) lie on circles (and a sphere) whose squared
    radii are gaps between products of powers of uniform numbers.
    """
    n, d = len(cube), cube.shape[1] + 1
    m, odd = divmod(d, 2)
    # Squared lengths of the first 1, 2, ..., m groups together.
    within = np.ones((n, m))
    for j in range(m - 1, 0, -1):
        power = 2.0 / (2 * j + 1) if odd else 1.0 / j
        within[:, j - 1] = within[:, j] * cube[:, j - 1] ** power
    lengths = np.sqrt(np.diff(within, axis=1, prepend=0.0))
    points = np.empty((n, d))
    angles = 2 * np.pi * cube[:, m - 1 + odd :]
    first = lengths[:, 0]
    if odd:
        u = cube[:, m - 1]
        points[:, 0] = first * (1.0 - 2.0 * u)
        first = first * 2.0 * np.sqrt(u * (1.0 - u))
    lengths[:, 0] = first
    points[:, odd::2] = lengths * np.cos(angles)
    points[:, odd + 1 :: 2] = lengths * np.sin(angles)
    return points
