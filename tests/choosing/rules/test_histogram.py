"""Histograms: what is exact, what is bounded, and that merging is adding integers."""

from __future__ import annotations

import numpy as np
import pytest
from calibrating import normals
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikewright.choosing.statistics.histogram import RESOLUTION, Collector, Histogram

FLOATS = st.floats(-1e6, 1e6, width=32)
TABLES = hnp.arrays(np.float32, st.tuples(st.just(2), st.integers(1, 40)), elements=FLOATS)


@given(TABLES, st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_split_in_any_order_gives_the_same_histogram(table, random, parts) -> None:
    """Bit for bit: counts and sums of remainders are integers."""
    order = list(range(table.shape[1]))
    random.shuffle(order)
    pieces = [Histogram.of(table[:, order[i::parts]]) for i in range(parts)]
    random.shuffle(pieces)

    assert Histogram.join(pieces) == Histogram.of(table)
    assert Histogram.join([pieces[0], Histogram.empty(2)]) == pieces[0]


@given(TABLES)
def test_mean_and_variance_lose_nothing_to_the_bins(table) -> None:
    """They are those of the values in float64."""
    made = Histogram.of(table)
    values = table.astype(float)

    scale = np.abs(values).max(axis=1)
    assert np.all(np.abs(made.mean - values.mean(axis=1)) <= 1e-9 * scale)
    assert np.all(np.abs(made.variance - values.var(axis=1)) <= 1e-9 * scale**2)


@given(TABLES, st.floats(0.01, 100.0))
def test_percentiles_are_within_a_bin(table, percent) -> None:
    """Off by at most 2^-8 of the value that stands at that rank; at 100 it is the largest."""
    made = Histogram.of(table).percentile(percent)
    exact = np.percentile(table.astype(float), percent, axis=1, method="inverted_cdf")

    assert np.all(np.abs(made - exact) <= RESOLUTION * np.abs(exact) + 1e-40)
    assert np.array_equal(Histogram.of(table).percentile(100.0), table.max(axis=1))


@given(TABLES, st.floats(-10, 1e5))
def test_excess_is_within_a_bin(table, threshold) -> None:
    """E[max(x - threshold, 0)] is off by at most a bin's width at the threshold."""
    found = Histogram.of(table).excess(threshold)
    exact = np.maximum(table.astype(float) - threshold, 0).mean(axis=1)

    assert np.all(np.abs(found - exact) <= RESOLUTION * abs(threshold) + 1e-9 * (1 + exact))


@given(TABLES)
def test_squared_error_is_exact(table) -> None:
    """Where one number answers all values of a bin."""
    made = Histogram.of(table)
    found = made.squared_error(np.full(len(made.code), 3.0))
    exact = ((table.astype(float) - 3.0) ** 2).mean(axis=1)

    assert found == pytest.approx(exact, rel=1e-9)


@given(TABLES)
def test_views_are_histograms_of_changed_values(table) -> None:
    """Rectified, magnitudes, all channels together: as if the values had been changed first."""
    made = Histogram.of(table)

    assert made.rectified() == Histogram.of(np.maximum(table, 0))
    assert made.together == Histogram.of(table.reshape(1, -1))
    one, other = made.magnitudes(), Histogram.of(np.abs(table))
    assert np.array_equal(one.code, other.code)
    assert np.array_equal(one.second, other.second)
    assert np.array_equal(one.highest, other.highest)
    assert np.all(one.lowest <= other.lowest)


def test_ends_are_exact_and_channels_stay_apart() -> None:
    """Smallest and largest value of each channel, to the bit; counts a channel."""
    table = normals((5, 300))
    made = Histogram.of(table)

    assert np.array_equal(made.lowest, table.min(axis=1))
    assert np.array_equal(made.highest, table.max(axis=1))
    assert np.array_equal(made.total, np.full(5, 300))


def test_numbers_that_float32_cannot_hold_are_refused() -> None:
    """NaN, infinity, overflow; the smallest numbers are kept."""
    for bad in (np.nan, np.inf, -np.inf, 1e300):
        with pytest.raises(ValueError, match="NaN, infinity"):
            Histogram.of(np.array([[1.0, bad]]))
        with pytest.raises(ValueError, match="NaN, infinity"):
            Collector(1).add(np.array([[1.0, bad]]))
    tiny = Histogram.of(np.array([[1e-45, -1e-45, 3e-39]]))
    assert tiny.mean == pytest.approx(1e-39, rel=1e-5)


def test_an_empty_channel_has_no_mean() -> None:
    """NaN and infinite ends rather than a made-up zero."""
    made = Histogram.empty(3)

    assert np.all(np.isnan(made.mean))
    assert np.all(np.isinf(made.lowest))


def test_different_channels_do_not_merge() -> None:
    """Histograms of different layers are told apart."""
    with pytest.raises(ValueError, match="do not merge"):
        Histogram.empty(2).merge(Histogram.empty(3))


def test_collecting_in_pieces_is_collecting_at_once() -> None:
    """Whatever is compressed when."""
    table = normals((3, 500))
    collector = Collector(3, at_once=64)
    for start in range(0, 500, 7):
        collector.add(table[:, start : start + 7].astype(float))

    assert collector.result() == Histogram.of(table)


@given(TABLES, hnp.arrays(float, 2, elements=st.floats(0, 1e4)))
def test_values_below_a_limit_become_zero(table, limits) -> None:
    """Nothing else changes: it is the histogram of the values with zeros in their place."""
    edges = 2.0 ** np.round(np.log2(np.maximum(limits, 1e-37)))  # of bins; below is that of zero
    limits = np.where(limits > 1e-37, edges, 0.0)
    kept = np.where(np.abs(table) < limits[:, None], 0, table)

    assert Histogram.of(table).without(limits) == Histogram.of(kept)
