"""Laws that spiking neurons obey, whatever the input: charge, counts, rates, means, scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from driving import drive
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import spikewright as sw
from spikewright.network.neurons import NUMPY_NEURONS

BASES: dict[str, sw.NeuronType] = {
    "sigmoid": sw.Sigmoid(1.0),
    "tanh": sw.Tanh(1.0),
    "softplus": sw.Softplus(),
    "clipped-relu": sw.ClippedReLU(2.0),
    "leaky-relu": sw.LeakyReLU(0.2),
}


def slope(x: NDArray, y: NDArray) -> float:
    """Slope of the least-squares line through `log y` over `log x`."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("period", [10, 100, 1000, 10_000])
def test_spikes_fall_where_exact_arithmetic_puts_them(
    period: int, precision: sw.engines.Precision
) -> None:
    """Gain 1, input 1, v(0) = 0: the first spike at step 1/dt, then one every 1/dt steps."""
    periods = 10 if period < 10_000 else 3  # the conformance suite's slow test runs all ten
    found = drive(
        sw.IntegrateAndFire(), [1.0], steps=periods * period, dt=1.0 / period, precision=precision
    ).counts
    assert found is not None and found.max() == 1.0
    steps = np.flatnonzero(found[:, 0]) + 1
    assert steps.tolist() == [period * k for k in range(1, periods + 1)]


# Charge

currents = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
    elements=st.floats(-3000.0, 3000.0, width=32),
)
steps_of_time = st.sampled_from([0.1, 0.01, 0.001, 0.0003])
scales = st.sampled_from([0.3, 1.0, 3.0, 10.0])


@pytest.mark.parametrize(
    "neuron_type",
    [
        sw.IntegrateAndFire(),
        sw.IntegrateAndFire(amplitude=0.5, max_spikes_per_step=1),
        sw.IntegrateAndFire(max_spikes_per_step=3),
        sw.SpikingRectifiedLinear(),
        sw.SpikingLeakyReLU(0.3),
        sw.RegularSpiking(sw.Softplus()),
        sw.RegularSpiking(sw.Tanh(1.0)),
        sw.RegularSpiking(sw.LeakyReLU(0.3, amplitude=2.0)),
    ],
    ids=repr,
)
@settings(max_examples=25)
@given(currents=currents, dt=steps_of_time, scale=scales, start=st.floats(0.0, 1.0))
def test_charge_is_balanced(
    neuron_type: sw.NeuronType, currents: NDArray, dt: float, scale: float, start: float
) -> None:
    """`v = v0 + s dt sum J - spikes` at every step, `J` being what the type integrates.

    That is `J` itself for the signed neuron, also with a cap; `max(J, 0)` for the rectified one;
    the base type's rate for the regular one.
    """
    found = drive(neuron_type, currents, dt=dt, scale=scale, start=start)
    assert found.counts is not None and found.voltage is not None
    signed = isinstance(neuron_type, sw.IntegrateAndFire)
    charge = currents if signed else neuron_type.rates(NUMPY_NEURONS, currents)
    balance = start + scale * dt * np.cumsum(charge, axis=0)
    spikes = np.cumsum(found.counts, axis=0)
    size = 1.0 + scale * dt * np.abs(charge).sum()
    np.testing.assert_allclose(found.voltage + spikes, balance, rtol=0, atol=1e-12 * size)
    assert np.all(found.counts == np.rint(found.counts))
    assert neuron_type.negative or found.counts.min() >= 0
    cap = getattr(neuron_type, "max_spikes_per_step", None)
    assert cap is None or found.counts.max() <= cap


@settings(max_examples=30)
@given(
    eighths=hnp.arrays(
        np.int64,
        st.tuples(st.integers(1, 60), st.integers(1, 4)),
        elements=st.integers(-200, 200),
    ),
    exponents=st.tuples(st.integers(-7, 0), st.integers(-2, 3)),
    start=st.integers(0, 15),
)
def test_signed_counts_are_the_running_maximum_of_the_integral(
    eighths: NDArray, exponents: tuple[int, int], start: int
) -> None:
    """`N(t) = max(0, max over tau <= t of floor(v0 + s dt sum J))` at every step, exactly.

    Inputs, step, scale and start are dyadic, so that nothing rounds and whole numbers are met.
    """
    dt, scale = 2.0 ** exponents[0], 2.0 ** exponents[1]
    values, v0 = eighths / 8.0, start / 16.0
    integral = v0 + scale * dt * np.cumsum(values, axis=0)
    expected = np.maximum.accumulate(np.maximum(np.floor(integral), 0.0), axis=0)
    for precision in sw.engines.PRECISIONS:
        found = drive(
            sw.IntegrateAndFire(), values, dt=dt, scale=scale, start=v0, precision=precision
        )
        assert found.counts is not None
        np.testing.assert_array_equal(np.cumsum(found.counts, axis=0), expected)


@settings(max_examples=40)
@given(
    values=hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 60), st.integers(1, 4)),
        elements=st.floats(0.0, 2000.0, width=32),
    ),
    dt=steps_of_time,
    scale=scales,
    start=st.floats(0.0, 1.0, exclude_max=True, width=32),
)
def test_counts_of_positive_currents_stay_within_one_of_the_integral(
    values: NDArray, dt: float, scale: float, start: float
) -> None:
    """`integral - 1 < N <= integral` (to rounding) at every step while `J >= 0`."""
    for neuron_type in (sw.IntegrateAndFire(), sw.SpikingRectifiedLinear()):
        found = drive(neuron_type, values, dt=dt, scale=scale, start=start)
        assert found.counts is not None
        left = start + scale * dt * np.cumsum(values, axis=0) - np.cumsum(found.counts, axis=0)
        assert left.min() >= -1e-4 and left.max() < 1.0 + 1e-9


@pytest.mark.parametrize("neuron_type", [sw.IntegrateAndFire(), sw.SpikingRectifiedLinear()])
@pytest.mark.parametrize(("scale", "dt"), [(1.0, 0.001), (5.0, 0.01)])
def test_rate_error_falls_as_one_over_time(
    neuron_type: sw.NeuronType, scale: float, dt: float
) -> None:
    """The mean output of `T` steps is within `1/(T s dt)` of `J`, and the worst falls as `1/T`."""
    values = np.random.default_rng(0).uniform(0.0, 500.0, 200)
    output = drive(neuron_type, values, steps=2048, dt=dt, scale=scale).output
    times = 2 ** np.arange(3, 12)
    errors = [np.abs(output[:t].mean(axis=0) - values).max() for t in times]
    assert np.all(np.array(errors) <= (1.0 + 1e-9) / (times * scale * dt))
    assert abs(slope(times, np.array(errors)) + 1.0) < 0.05


@settings(max_examples=30)
@given(
    current=st.floats(0.0, 900.0), scale=scales, dt=steps_of_time, count=st.integers(1, 200),
    start=st.floats(0.0, 1.0, exclude_max=True),
)  # fmt: skip
def test_mean_of_a_constant_current_is_off_by_less_than_a_spike(
    current: float, scale: float, dt: float, count: int, start: float
) -> None:
    """`|mean - J| < 1/(T s dt)` for any constant `J >= 0`, start, step and scale."""
    found = drive(
        sw.IntegrateAndFire(), [current], steps=count, dt=dt, scale=scale, start=start
    ).output
    assert abs(found.mean() - current) < (1.0 + 1e-3) / (count * scale * dt)


# Means of curved responses


def spike_driven(steps: int, n: int, seed: int) -> NDArray:
    """Currents that arrive as random spikes of both signs: mostly 0, the mean near what is meant.

    Their means spread over about -2 to 3, single values over many times that.
    """
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.02, 0.3, n)
    weight = rng.uniform(-2.0, 3.0, n) / probability
    return np.where(rng.random((steps, n)) < probability, weight, 0.0)


@pytest.mark.parametrize("name", list(BASES))
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_running_mean_spiking_finds_f_of_the_mean(name: str, scale: float) -> None:
    """For current that arrives as random spikes the time mean tends to `f(mean J)` as `1/T`."""
    base, dt = BASES[name], 0.05
    values = spike_driven(2048, 100, seed=1)
    output = drive(
        sw.RunningMeanSpiking(base, 0.5), values, dt=dt, scale=scale, start="half"
    ).output
    times = 2 ** np.arange(4, 12)
    errors = []
    for t in times:
        wanted = 0.5 * base.rates(NUMPY_NEURONS, values[:t].mean(axis=0))
        errors.append(np.abs(output[:t].mean(axis=0) - wanted).max())
    assert np.all(np.array(errors) <= (0.5 * 0.5 + 1e-6) / (times * scale * dt))
    assert abs(slope(times, np.array(errors)) + 1.0) < 0.1


def test_regular_spiking_finds_the_mean_of_f_instead() -> None:
    """Behind spikes the integrated rate is biased for a curved response; that is why both exist."""
    values = spike_driven(4000, 50, seed=2)
    means = values.mean(axis=0)
    for base in (sw.Sigmoid(1.0), sw.Tanh(1.0)):
        regular, running = (
            drive(kind(base), values, dt=0.05, scale=10.0).output.mean(axis=0)
            for kind in (sw.RegularSpiking, sw.RunningMeanSpiking)
        )
        wanted = base.rates(NUMPY_NEURONS, means)
        np.testing.assert_allclose(
            regular, base.rates(NUMPY_NEURONS, values).mean(axis=0), atol=0.01
        )
        assert np.abs(running - wanted).max() < 0.01
        assert np.abs(regular - wanted).max() > 0.2


# Scale


@pytest.mark.parametrize("base", [sw.Sigmoid(), sw.Tanh(), sw.Softplus(), sw.LIFRate()], ids=repr)
def test_a_scale_leaves_the_mean_output(base: sw.NeuronType) -> None:
    """Tenfold firing rates leave the mean output of any response within 1 % of `f(J)`."""
    values = np.array([1.5, 2.0, 3.0, 8.0])
    wanted = base.rates(NUMPY_NEURONS, values)
    dt = 0.05 if base == sw.Softplus() else 0.001
    kinds: list[Any] = [
        lambda b: b, sw.RegularSpiking, sw.RunningMeanSpiking, sw.StochasticSpiking,
        sw.PoissonSpiking,
    ]  # fmt: skip
    for kind in kinds:
        neuron_type = kind(base)
        copies, steps = (50, 100) if neuron_type.stochastic else (1, 2000)
        for scale in (1.0, 10.0):
            found = drive(neuron_type, np.tile(values, copies), steps=steps, dt=dt, scale=scale)
            mean = found.output.reshape(steps * copies, -1).mean(axis=0)
            bound = 0.01 * wanted
            if neuron_type.stochastic:  # five standard errors of a Poisson mean
                bound = bound + 5.0 * np.sqrt(wanted / (scale * dt * steps * copies))
            assert np.all(np.abs(mean - wanted) <= bound), (kind, scale)


def test_a_scale_multiplies_spikes_by_itself() -> None:
    """s times as many spikes, each 1/s as high, from the same current."""
    values = np.linspace(1.0, 200.0, 30)
    for neuron_type in (
        sw.IntegrateAndFire(), sw.SpikingRectifiedLinear(), sw.RegularSpiking(sw.ClippedReLU(90.0)),
    ):  # fmt: skip
        one, ten = (drive(neuron_type, values, steps=1000, scale=s) for s in (1.0, 10.0))
        assert one.counts is not None and ten.counts is not None
        few, many = one.counts.sum(axis=0), ten.counts.sum(axis=0)
        assert np.all((many >= 10.0 * few) & (many < 10.0 * (few + 1.0)))
        np.testing.assert_allclose(np.unique(one.output), np.unique(one.counts) * 1000.0)
        np.testing.assert_allclose(np.unique(ten.output), np.unique(ten.counts) * 100.0)


def test_scaling_a_sigmoid_by_its_gain_would_have_changed_it() -> None:
    """The reason for the rule: f(10 J) / 10 is not f(J) for a curved f, while s f(J) / s is."""
    for base in (sw.Sigmoid(), sw.Tanh()):
        value = np.array([1.5])
        right = base.rates(NUMPY_NEURONS, value)
        skewed = base.rates(NUMPY_NEURONS, 10.0 * value) / 10.0
        assert abs(skewed - right) > 0.5 * right
        scaled = drive(base, value, steps=1, scale=10.0).output
        np.testing.assert_allclose(scaled[0], right, rtol=1e-12)
