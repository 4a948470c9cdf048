"""Laws of neurons that take spikes back and have no charge below zero while nothing is sent."""

from __future__ import annotations

import numpy as np
import pytest
from driving import drive
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import spikewright as sw
from spikewright.errors import NetworkError

eighths = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 60), st.integers(1, 4)), elements=st.integers(-200, 200)
)
exponents = st.tuples(st.integers(-7, 0), st.integers(-2, 3))
sixteenths = st.integers(0, 15)


def reflected(charges: NDArray, start: float) -> NDArray:
    """`U <- max(0, U + s dt J)` from the start, `(steps, n)`."""
    walk, now = np.empty_like(charges), np.full(charges.shape[1], start)
    for t, charge in enumerate(charges):
        walk[t] = now = np.maximum(0.0, now + charge)
    return walk


@pytest.mark.parametrize("precision", sw.engines.PRECISIONS)
@settings(max_examples=20)
@given(eighths=eighths, exponents=exponents, start=sixteenths)
def test_what_was_sent_is_the_floor_of_charge_held_at_zero(
    precision: str, eighths: NDArray, exponents: tuple[int, int], start: int
) -> None:
    """`N(t) = floor(U)`, `U = max(0, U + s dt J)`, exactly: inputs and scales are dyadic."""
    dt, scale = 2.0 ** exponents[0], 2.0 ** exponents[1]
    found = drive(
        sw.BipolarIntegrateAndFire(debt=False), eighths / 8.0, dt=dt, scale=scale,
        start=start / 16.0, precision=precision,
    )  # fmt: skip
    assert found.counts is not None and found.voltage is not None
    walk, sent = (
        reflected(scale * dt * eighths / 8.0, start / 16.0),
        np.cumsum(found.counts, axis=0),
    )
    np.testing.assert_array_equal(sent, np.floor(walk))
    np.testing.assert_array_equal(found.voltage + sent, walk)


@settings(max_examples=20)
@given(eighths=eighths, start=sixteenths, cap=st.integers(1, 5))
def test_a_cap_is_followed_as_fast_as_it_allows(eighths: NDArray, start: int, cap: int) -> None:
    """With a cap `U` is the same, and `N` goes to `floor(U)` by at most the cap a step."""
    kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=cap, debt=False)
    found = drive(kind, eighths / 8.0, dt=0.125, start=start / 16.0)
    assert found.counts is not None and found.voltage is not None
    walk = reflected(eighths / 64.0, start / 16.0)
    sent, expected = np.zeros(walk.shape[1]), np.empty_like(walk)
    for t, target in enumerate(np.floor(walk)):
        expected[t] = sent = np.clip(target, sent - cap, sent + cap)
    counted = np.cumsum(found.counts, axis=0)
    np.testing.assert_array_equal(counted, expected)
    np.testing.assert_array_equal(found.voltage + counted, walk)


@settings(max_examples=30)
@given(
    eighths=eighths,
    kind=st.sampled_from(
        [
            sw.BipolarIntegrateAndFire(assumed_spikes=2, max_spikes_per_step=1),
            sw.BipolarIntegrateAndFire(spike_heights=(3, 2, 2)),
            sw.BipolarIntegrateAndFire.in_steps(4),
            sw.BipolarIntegrateAndFire.in_steps(3, 3),
        ]
    ),
)
def test_spikes_taken_as_sent_and_heights_leave_the_charge_as_it_is(
    eighths: NDArray, kind: sw.BipolarIntegrateAndFire
) -> None:
    """The counts so far plus the voltage are `U <- max(0, U + s dt J)` at every step."""
    lost = sw.BipolarIntegrateAndFire(
        1.0, kind.max_spikes_per_step, kind.assumed_spikes, kind.spike_heights, debt=False
    )
    found = drive(lost, eighths / 8.0, dt=0.125, start=0.5)
    assert found.counts is not None and found.voltage is not None
    counted = np.cumsum(found.counts, axis=0)
    np.testing.assert_array_equal(found.voltage + counted, reflected(eighths / 64.0, 0.5))


@pytest.mark.parametrize("cap", [None, 1, 3])
@settings(max_examples=30)
@given(eighths=eighths)
def test_it_is_the_same_neuron_until_charge_is_below_zero(
    cap: int | None, eighths: NDArray
) -> None:
    """Spike for spike as long as charge was never below zero; afterwards it has sent no less."""
    kept, lost = (
        drive(sw.BipolarIntegrateAndFire(1.0, cap, debt=debt), eighths / 8.0, dt=0.125, start=0.5)
        for debt in (True, False)
    )
    assert kept.counts is not None and lost.counts is not None
    before = np.minimum.accumulate(0.5 + np.cumsum(eighths / 64.0, axis=0), axis=0) >= 0
    np.testing.assert_array_equal(kept.counts[before], lost.counts[before])
    assert np.all(np.cumsum(lost.counts, axis=0) >= np.cumsum(kept.counts, axis=0))


def test_it_sends_at_once_when_positive_current_follows_negative() -> None:
    """After -3 spikes' worth one spike's worth is a spike; with debt it is none. Sums differ."""
    currents = 1000.0 * np.array([[-3.0], [1.0], [1.0], [-1.0], [-4.0], [2.0]])
    lost, kept = (
        drive(sw.BipolarIntegrateAndFire(debt=debt), currents, start="half").counts
        for debt in (False, True)
    )
    assert lost is not None and kept is not None
    assert lost[:, 0].tolist() == [0, 1, 1, -1, -1, 2]
    assert not kept.any()


@pytest.mark.parametrize("debt", [None, 0, 1, "no", 0.0])
def test_other_than_true_or_false_is_refused(debt: object) -> None:
    """The error names the field and the value."""
    with pytest.raises(NetworkError, match=r"BipolarIntegrateAndFire\.debt .*True or False, got"):
        sw.BipolarIntegrateAndFire(debt=debt)  # type: ignore[arg-type]
