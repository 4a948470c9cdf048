"""Laws of the neuron that takes spikes back: what it has sent depends on the sum of what came."""

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


def net_counts(neuron_type: sw.NeuronType, values: NDArray, **options: object) -> NDArray:
    """Spikes sent less those taken back, `(steps, n)`."""
    found = drive(neuron_type, values, **options).counts  # type: ignore[arg-type]
    assert found is not None
    return np.cumsum(found, axis=0)


@settings(max_examples=30)
@given(eighths=eighths, exponents=exponents, start=sixteenths)
def test_what_was_sent_is_the_floor_of_the_integral(
    eighths: NDArray, exponents: tuple[int, int], start: int
) -> None:
    """`N(t) = max(0, floor(v0 + s dt sum J))` at every step, exactly, in both precisions.

    Inputs, step, scale and start are dyadic, so that nothing rounds and whole numbers are met.
    """
    dt, scale = 2.0 ** exponents[0], 2.0 ** exponents[1]
    values, v0 = eighths / 8.0, start / 16.0
    expected = np.maximum(np.floor(v0 + scale * dt * np.cumsum(values, axis=0)), 0.0)
    for precision in sw.engines.PRECISIONS:
        found = net_counts(
            sw.BipolarIntegrateAndFire(), values, dt=dt, scale=scale, start=v0, precision=precision
        )
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=20)
@given(eighths=eighths, exponents=exponents, start=sixteenths, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_arrival_does_not_matter(
    eighths: NDArray, exponents: tuple[int, int], start: int, seed: int
) -> None:
    """Whatever order the same currents come in, as many spikes have been sent in the end.

    `IntegrateAndFire` keeps what it sent before negative current came.
    """
    dt, scale = 2.0 ** exponents[0], 2.0 ** exponents[1]
    values = eighths / 8.0
    mixed = np.random.default_rng(seed).permutation(values)
    options = {"dt": dt, "scale": scale, "start": start / 16.0}
    one, two = (net_counts(sw.BipolarIntegrateAndFire(), x, **options)[-1] for x in (values, mixed))
    np.testing.assert_array_equal(one, two)
    kept = net_counts(sw.IntegrateAndFire(), np.sort(values, axis=0)[::-1], **options)[-1]
    assert np.all(kept >= one)


@settings(max_examples=30)
@given(eighths=eighths, exponents=exponents, start=sixteenths, cap=st.integers(1, 5))
def test_a_cap_is_followed_as_fast_as_it_allows(
    eighths: NDArray, exponents: tuple[int, int], start: int, cap: int
) -> None:
    """With a cap `N` goes to `max(0, floor(integral))` by at most the cap a step, either way."""
    dt, scale = 2.0 ** exponents[0], 2.0 ** exponents[1]
    values, v0 = eighths / 8.0, start / 16.0
    wanted = np.maximum(np.floor(v0 + scale * dt * np.cumsum(values, axis=0)), 0.0)
    found = net_counts(
        sw.BipolarIntegrateAndFire(max_spikes_per_step=cap), values, dt=dt, scale=scale, start=v0
    )
    expected, sent = np.empty_like(wanted), np.zeros(wanted.shape[1])
    for t, target in enumerate(wanted):
        sent = np.clip(target, sent - cap, sent + cap)
        expected[t] = sent
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("cap", [None, 1, 3])
@settings(max_examples=25)
@given(
    currents=hnp.arrays(
        np.float64, (30, 3), elements=st.floats(-3000.0, 3000.0, width=32)
    ),
    dt=st.sampled_from([0.1, 0.01, 0.001, 0.0003]),
    scale=st.sampled_from([0.3, 1.0, 3.0, 10.0]),
    start=st.floats(0.0, 1.0),
)  # fmt: skip
def test_charge_is_balanced(
    cap: int | None, currents: NDArray, dt: float, scale: float, start: float
) -> None:
    """`v = v0 + s dt sum J - N` at every step, and `N` is never below zero."""
    kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=cap)
    found = drive(kind, currents, dt=dt, scale=scale, start=start)
    assert found.counts is not None and found.voltage is not None
    sent = np.cumsum(found.counts, axis=0)
    balance = start + scale * dt * np.cumsum(currents, axis=0)
    size = 1.0 + scale * dt * np.abs(currents).sum()
    np.testing.assert_allclose(found.voltage + sent, balance, rtol=0, atol=1e-12 * size)
    assert sent.min() >= 0.0
    assert cap is None or np.abs(found.counts).max() <= cap


@settings(max_examples=20)
@given(
    values=hnp.arrays(np.float64, (40, 3), elements=st.floats(0.0, 2000.0, width=32)),
    dt=st.sampled_from([0.1, 0.01, 0.0003]),
    start=st.floats(0.0, 1.0, exclude_max=True, width=32),
    cap=st.sampled_from([None, 1, 4]),
)
def test_on_current_that_is_never_negative_it_is_integrate_and_fire(
    values: NDArray, dt: float, start: float, cap: int | None
) -> None:
    """Spike for spike, and to the last bit of the voltage."""
    plain, bipolar = (
        drive(kind(max_spikes_per_step=cap), values, dt=dt, start=start)
        for kind in (sw.IntegrateAndFire, sw.BipolarIntegrateAndFire)
    )
    assert plain.counts is not None and bipolar.counts is not None
    assert plain.voltage is not None and bipolar.voltage is not None
    np.testing.assert_array_equal(plain.counts, bipolar.counts)
    np.testing.assert_array_equal(plain.voltage, bipolar.voltage)


@settings(max_examples=40)
@given(sixteenth=st.integers(-40, 80), steps=st.integers(1, 33))
def test_one_spike_a_step_rounds_a_constant_value(sixteenth: int, steps: int) -> None:
    """From half a spike, `T` steps of `J` send `round(clip(T J, 0, T))`, half rounded up."""
    value = sixteenth / 16.0
    kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=1)
    found = net_counts(kind, np.full((steps, 1), value), dt=1.0, start="half")[-1, 0]
    assert found == np.floor(np.clip(steps * value, 0.0, steps) + 0.5)


def test_an_early_spike_is_taken_back() -> None:
    """Two spikes too many leave before the negative current comes; the integral is 1."""
    currents = np.array([[3000.0], [0.0], [-2000.0], [0.0], [500.0], [-1500.0]])
    bipolar = drive(sw.BipolarIntegrateAndFire(), currents, start="half")
    assert bipolar.counts is not None and bipolar.voltage is not None
    assert bipolar.counts[:, 0].tolist() == [3, 0, -2, 0, 1, -2]
    np.testing.assert_allclose(bipolar.voltage[:, 0], [0.5, 0.5, 0.5, 0.5, 0.0, 0.5], atol=1e-12)
    slowly = drive(sw.BipolarIntegrateAndFire(max_spikes_per_step=1), currents, start="half")
    assert slowly.counts is not None
    assert slowly.counts[:, 0].tolist() == [1, 1, -1, 0, 1, -1]
    debt = drive(sw.BipolarIntegrateAndFire(), -currents, start="half").counts
    assert debt is not None and not debt[:5].any()  # nothing was sent: nothing is taken back


heights = st.lists(st.integers(1, 9), min_size=1, max_size=8).map(
    lambda found: tuple(sorted(found, reverse=True))
)


@settings(max_examples=30)
@given(
    heights=heights, cap=st.sampled_from([None, 1, 2]), start=sixteenths,
    currents=hnp.arrays(np.float64, (12, 3), elements=st.integers(-96, 160).map(lambda n: n / 16)),
)  # fmt: skip
def test_spikes_of_heights_say_multiples_of_them(
    heights: tuple[int, ...], cap: int | None, start: int, currents: NDArray
) -> None:
    """Every step sends whole spikes within the cap, each worth the height of its step.

    Where heights fall, that is beside the cap's spikes that are taken as sent in the first step.
    Charge is balanced as ever. What was said is above zero, less half of a height at most. Without
    a cap it is nearest to the sum at every step: within half of the height, or it is at the bottom.
    """
    kind = sw.BipolarIntegrateAndFire(1.0, cap, heights)
    found = drive(kind, currents, dt=1.0, start=start / 16.0)
    assert found.counts is not None and found.voltage is not None
    high = np.array([[kind.height_at(step)] for step in range(1, 13)])
    taken = np.zeros((12, 1))
    taken[0] = (cap or 0) * heights[0] * (heights[0] > heights[-1])
    said, sums = np.cumsum(found.counts, axis=0), start / 16.0 + np.cumsum(currents, axis=0)
    messages = (found.counts - taken) / high
    np.testing.assert_array_equal(messages, np.rint(messages))
    np.testing.assert_array_equal(found.voltage + said, sums)
    assert np.all(said >= -high / 2)
    if cap is not None:
        assert np.abs(messages).max() <= cap
        assert np.all(said <= [[kind.most_in(step)] for step in range(1, 13)])
        return
    owed = np.maximum(sums - 0.5, 0.0)
    assert np.all(np.abs(said - owed) <= high / 2)


@given(steps=st.integers(1, 8), worth=st.integers(0, 400), last=st.integers(1, 4))
def test_what_comes_at_once_is_said_to_half_of_the_last_height(
    steps: int, worth: int, last: int
) -> None:
    """One spike a step says any value that is in reach, where later heights make up for each.

    That is so where no height is above the sum of all later ones, and the last: radix codes.
    """
    heights = [last]
    while len(heights) < steps:
        heights.insert(0, max(heights[0], round(0.7 * (sum(heights) + last))))
    kind = sw.BipolarIntegrateAndFire(1.0, 1, tuple(heights))
    value = min(worth / 16.0, float(kind.most_in(steps) or 0))
    currents = np.zeros((steps, 1))
    currents[0] = value
    found = net_counts(kind, currents, dt=1.0, start="half")[-1, 0]
    assert abs(found - value) <= last / 2


def test_heights_for_so_many_steps() -> None:
    """They fall from `steps / 2` of the last, the last two are equal, and every value is in reach.

    No height is above the sum of those behind it and half of the last, so that each step leaves
    what later ones can say.
    """
    assert sw.BipolarIntegrateAndFire.in_steps(4).spike_heights == (6, 4, 3, 3)
    assert sw.BipolarIntegrateAndFire.in_steps(2).spike_heights == (4, 3)
    for steps in range(2, 40):
        kind = sw.BipolarIntegrateAndFire.in_steps(steps)
        heights = kind.spike_heights
        assert len(heights) == steps and kind.assumed == kind.most_spikes == 1
        assert heights[-2:] == (3, 3) or steps == 2
        for step in range(1, steps):
            assert heights[step - 1] / 2 <= sum(heights[step:]) + heights[-1] / 2
    for wrong in (0, 2.0, True, None):
        with pytest.raises(NetworkError, match=r"in_steps: steps is a whole number from 2, got"):
            sw.BipolarIntegrateAndFire.in_steps(wrong)  # type: ignore[arg-type]
        with pytest.raises(NetworkError, match=r"in_steps: spikes is a whole number from 1, got"):
            sw.BipolarIntegrateAndFire.in_steps(4, wrong)  # type: ignore[arg-type]


FALLING = {
    (4, 1): "0 0 0 6 12 12|0 0 0 4 4 4|0 0 0 -3 0 3|3 0 0 3 -3 -3|1 0 0 -1 1 -1|1 0 0 0 0 -1",
    (2, 3): "0 0 2 8 12 12|0 0 -1 0 3 3|0 0 0 0 1 3|3 0 -1 1 -2 -3|2 0 0 0 0 -3|0 0 0 0 0 -3",
    (3, 2): "0 0 0 8 16 16|0 0 0 0 0 6|0 0 2 0 0 4|2 0 -2 1 -2 -2|2 0 0 0 0 -2|1 0 0 0 0 -2",
}  # fmt: skip


@pytest.mark.parametrize(("steps", "spikes"), FALLING)
def test_falling_heights_send_these_spikes(steps: int, spikes: int) -> None:
    """What six neurons say in each step, with what is taken as sent in the first, written down."""
    currents = np.zeros((6, 6))
    currents[0] = -5, 0, 1.25, 8.375, 15.75, 50
    currents[3] = 10, 0, -10, 0.5, -1.75, -75
    kind = sw.BipolarIntegrateAndFire.in_steps(steps, spikes)
    found = drive(kind, currents, dt=1.0, start="half").counts
    wanted = [list(map(int, row.split())) for row in FALLING[steps, spikes].split("|")]
    assert found is not None and found.tolist() == wanted
    first = np.array(wanted[0]) / kind.spike_heights[0] - spikes
    np.testing.assert_array_equal(kind.sent_in(1, found[0]), np.abs(first))


@pytest.mark.parametrize("spikes", [1, 2, 3, 7, 15])
def test_heights_of_several_spikes(spikes: int) -> None:
    """Each is (n + 1) / 2 of the next, to rounding; all of them can say every value in reach."""
    for steps in range(2, 20):
        kind = sw.BipolarIntegrateAndFire.in_steps(steps, spikes)
        heights = kind.spike_heights
        assert kind.most_spikes == kind.assumed == spikes and len(heights) == steps
        assert heights[0] <= 64 * heights[-1]
        for step in range(1, steps):
            reach = spikes * sum(heights[step:]) + heights[-1] / 2
            assert heights[step - 1] / 2 <= reach
    assert sw.BipolarIntegrateAndFire.in_steps(3, 3).spike_heights == (4, 2, 1)
    assert sw.BipolarIntegrateAndFire.in_steps(2, 2).spike_heights == (3, 2)


@pytest.mark.parametrize("given", [(0,), (2, 3), (1.5,), (True,), "21", 3, None, (10**30,)])
def test_heights_are_whole_numbers_that_do_not_rise(given: object) -> None:
    """Anything else is named."""
    with pytest.raises(NetworkError, match=r"spike_heights must be whole .* such as \(3, 2, 2, 1"):
        sw.BipolarIntegrateAndFire(spike_heights=given)  # type: ignore[arg-type]


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "2", 10**400])
def test_a_cap_is_a_number_of_spikes(cap: object) -> None:
    """Anything else is named."""
    with pytest.raises(NetworkError, match=r"BipolarIntegrateAndFire.max_spikes_per_step"):
        sw.BipolarIntegrateAndFire(max_spikes_per_step=cap)  # type: ignore[arg-type]
