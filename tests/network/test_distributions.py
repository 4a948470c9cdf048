"""Distributions: moments, bounds, even scatter, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikewright import distributions as d
from spikewright.errors import NetworkError


def draw(dist: d.Distribution, n: int, dims: int, seed: int = 0) -> Any:
    """`(n, dims)` values of a seeded generator."""
    return dist.sample(n, dims, np.random.default_rng(seed))


EXAMPLES = [
    d.Uniform(-1.0, 2.0),
    d.Uniform(-2, 3, integer=True),
    d.Gaussian(1.0, 0.5),
    d.Exponential(0.5, 0.25, 1.0),
    d.Choice([1.0, 2.0]),
    d.PDF([0.0, 1.0, 2.0], [0.0, 1.0, 0.0]),
    d.SqrtBeta(3, 2),
    d.SubvectorLength(8, 2),
    d.CosineSimilarity(5),
    d.UniformHypersphere(),
    d.UniformHypersphere(surface=True),
    d.ScatteredHypersphere(),
    d.ScatteredHypersphere(surface=True, base=d.Uniform(0.0, 1.0)),
    d.QuasirandomSequence(),
]


@pytest.mark.parametrize("dist", EXAMPLES, ids=lambda x: type(x).__name__)
def test_draws_have_the_shape_asked_for_and_follow_the_generator(dist: d.Distribution) -> None:
    """`(n, d)` finite values, the same of equal generators and others of others."""
    for n, dims in ((1, 1), (7, 3), (40, 2)):
        values = draw(dist, n, dims)
        assert values.shape == (n, dims) and np.all(np.isfinite(values))
        assert np.array_equal(values, draw(dist, n, dims))
        assert n == 1 or not np.array_equal(values, draw(dist, n, dims, seed=1))


@pytest.mark.parametrize("dist", EXAMPLES, ids=lambda x: type(x).__name__)
def test_numbers_and_vectors_are_drawn_as_in_nengo(dist: d.Distribution) -> None:
    """`sample(n)` are numbers, `sample(n, d)` vectors; a seed will do; whole ones are integers."""
    vectors = dist.sample(5, 3, 7)
    numbers = dist.sample(5, rng=7)
    assert vectors.shape == (5, 3) and numbers.shape == (5,) == dist.sample(5).shape
    np.testing.assert_array_equal(vectors, draw(dist, 5, 3, seed=7))
    whole = isinstance(dist, d.Uniform) and dist.integer
    assert numbers.dtype == (np.int64 if whole else np.float64)


def test_every_distribution_is_registered_and_has_an_example() -> None:
    """What files can name is what is tested here."""
    assert {type(e).__name__ for e in EXAMPLES} | {"Samples"} == set(d.DISTRIBUTIONS)
    with pytest.raises(ValueError, match="registered already"):
        d.register(d.Uniform)


@pytest.mark.parametrize(
    ("dist", "mean", "variance"),
    [
        (d.Uniform(-1.0, 2.0), 0.5, 9 / 12),
        (d.Uniform(-2, 3, integer=True), 0.0, 2.0),
        (d.Gaussian(1.0, 0.5), 1.0, 0.25),
        (d.Exponential(0.5, 0.25), 0.75, 0.25),
        (d.Choice([1.0, 4.0], [2.0, 1.0]), 2.0, 2.0),
        (d.PDF([0.0, 1.0, 2.0], [0.0, 3.0, 0.0]), 1.0, 1 / 6),
        (d.PDF([0.0, 1.0], [2.0, 0.0]), 1 / 3, 1 / 18),
        (d.CosineSimilarity(5), 0.0, 1 / 5),
    ],
)
def test_moments(dist: d.Distribution, mean: float, variance: float) -> None:
    """Mean and variance within four standard errors of the closed form."""
    values = draw(dist, 40_000, 1).ravel()
    assert abs(values.mean() - mean) < 4 * np.sqrt(variance / len(values))
    assert values.var() == pytest.approx(variance, rel=0.04)


def test_lengths_of_parts_of_random_directions() -> None:
    """`SubvectorLength` and `SqrtBeta` are what they are said to be: E of the square is m / d."""
    squares = draw(d.SubvectorLength(8, 2), 20_000, 1) ** 2
    assert squares.mean() == pytest.approx(2 / 8, rel=0.02)
    directions = draw(d.UniformHypersphere(surface=True), 20_000, 8)
    quantiles = np.linspace(0.05, 0.95, 10)
    wanted = np.quantile(np.linalg.norm(directions[:, :2], axis=1), quantiles)
    assert np.allclose(np.quantile(np.sqrt(squares), quantiles), wanted, atol=0.02)


@pytest.mark.parametrize("dims", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("scattered", [True, False])
def test_spheres_have_the_moments_of_the_uniform_ball(dims: int, scattered: bool) -> None:
    """E|x|^2 = d/(d+2) inside and 1 on the surface; every axis alike; E x1^4 as in closed form."""
    kind: Any = d.ScatteredHypersphere if scattered else d.UniformHypersphere
    for surface in (True, False):
        x = draw(kind(surface=surface), 8000, dims)
        square = 1.0 if surface else dims / (dims + 2)
        fourth = 3 / (dims * (dims + 2)) if surface else 3 / ((dims + 2) * (dims + 4))
        assert np.abs(x.mean(axis=0)).max() < 0.04
        assert np.sum(x * x, axis=1).mean() == pytest.approx(square, rel=0.02)
        assert np.allclose((x * x).mean(axis=0), square / dims, rtol=0.08)
        assert np.allclose((x**4).mean(axis=0), fourth, rtol=0.15)
        if surface:
            assert np.allclose(np.linalg.norm(x, axis=1), 1.0)


def test_scattered_points_keep_their_distance() -> None:
    """The nearest neighbour is much further away than among random points, in two dimensions."""

    def nearest(points: Any) -> float:
        apart = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(len(points))
        return float(np.quantile(apart.min(axis=1), 0.05))

    scattered = nearest(draw(d.ScatteredHypersphere(), 400, 2))
    assert scattered > 2 * nearest(draw(d.UniformHypersphere(), 400, 2))


def test_min_magnitude_leaves_the_middle_empty() -> None:
    """No point lies nearer than that, and those beyond it are even."""
    for kind in (d.ScatteredHypersphere, d.UniformHypersphere):
        for dims in (1, 3):
            radii = np.linalg.norm(draw(kind(min_magnitude=0.5), 4000, dims), axis=1)
            assert radii.min() >= 0.5 and radii.max() <= 1.0
            assert np.mean(radii**dims) == pytest.approx((1 + 0.5**dims) / 2, rel=0.02)


def test_one_dimension_on_the_surface_is_both_signs_alike() -> None:
    """As many encoders of either sign as there can be."""
    for n in (10, 11):
        signs = draw(d.ScatteredHypersphere(surface=True), n, 1).ravel()
        assert set(signs) == {-1.0, 1.0} and abs(signs.sum()) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: d.Uniform(1.0, 0.0), r"Uniform: low 1.0 is above high 0.0"),
        (lambda: d.Uniform(np.nan, 1.0), r"Uniform.low must be a finite number, got nan"),
        (lambda: d.Uniform(0, 1, "integer"), r"Uniform.integer must be True or False, got 'integ"),
        (lambda: d.Uniform(0.2, 0.8, integer=True), r"no whole number from 0.2 to below 0.8"),
        (lambda: d.Gaussian(0.0, 0.0), r"Gaussian.std must be above 0, got 0.0"),
        (lambda: d.Exponential(-1.0), r"Exponential.scale must be above 0"),
        (lambda: d.Exponential(1.0, 2.0, 1.0), r"Exponential.high must be above shift"),
        (lambda: d.Choice([]), r"Choice.options must be"),
        (lambda: d.Choice([1.0, 2.0], [1.0]), r"Choice.weights must be one for each of 2"),
        (lambda: d.Choice([1.0, 2.0], [0.0, 0.0]), r"not all 0, got \[0.0, 0.0\]"),
        (lambda: d.Choice(["a"]), r"Choice.options must be finite numbers, got \['a'\]"),
        (lambda: d.PDF([0.0, 0.0], [1.0, 1.0]), r"PDF.x must rise"),
        (lambda: d.PDF([0.0, 1.0], [0.0, 0.0]), r"PDF.p must be 0 or more and not all 0"),
        (lambda: d.SqrtBeta(0), r"SqrtBeta.n must be a whole number from 1, got 0"),
        (lambda: d.SubvectorLength(3, 3), r"between 1 and dimensions - 1, got 3 of 3"),
        (lambda: d.CosineSimilarity(1), r"CosineSimilarity.dimensions must be .* from 2, got 1"),
        (lambda: d.UniformHypersphere(min_magnitude=1.0), r"min_magnitude must lie in \[0, 1\)"),
        (lambda: d.ScatteredHypersphere(base=3), r"base must be a distribution .* got 3"),
        (lambda: draw(d.Samples([1.0, 2.0]), 3, 1), r"\(3, 1\) values are needed, \(2,\) were"),
        (lambda: draw(d.Choice([[1.0, 2.0]]), 3, 1), r"options of 2 values do not fit 1 dim"),
    ],
)
def test_impossible_distributions_are_refused(make: Any, message: str) -> None:
    """The error names the distribution, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()
