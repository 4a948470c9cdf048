"""Intervals: published values, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spikewright import measure
from spikewright.errors import SimulationError
from spikewright.measure.intervals import (
    at_most,
    drop_interval,
    exact_interval,
    mean_interval,
    paired_interval,
    root_ratio_interval,
    student_tail,
)

COUNTS = st.integers(0, 300)


@pytest.mark.parametrize("n", [1, 7, 40, 1000])
def test_an_interval_holds_what_was_found(n: int) -> None:
    """The bound of none is 0 and that of all is 1, exactly: rounding does not move them."""
    assert measure.wilson_interval(0, n)[0] == 0.0
    assert measure.wilson_interval(n, n)[1] == 1.0


@given(st.integers(1, 300), st.floats(0.0, 1.0), st.sampled_from([0.8, 0.95, 0.999]))
def test_intervals_of_shares_are_those_of_scipy(n: int, share: float, confidence: float) -> None:
    """Wilson's score interval, the exact one of Clopper and Pearson, and the binomial below it."""
    hits = round(share * n)
    test = stats.binomtest(hits, n)
    for found, method in ((measure.wilson_interval, "wilson"), (exact_interval, "exact")):
        expected = test.proportion_ci(confidence, method=method)
        assert found(hits, n, confidence) == pytest.approx(tuple(expected), abs=1e-9)
    assert at_most(hits, n, share) == pytest.approx(stats.binom.cdf(hits, n, share), abs=1e-9)


@given(st.floats(-30, 30), st.integers(1, 5000))
def test_the_tail_is_students(t: float, freedom: int) -> None:
    """That of SciPy, to four digits of what a test compares with its level."""
    assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=2e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "published"),
    [((36, 12, 2, 0), (0.0569, 0.3404)), ((53, 0, 0, 1), (-0.0640, 0.0640))],
)
def test_the_paired_interval_is_newcombes(
    counts: tuple[int, int, int, int], published: tuple[float, float]
) -> None:
    """Method 10 on tables of the paper: the first row as printed there, the second by hand."""
    if counts[1] == counts[2] == 0:  # by hand: phi = (53 * 1 - 27) / 53, both score intervals alike
        n, hits = sum(counts), counts[0]
        low, high = measure.wilson_interval(hits, n)
        below, above, phi = hits / n - low, high - hits / n, (53 - 27) / 53
        half = math.sqrt(below**2 - 2 * phi * below * above + above**2)
        published = (-half, half)
    assert measure.paired_interval(*counts) == pytest.approx(published, abs=5e-5)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_paired_interval_holds_its_estimate(both: int, a: int, b: int, neither: int) -> None:
    """It contains the difference, lies within -1 and 1, and turns with the sign."""
    n = both + a + b + neither
    if n == 0:
        return
    low, high = measure.paired_interval(both, a, b, neither)
    other = measure.paired_interval(both, b, a, neither)

    assert -1 <= low <= (a - b) / n <= high <= 1
    assert (-other[1], -other[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(
    ("n", "chances"),
    [
        (500, (0.975, 0.005, 0.0025, 0.0175)),
        (2000, (0.985, 0.008, 0.002, 0.005)),
        (2000, (0.99, 0.002, 0.0, 0.008)),
        (200, (0.6, 0.1, 0.15, 0.15)),
    ],
)
def test_the_paired_interval_covers_the_truth(n: int, chances: tuple[float, ...]) -> None:
    """Of 2000 simulated 95 % intervals at least 93.5 % hold the true difference."""
    rng = np.random.default_rng(1)
    truth = chances[1] - chances[2]
    hits = 0
    for counts in rng.multinomial(n, chances, size=2000):
        low, high = measure.paired_interval(*map(int, counts))
        hits += low <= truth <= high
    assert hits / 2000 >= 0.935


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_mean_intervals_cover_the_truth(confidence: float) -> None:
    """Of 2000 means of 200 values that share of intervals holds the truth, within 2.5 points."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(2000):
        low, high = measure.mean_interval(rng.exponential(3.0, 200), confidence)
        found.append(low <= 3.0 <= high)
    assert abs(np.mean(found) - confidence) < 0.025


def test_intervals_of_relative_errors_cover_the_truth() -> None:
    """The root of a ratio of means of values that hang together: at least 93 % of 1000."""
    rng = np.random.default_rng(3)
    truth = 0.3  # errors of 0.3 of each value
    hits = 0
    for _ in range(1000):
        values = rng.normal(1.0, 0.5, 300)
        errors = values * rng.normal(0.0, truth, 300)
        low, high = root_ratio_interval(errors**2, values**2)
        hits += low <= truth <= high
    assert hits >= 930


def test_more_confidence_is_a_wider_interval() -> None:
    """Wilson's interval at 90, 95 and 99 %; 95 % is what is taken without a word."""
    widths = [np.diff(measure.wilson_interval(80, 100, c)).item() for c in (0.9, 0.95, 0.99)]

    assert widths == sorted(widths)
    assert measure.wilson_interval(80, 100) == measure.wilson_interval(80, 100, 0.95)


def test_impossible_intervals_are_refused() -> None:
    """No samples, and confidences that are none; a single value has a mean and no interval."""
    with pytest.raises(SimulationError, match="at least one sample"):
        measure.paired_interval(0, 0, 0, 0)
    for bad in (0.0, 1.0, "95 %"):
        with pytest.raises(SimulationError, match="between 0 and 1"):
            measure.wilson_interval(1, 2, bad)  # type: ignore[arg-type]
    assert measure.mean_interval(np.array([1.0])) is None
    assert root_ratio_interval(np.array([1.0]), np.array([1.0])) is None


def test_a_drop_in_scores_is_one_of_proportions_or_of_means() -> None:
    """Of zeros and ones that of the four counts of pairs; of other numbers the normal one."""
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 2, (2, 40)).astype(float)
    pairs = [np.sum((before == a) & (after == b)) for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))]

    assert drop_interval(before, after) == paired_interval(*map(int, pairs))
    assert drop_interval(before, 3 * after) == mean_interval(before - 3 * after)
    assert drop_interval(np.full(9, 0.5), np.full(9, 0.25)) == (0.25, 0.25)
