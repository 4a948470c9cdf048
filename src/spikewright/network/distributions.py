"""Distributions, from which parameters of populations are drawn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import EqualByValue, is_whole
from spikewright.errors import NetworkError
from spikewright.network.attributes import ClassRegistry
from spikewright.network.shapes import above_zero, count, fixed_numbers, number, require


def as_points(
    given: Distribution | NDArray, n: int | None, d: int, rng: np.random.Generator
) -> NDArray:
    """`(n, d)` points, drawn, or those given; `n=None`: however many were given.

    Raises `NetworkError` for points of another shape and for values that are not finite.
    """
    if isinstance(given, Distribution):
        points: Any = given.draw(1 if n is None else n, d, rng)
    else:
        points = np.asarray(given, np.float64)
    wanted = (len(points) if n is None and points.ndim else n, d)
    if points.shape != wanted or not np.all(np.isfinite(points)):
        many = "any number" if n is None else n
        raise NetworkError(f"({many}, {d}) finite values are needed, got shape {points.shape}")
    found: NDArray = points
    return found


Chance = int | np.random.Generator | None
DISTRIBUTIONS = ClassRegistry("distribution")
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


register = DISTRIBUTIONS.register


@register
@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform between `low` and `high`; whole numbers from `low` to below `high` if `integer`."""

    low: float
    high: float
    integer: bool = False

    def __post_init__(self) -> None:
        number(self.low, "Uniform.low")
        number(self.high, "Uniform.high")
        require(self.low <= self.high, f"Uniform: low {self.low} is above high {self.high}")
        require(
            isinstance(self.integer, bool),
            f"Uniform.integer must be True or False, got {self.integer!r}",
        )
        if self.integer:
            require(
                math.ceil(self.low) < math.ceil(self.high),
                f"Uniform: no whole number from {self.low} to below {self.high}",
            )

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        if self.integer:
            whole = rng.integers(math.ceil(self.low), math.ceil(self.high), (n, d))
            return whole.astype(np.float64)
        return self.low + (self.high - self.low) * rng.random((n, d))

    def sample(self, n: int, d: int | None = None, rng: Chance = None) -> NDArray:
        drawn = super().sample(n, d, rng)
        return drawn.astype(np.int64) if self.integer else drawn


@register
@dataclass(frozen=True)
class Gaussian(Distribution):
    """Normal, with mean `mean` and standard deviation `std`."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        number(self.mean, "Gaussian.mean")
        above_zero(self.std, "Gaussian.std")

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        return rng.normal(self.mean, self.std, (n, d))


@register
@dataclass(frozen=True)
class Exponential(Distribution):
    """`shift` plus an exponential of mean `scale`; values above `high` become `high`."""

    scale: float
    shift: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        number(self.shift, "Exponential.shift")
        above_zero(self.scale, "Exponential.scale")
        require(self.high > self.shift, f"Exponential.high must be above shift, got {self.high!r}")

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        below = np.nextafter(self.high, -math.inf)
        return np.minimum(rng.exponential(self.scale, (n, d)) + self.shift, below)


@register
@dataclass(frozen=True, eq=False)
class Choice(EqualByValue, Distribution):
    """One of `options`, numbers or vectors `(options, d)`, with probabilities as `weights`."""

    options: NDArray
    weights: NDArray | None = None

    def __post_init__(self) -> None:
        options = fixed_numbers(self, "options")
        require(
            options.ndim in (1, 2) and len(options) > 0,
            f"Choice.options must be (options,) or (options, d), got shape {options.shape}",
        )
        if self.weights is not None:
            weights = fixed_numbers(self, "weights")
            require(
                weights.shape == (len(options),) and weights.min() >= 0 and weights.sum() > 0,
                f"Choice.weights must be one for each of {len(options)} options, 0 or more and "
                f"not all 0, got {weights.tolist()}",
            )

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        p = None if self.weights is None else self.weights / self.weights.sum()
        if self.options.ndim == 1:
            return rng.choice(self.options, (n, d), p=p)
        require(
            self.options.shape[1] == d,
            f"Choice: options of {self.options.shape[1]} values do not fit {d} dimensions",
        )
        return self.options[rng.choice(len(self.options), n, p=p)]


@register
@dataclass(frozen=True, eq=False)
class Samples(EqualByValue, Distribution):
    """The given values, `(n, d)` or `(n,)`, in their order."""

    samples: NDArray

    def __post_init__(self) -> None:
        fixed_numbers(self, "samples")

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        given = self.samples[:, None] if self.samples.ndim == 1 else self.samples
        require(
            given.shape == (n, d),
            f"Samples: {(n, d)} values are needed, {self.samples.shape} were given",
        )
        return np.array(given)


@register
@dataclass(frozen=True, eq=False)
class PDF(EqualByValue, Distribution):
    """The density with values `p` (up to a factor) at points `x`, linear between them."""

    x: NDArray
    p: NDArray

    def __post_init__(self) -> None:
        x, p = fixed_numbers(self, "x"), fixed_numbers(self, "p")
        require(
            x.ndim == 1 and x.shape == p.shape and len(x) >= 2 and bool(np.all(np.diff(x) > 0)),
            "PDF.x must rise, two points or more, and PDF.p have one value for each; got shapes "
            f"{x.shape} and {p.shape}",
        )
        require(p.min() >= 0 and p.max() > 0, "PDF.p must be 0 or more and not all 0")

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        """By inversion: between two points the cumulated density is a parabola."""
        x, p = self.x, self.p
        areas = np.diff(x) * (p[1:] + p[:-1]) / 2
        cumulative = np.concatenate([[0.0], np.cumsum(areas)])
        wanted = rng.random((n, d)) * cumulative[-1]
        i = np.clip(np.searchsorted(cumulative, wanted, "right") - 1, 0, len(areas) - 1)
        rest = wanted - cumulative[i]
        slope = (p[i + 1] - p[i]) / (x[i + 1] - x[i])
        root = np.sqrt(np.maximum(p[i] ** 2 + 2 * slope * rest, 0.0))
        step = np.divide(2 * rest, p[i] + root, out=np.zeros_like(rest), where=p[i] + root > 0)
        return np.minimum(x[i] + step, x[i + 1])


@register
@dataclass(frozen=True)
class SqrtBeta(Distribution):
    """Root of a Beta(m/2, n/2): length of `m` of the `n + m` coordinates of a random direction."""

    n: int
    m: int = 1

    def __post_init__(self) -> None:
        for name in ("n", "m"):
            count(getattr(self, name), f"SqrtBeta.{name}")

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        return np.sqrt(rng.beta(self.m / 2, self.n / 2, (n, d)))


@register
@dataclass(frozen=True)
class SubvectorLength(Distribution):
    """Length of `subdimensions` coordinates of a random unit vector of `dimensions`."""

    dimensions: int
    subdimensions: int = 1

    def __post_init__(self) -> None:
        good = is_whole(self.dimensions) and is_whole(self.subdimensions)
        require(
            good and 1 <= self.subdimensions < self.dimensions,
            f"SubvectorLength: subdimensions must lie between 1 and dimensions - 1, got "
            f"{self.subdimensions!r} of {self.dimensions!r}",
        )

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        rest = self.dimensions - self.subdimensions
        return SqrtBeta(rest, self.subdimensions).draw(n, d, rng)


@register
@dataclass(frozen=True)
class CosineSimilarity(Distribution):
    """Cosine of the angle between two random vectors of `dimensions`."""

    dimensions: int

    def __post_init__(self) -> None:
        count(self.dimensions, "CosineSimilarity.dimensions", 2)

    def draw(self, n: int, d: int, rng: np.random.Generator) -> NDArray:
        length = SqrtBeta(self.dimensions - 1).draw(n, d, rng)
        return np.where(rng.random((n, d)) < 0.5, -1.0, 1.0) * length


def _check_magnitude(owner: object, value: float) -> None:
    what = f"{type(owner).__name__}.min_magnitude"
    require(0 <= number(value, what) < 1, f"{what} must lie in [0, 1), got {value!r}")


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
