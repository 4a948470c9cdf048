"""Poisson spiking: the law of its numbers, what they cost, and that all engines draw the same."""

from __future__ import annotations

import numpy as np
import pytest
from driving import drive
from numpy.typing import NDArray
from scipy import stats

import spikewright as sw
from spikewright.network.neurons import NUMPY_NEURONS
from spikewright.network.neurons.wrappers import _LARGE, _log_probability, poisson_counts

N = 100_000
MEANS = (0.05, 1.0, 15.0, _LARGE, 16.5, 40.0, 1e3, 1e5, 1e12)


class Draws:
    """Uniform draws by number, and how many arrays of them were asked for."""

    def __init__(self, n: int, seed: int = 0) -> None:
        self._n, self._seed, self.asked = n, seed, 0

    def __call__(self, index: int) -> NDArray:
        self.asked = max(self.asked, index + 1)
        return np.random.default_rng((self._seed, index)).random(self._n)


def drawn(mean: float, n: int = N, seed: int = 0) -> NDArray:
    """Numbers of one mean."""
    found: NDArray = poisson_counts(NUMPY_NEURONS, np.full(n, mean), Draws(n, seed))
    return found


@pytest.mark.parametrize("mean", MEANS)
def test_mean_and_variance(mean: float) -> None:
    """Both are the mean, within four standard errors, by inversion and by rejection."""
    found = drawn(mean)
    assert np.all(found == np.rint(found)) and found.min() >= 0
    assert abs(found.mean() - mean) < 4 * np.sqrt(mean / N)
    assert abs(found.var() / mean - 1.0) < 4 * np.sqrt((2 + 1 / mean) / N)


@pytest.mark.parametrize("mean", [mean for mean in MEANS if mean < 1e6])
def test_the_distribution(mean: float) -> None:
    """Sixty classes between the far ends, and the ends, are as full as they should be."""
    ends = stats.poisson.ppf([0.0005, 0.9995], mean)
    edges = np.unique(np.linspace(*ends, 60).round())
    expected = N * np.diff([0.0, *stats.poisson.cdf(edges, mean), 1.0])
    counted = np.histogram(drawn(mean), [-1.0, *edges + 0.5, np.inf])[0]
    full = expected > 5
    excess = np.sum((counted - expected)[full] ** 2 / expected[full])
    assert full.sum() > 1
    assert stats.chi2.sf(excess, full.sum() - 1) > 1e-3


@pytest.mark.parametrize("mean", [_LARGE, 100.0, 1e6])
def test_the_probability_that_rejection_compares_with(mean: float) -> None:
    """It is that of the distribution, from no spike at all to far above the mean."""
    counts = np.unique(np.linspace(0.0, 3 * mean, 200).round())
    found = _log_probability(NUMPY_NEURONS, counts, np.full(len(counts), mean))
    np.testing.assert_allclose(found, stats.poisson.logpmf(counts, mean), rtol=1e-9, atol=1e-7)


def test_large_means_cost_no_more_than_small_ones() -> None:
    """How many arrays are drawn depends on how many numbers there are, not on their mean."""
    asked = {}
    for mean in (20.0, 1e3, 1e5, 1e9):
        draws = Draws(1000)
        poisson_counts(NUMPY_NEURONS, np.full(1000, mean), draws)
        asked[mean] = draws.asked
    assert max(asked.values()) <= 20, asked


def test_a_number_follows_from_its_own_mean_and_draws() -> None:
    """Neighbours with other means, small or large, change nothing."""
    rng = np.random.default_rng(2)
    means = 10.0 ** rng.uniform(-2, 6, 500)
    together = poisson_counts(NUMPY_NEURONS, means, Draws(500))
    for i in range(0, 500, 50):
        alone = np.full(500, means[i])
        assert poisson_counts(NUMPY_NEURONS, alone, Draws(500))[i] == together[i]


def test_what_is_not_finite_stays_so() -> None:
    """No loop without end, and no number where there is none."""
    found = poisson_counts(NUMPY_NEURONS, np.array([np.nan, np.inf, 1e4, 1.0]), Draws(4))
    assert np.isnan(found[0]) and np.isinf(found[1]) and np.isfinite(found[2:]).all()


def test_signs_and_heights() -> None:
    """Below zero spikes are negative; a scale makes them more and lower, so that means stay."""
    currents = np.tile([-3000.0, 40.0, 2e6], 200)
    for scale in (1.0, 10.0):
        found = drive(sw.PoissonSpiking(sw.LeakyReLU(1.0)), currents, steps=20, scale=scale)
        assert found.counts is not None
        mean = found.output.reshape(-1, 3).mean(axis=0)
        error = np.sqrt(np.abs(currents[:3]) * 1000.0 / (scale * 4000))
        assert np.all(np.abs(mean - currents[:3]) < 4 * error)
