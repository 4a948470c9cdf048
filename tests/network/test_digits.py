"""Laws of signed digits: a neuron's steps say a whole number, whatever came first."""

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

digits = sw.BipolarIntegrateAndFire.digits
STEPS = 4
HEIGHTS = np.array([8, 4, 2, 1])
sixteenths = hnp.arrays(np.int64, st.integers(1, 6), elements=st.integers(-80, 400))


def sent(kind: sw.NeuronType, currents: NDArray) -> NDArray:
    """The worth of what was sent in every step, `(steps, n)`, of thresholds of one."""
    found = drive(kind, currents, dt=1.0, scale=1.0, start=0.5, precision="float64").counts
    assert found is not None
    return found


def known_in_turn(rng: np.random.Generator, neurons: int, steps: int, silent: int) -> NDArray:
    """Currents `(steps + silent, neurons)` of senders of digits, the first of them at once."""
    weights = rng.integers(-8, 9, (neurons, 20)) / 16.0
    said = rng.integers(-1, 2, (steps, 20)) * 2.0 ** np.arange(steps)[::-1, None]
    currents = np.zeros((steps + silent, neurons))
    currents[:steps] = said @ weights.T
    currents[0] += rng.integers(-32, 33, neurons) / 16.0
    return currents


@settings(max_examples=50)
@given(sums=sixteenths, start=st.integers(0, 3), steps=st.integers(1, 9))
def test_what_comes_at_once_is_rounded(sums: NDArray, start: int, steps: int) -> None:
    """The digits say the whole number nearest to it, a tie upwards, as far as they reach."""
    values, most = sums / 16.0 * 2.0 ** (steps - STEPS), 2**steps - 1
    currents = np.zeros((start + steps + 2, len(values)))
    currents[0] = values
    counts = sent(digits(steps, start), currents)
    np.testing.assert_array_equal(counts.sum(axis=0), np.clip(np.floor(values + 0.5), 0, most))


@settings(max_examples=50)
@given(sums=sixteenths)
def test_a_response_of_both_signs_is_rounded(sums: NDArray) -> None:
    """Of `f(x)` of either sign digits say the nearest whole number between -15 and 15."""
    values = sums / 16.0
    currents = np.zeros((STEPS, len(values)))
    currents[0] = values
    counts = sent(digits(STEPS, 0, sw.LeakyReLU(0.5)), currents)
    answers = np.where(values >= 0, values, 0.5 * values)
    np.testing.assert_array_equal(counts.sum(axis=0), np.clip(np.floor(answers + 0.5), -15, 15))


@pytest.mark.parametrize("kind", [digits(STEPS, 3), digits(STEPS, 3, sw.LeakyReLU(0.5))], ids=str)
def test_nothing_is_sent_but_one_digit_in_each_own_step(kind: sw.NeuronType) -> None:
    """A step's count is its height, its negative, or 0; before the start and behind the end 0."""
    rng = np.random.default_rng(0)
    counts = sent(kind, rng.integers(-160, 320, (12, 200)) / 16.0)
    assert not counts[:3].any() and not counts[3 + STEPS :].any()
    assert set(np.unique(counts[3 : 3 + STEPS] / HEIGHTS[:, None])) == {-1.0, 0.0, 1.0}


def test_a_rectifier_takes_back_no_more_than_it_sent() -> None:
    """What was sent so far is never below zero, whatever comes."""
    rng = np.random.default_rng(1)
    counts = sent(digits(STEPS, 1), rng.integers(-160, 200, (STEPS + 1, 500)) / 16.0)
    assert np.cumsum(counts, axis=0).min() == 0.0 and counts.min() < 0.0


def test_higher_thresholds_send_fewer_spikes() -> None:
    """Digits that later ones can make good are left out: 1.6 in the mean, and 2 of the nearest."""
    values = np.arange(16 * 8) / 8.0
    currents = np.zeros((STEPS, len(values)))
    currents[0] = values
    nearest = sw.BipolarIntegrateAndFire(max_spikes_per_step=1, spike_heights=(8, 4, 2, 1), start=0)
    fewer, more = (np.count_nonzero(sent(kind, currents)) for kind in (digits(STEPS), nearest))
    assert fewer < 0.9 * more


@pytest.mark.parametrize("silent", [1, 2, 4])
def test_the_neuron_is_the_published_rule(silent: int) -> None:
    """`s_k = clip(floor((max(A_k, 0) - E_(k-1)) / 2^(T-k) + 1/2), -1 (first 0), 1)`.

    Of parts of a half, as in docs/few_steps.md; A_k is the sum of what the first k + d digits of
    all inputs bring.
    """
    kind = sw.BipolarIntegrateAndFire(
        max_spikes_per_step=1, spike_heights=(8, 4, 2, 1), start=silent
    )
    for seed in range(20):
        currents = known_in_turn(np.random.default_rng(seed), 40, STEPS, silent)
        arrived, said = np.cumsum(currents, axis=0), np.zeros(40)
        counts = sent(kind, currents)
        for k, height in enumerate(HEIGHTS):
            owed = np.maximum(arrived[silent + k], 0.0) - said
            wanted = np.clip(np.floor(owed / height + 0.5), -1 if k else 0, 1) * height
            np.testing.assert_array_equal(counts[silent + k], wanted)
            said += wanted


@pytest.mark.parametrize("silent", [1, 2, 3])
def test_the_doubling_form_says_the_same(silent: int) -> None:
    """A neuron whose two states are doubled at every step needs no weights of steps, as on chips.

    `a = b / (2^(T + d)) , e = 0`; every step `a <- 2a + 2^-d W s_in`, `e <- 2e`; in own steps
    `s = digit(max(a, 0) - e)`, `e <- e + s`.
    """
    rng = np.random.default_rng(silent)
    for _ in range(20):
        weights, bias = rng.integers(-8, 9, (40, 20)) / 16.0, rng.integers(-32, 33, 40) / 16.0
        spikes = rng.integers(-1, 2, (STEPS, 20))
        currents = np.zeros((STEPS + silent, 40))
        currents[:STEPS] = (spikes * HEIGHTS[:, None]) @ weights.T
        currents[0] += bias
        kind = digits(STEPS, silent)
        counts = sent(kind, currents)[silent:]
        a, e = bias / 2.0 ** (STEPS + silent), np.zeros(40)
        for step in range(STEPS + silent):
            a, e = 2.0 * a, 2.0 * e
            if step < STEPS:
                a = a + weights @ spikes[step] * 2.0**-silent
            if step < silent:
                continue
            part = kind.spike_thresholds[step - silent]
            owed = np.maximum(a, 0.0) - e
            digit = (owed >= part).astype(float) - (owed < -part)
            e = e + digit
            np.testing.assert_array_equal(counts[step - silent], digit * HEIGHTS[step - silent])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": -1, "spike_heights": (2, 1), "max_spikes_per_step": 1}, "start must be"),
        ({"start": 0}, "give spike_heights"),
        ({"start": 0, "spike_heights": (2, 1), "max_spikes_per_step": 2}, "one spike a step"),
        ({"spike_thresholds": (0.5,)}, "give a start too"),
        (
            {
                "start": 0, "spike_heights": (2, 1), "max_spikes_per_step": 1,
                "spike_thresholds": (0.5,),
            },
            "one for each of the 2 heights",
        ),
        (
            {
                "start": 0, "spike_heights": (2, 1), "max_spikes_per_step": 1,
                "response": sw.IntegrateAndFire(),
            },
            "or a rate type",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_digits_is_refused(arguments: dict[str, object], message: str) -> None:
    """A start goes with heights, one spike a step and fitting parts of a height."""
    with pytest.raises(NetworkError, match=message):
        sw.BipolarIntegrateAndFire(**arguments)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="from 1 to 16"):
        digits(17)
