"""Neuron types one by one: golden numbers, gain and bias, and what their constructors refuse."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from driving import drive, spike_steps

import spikewright as sw
from conformance import neuron_type_examples
from spikewright._base.equations import CURVES
from spikewright.errors import BuildError, NetworkError
from spikewright.graph.layers import Activation
from spikewright.network.neurons import NEURON_TYPES, NUMPY_NEURONS, TOLERANCE, Clock, register
from spikewright.testing.layers import CURVE_PARAMETERS

MILLISECOND = 0.001


@pytest.mark.parametrize(
    ("current", "steps"),
    [
        (2.0, [14, 30, 46, 62, 78, 94]),
        (5.0, [5, 11, 18, 24, 31, 37, 44, 50, 57]),
        (1.0, []),
        (0.5, []),
        (-3.0, []),
    ],
)
def test_lif_spikes_at_the_golden_steps(current: float, steps: list[int]) -> None:
    """LIF with tau_rc 20 ms, tau_ref 2 ms, from v = 0, in steps of 1 ms."""
    assert spike_steps(sw.LIF(), current, 96 if current == 2.0 else 60, MILLISECOND) == steps


def test_lif_fires_above_its_threshold_and_not_at_it() -> None:
    """At v = 1 exactly, held there by J = 1, it never fires."""
    assert not drive(sw.LIF(), [1.0], steps=50, start=[1.0]).output.any()
    assert drive(sw.LIF(), [1.0], steps=1, start=[1.0 + 1e-12]).output.any()


def test_lif_rate_has_the_golden_values() -> None:
    """`1 / (tau_ref + tau_rc ln(1 + 1/(J-1)))` above 1, else 0."""
    rates = sw.LIFRate().rates(NUMPY_NEURONS, np.array([2.0, 5.0, 1.0, 0.0, -4.0]))
    np.testing.assert_allclose(rates[:2], [63.04000219, 154.72999475], rtol=1e-9)
    assert rates[2:].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dt", [0.0001, 0.0005, 0.001, 0.002])
def test_lif_rate_does_not_depend_on_the_step(dt: float) -> None:
    """Crossings are found inside a step: the firing rate is the formula's while dt <= tau_ref."""
    currents = np.array([1.2, 2.0, 5.0, 20.0])
    seconds = 2.0
    counts = drive(sw.LIF(), currents, steps=round(seconds / dt), dt=dt).counts
    assert counts is not None
    rates = sw.LIFRate().rates(NUMPY_NEURONS, currents)
    assert np.all(np.abs(counts.sum(axis=0) / seconds - rates) <= 1.01 / seconds)


@pytest.mark.parametrize("engine", sw.engines.available())
def test_lif_may_have_no_refractory_time(engine: str) -> None:
    """Spikes are `tau_rc ln(1 + 1/(J - 1))` apart, up to the next step; no rate is too high."""
    currents = np.array([1.5, 2.0, 5.0, 20.0])
    with sw.Network() as net:
        cells = sw.Ensemble(4, neuron_type=sw.LIF(tau_ref=0.0), gain=1.0, bias=currents,
                            initial_voltage="zero")  # fmt: skip
        fast = sw.Ensemble(4, neuron_type=sw.LIF(tau_ref=0.0), max_rates=(700.0, 800.0))
        counts = sw.Probe(cells.neurons, "spike_count")
    with sw.Simulator(net, engine=engine, progress=False) as sim:
        sim.run_steps(1000)
    apart = np.ceil(0.02 * np.log1p(1 / (currents - 1)) / MILLISECOND)
    np.testing.assert_array_equal(sim.data[counts].sum(axis=0), 1000 // apart)
    assert sim.data[fast].max_rates.min() > 699.0


def test_lif_min_voltage_bounds_the_voltage_from_below() -> None:
    """Without it a negative current is remembered; the default forgets it."""
    currents = np.full((60, 1), -5.0)
    currents[30:] = 3.0
    default, debt = (drive(sw.LIF(min_voltage=v), currents) for v in (0.0, -math.inf))
    assert default.voltage is not None and debt.voltage is not None
    assert default.voltage.min() == 0.0
    expected = -5.0 * (1 - np.exp(-np.arange(1, 31) * MILLISECOND / 0.02))
    np.testing.assert_allclose(debt.voltage[:30, 0], expected, rtol=1e-9)
    first = [int(np.flatnonzero(r.output[:, 0])[0]) for r in (default, debt)]
    assert first[1] > first[0]
    half = drive(sw.LIF(min_voltage=-0.5), currents)
    assert half.voltage is not None and half.voltage.min() == -0.5


@pytest.mark.parametrize("current", [0.0, 1.0, 1.5, 2.0, 50.0])
def test_lif_may_start_above_its_threshold(current: float) -> None:
    """It then fires in the first step, and all stays finite."""
    found = drive(sw.LIF(), [current], steps=20, start=[2.0])
    assert found.output[0, 0] == 1000.0
    assert np.all(np.isfinite(found.output))
    assert found.voltage is not None and np.all(np.isfinite(found.voltage))


def test_spiking_relu_has_the_golden_outputs() -> None:
    """J = 2500 at 1 ms: two and three spikes a step in turn, the remainder kept."""
    output = drive(sw.SpikingRectifiedLinear(), [2500.0], steps=6).output
    assert output[:, 0].tolist() == [2000.0, 3000.0] * 3


def test_spiking_relu_throws_negative_current_away_and_the_signed_neuron_does_not() -> None:
    """On +3, -3, ... of mean 0 the rectified neuron fires at half the rate of 3, the signed not."""
    currents = np.tile([300.0, -300.0], 500)[:, None]
    rectified = drive(sw.SpikingRectifiedLinear(), currents).counts
    signed = drive(sw.IntegrateAndFire(), currents).counts
    assert rectified is not None and rectified.sum() == 150
    assert signed is not None and signed.sum() == 0


def test_voltage_floor_limits_the_debt() -> None:
    """A floor of f spikes is reached, and passed by no step."""
    currents = np.full((40, 1), -500.0)
    currents[20:] = 250.0
    for floor in (0.0, 1.5):
        found = drive(sw.IntegrateAndFire(voltage_floor=floor), currents)
        assert found.voltage is not None and found.counts is not None
        assert found.voltage.min() == -floor
        assert int(np.flatnonzero(found.counts[:, 0])[0]) == 20 + math.ceil(4 * (floor + 1)) - 1


def test_cap_defers_spikes_and_loses_none() -> None:
    """At most that many spikes leave in a step; the rest leave later."""
    currents = np.zeros((20, 1))
    currents[:5] = 2600.0
    found = drive(sw.IntegrateAndFire(max_spikes_per_step=1), currents)
    assert found.counts is not None and found.voltage is not None
    assert found.counts[:, 0].tolist() == [1.0] * 13 + [0.0] * 7
    two = drive(sw.IntegrateAndFire(max_spikes_per_step=2), currents).counts
    assert two is not None and two[:, 0].tolist() == [2.0] * 6 + [1.0] + [0.0] * 13


def test_leaky_spikes_count_towards_zero() -> None:
    """Of -0.25 spikes a step the first negative spike leaves at the fourth, not the first."""
    found = drive(sw.SpikingLeakyReLU(0.25), [-1000.0], steps=9).counts
    assert found is not None
    assert found[:, 0].tolist() == [0, 0, 0, -1, 0, 0, 0, -1, 0]


def test_regular_spikes_count_downwards() -> None:
    """floor of a negative voltage: the first step of a negative rate sends a negative spike."""
    found = drive(sw.RegularSpiking(sw.LeakyReLU(0.25)), [-1000.0], steps=6)
    assert found.counts is not None
    assert found.counts[:, 0].tolist() == [-1, 0, 0, 0, -1, 0]


def test_spikes_fire_within_the_tolerance_and_not_before() -> None:
    """A sum that misses a whole number of spikes by rounding fires; one that misses more does not.

    The remainder is carried, minutely negative.
    """
    start = np.array([1.0 - TOLERANCE / 2, 1.0 - 2 * TOLERANCE])
    found = drive(sw.IntegrateAndFire(), [0.0, 0.0], steps=2, start=start)
    assert found.counts is not None and found.voltage is not None
    assert found.counts.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    np.testing.assert_allclose(found.voltage[-1], [-TOLERANCE / 2, start[1]], rtol=1e-9)


def test_stochastic_counts_are_the_whole_part_and_a_chance() -> None:
    """Of 2.3 spikes a step two always leave, the third three times in ten; signs are kept."""
    found = drive(sw.StochasticSpiking(sw.LeakyReLU(1.0)), [2300.0, -2300.0], steps=4000).counts
    assert found is not None
    assert set(np.unique(found[:, 0])) == {2.0, 3.0}
    assert set(np.unique(found[:, 1])) == {-2.0, -3.0}
    assert abs(found[:, 0].mean() - 2.3) < 0.03


def test_unknown_engine_is_named() -> None:
    """A wrong engine name lists the engines."""
    with sw.Network() as net:
        sw.Node([1.0])
    with pytest.raises(BuildError, match=re.escape("got 'nimble'")):
        sw.Simulator(net, engine="nimble")


# Rate functions


@pytest.mark.parametrize(
    ("neuron_type", "expected"),
    [
        (sw.RectifiedLinear(), lambda j: max(0.0, j)),
        (sw.LeakyReLU(0.1), lambda j: j if j >= 0 else 0.1 * j),
        (sw.Sigmoid(1.0), lambda j: 1.0 / (1.0 + math.exp(-j))),
        (sw.Sigmoid(), lambda j: 400.0 / (1.0 + math.exp(-j))),
        (sw.Tanh(1.0), math.tanh),
        (sw.Tanh(), lambda j: 400.0 * math.tanh(j)),
        (sw.Softplus(), lambda j: math.log1p(math.exp(j))),
        (sw.ClippedReLU(2.0), lambda j: min(max(0.0, j), 2.0)),
    ],
)
def test_rate_functions(neuron_type: sw.NeuronType, expected: Any) -> None:
    """Each rate function is its formula, in both precisions of a run."""
    currents = np.linspace(-6.0, 6.0, 25)
    wanted = [expected(j) for j in currents.tolist()]
    np.testing.assert_allclose(
        neuron_type.rates(NUMPY_NEURONS, currents), wanted, rtol=1e-12, atol=1e-13
    )
    for precision, rtol in (("float32", 1e-6), ("float64", 1e-12)):
        output = drive(neuron_type, currents, steps=2, precision=precision).output
        np.testing.assert_allclose(output, [wanted] * 2, rtol=rtol, atol=1e-5 * rtol)


def test_rates_are_finite_for_any_current() -> None:
    """Far from threshold, at it and at both ends no rate is NaN or infinite; signs are declared.

    A guarded type says that its function is not defined everywhere, or is steep.
    """
    currents = np.array([-1e30, -1e4, -1.0, -0.0, 0.0, 1e-300, 1.0, 1.0 + 1e-15, 50.0, 1e30])
    for example in neuron_type_examples():
        rates = example.neuron_type.rates(NUMPY_NEURONS, currents)
        assert np.all(np.isfinite(rates)) or example.neuron_type.guarded, example.id
        assert example.neuron_type.negative or np.all(rates >= 0), example.id


# Constructors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.RectifiedLinear(amplitude=0.0), r"RectifiedLinear.amplitude .* 0.0"),
        (lambda: sw.SpikingRectifiedLinear(-1.0), r"SpikingRectifiedLinear.amplitude"),
        (lambda: sw.IntegrateAndFire(amplitude=math.nan), r"IntegrateAndFire.amplitude .* nan"),
        (lambda: sw.IntegrateAndFire(voltage_floor=-1.0), r"voltage_floor .* got -1.0"),
        (lambda: sw.IntegrateAndFire(voltage_floor=math.nan), r"voltage_floor .* got nan"),
        (lambda: sw.IntegrateAndFire(max_spikes_per_step=0), r"max_spikes_per_step .* got 0"),
        (lambda: sw.IntegrateAndFire(max_spikes_per_step=1.5), r"max_spikes_per_step .* 1.5"),
        (lambda: sw.LeakyReLU(math.inf), r"LeakyReLU.negative_slope .* inf"),
        (lambda: sw.SpikingLeakyReLU(math.nan), r"SpikingLeakyReLU.negative_slope"),
        (lambda: sw.LIF(tau_rc=0.0), r"LIF.tau_rc .* 0.0"),
        (lambda: sw.LIF(tau_ref=-1.0), r"LIF.tau_ref"),
        (lambda: sw.LIF(min_voltage=0.5), r"LIF.min_voltage must be 0 or below, got 0.5"),
        (lambda: sw.LIF(min_voltage=math.nan), r"LIF.min_voltage"),
        (lambda: sw.LIFRate(tau_rc=math.inf), r"LIFRate.tau_rc"),
        (lambda: sw.Sigmoid(0.0), r"Sigmoid.tau_ref"),
        (lambda: sw.Tanh(1.0, -2.0), r"Tanh.amplitude"),
        (lambda: sw.Softplus(0.0), r"Softplus.amplitude"),
        (lambda: sw.ClippedReLU(0.0), r"ClippedReLU.max_value"),
        (lambda: sw.Elementwise("foo"), r"Elementwise: 'foo' is unknown; known are abs"),
        (lambda: sw.Elementwise("gelu", amplitude=0.0), r"Elementwise.amplitude .* 0.0"),
        (lambda: sw.Elementwise("gelu", (("a", 1.0),)), r"'gelu' has no parameter \['a'\]"),
        (lambda: sw.Elementwise("power"), r"'power' needs a value for \['exponent'\]"),
        (lambda: sw.Elementwise.of("elu", alpha=math.nan), r"\(name, number\) pairs"),
        (lambda: sw.Elementwise("elu", 3), r"\(name, number\) pairs, got 3"),  # type: ignore[arg-type]
        (lambda: sw.ParametricReLU(np.array(math.inf)), r"ParametricReLU.slope must be finite"),
        (lambda: sw.ParametricReLU("a"), r"ParametricReLU.slope must be finite numbers, got 'a'"),
        (lambda: sw.SignedIntegrateAndFire(0.0), r"SignedIntegrateAndFire.amplitude"),
        (lambda: sw.RegularSpiking(sw.LIF()), r"RegularSpiking.base_type must be a rate type"),
        (lambda: sw.RunningMeanSpiking("relu"), r"RunningMeanSpiking.base_type .* 'relu'"),
        (lambda: sw.StochasticSpiking(sw.Tanh(), 0.0), r"StochasticSpiking.amplitude"),
        (lambda: sw.PoissonSpiking(sw.RegularSpiking(sw.Tanh())), r"PoissonSpiking.base_type"),
    ],
)
def test_impossible_parameters_are_refused(make: Any, message: str) -> None:
    """The error names the type, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


def test_registering_a_name_twice_is_refused() -> None:
    """Files name classes: two of one name could not be told apart."""
    with pytest.raises(ValueError, match="'LIF' is registered already"):
        register(type("LIF", (sw.LIF,), {}))
    assert NEURON_TYPES["LIF"] is sw.LIF


# Elementwise functions by name


def test_every_elementwise_function_is_a_rate_type() -> None:
    """`Elementwise` answers with the function that the graph's activation of that name is."""
    for name in sorted(CURVES):
        parameters = CURVE_PARAMETERS.get(name, {})
        x = np.random.default_rng(0).uniform(0.1, 4.0, (3, 5))
        x = x if CURVES[name].domain == "above zero" else x - 2.0
        wanted = Activation(name, parameters).evaluate(x)

        neuron_type = sw.Elementwise.of(name, **parameters)
        found = neuron_type.rates(NUMPY_NEURONS, x)
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        again = sw.Elementwise(name, list(parameters.items())[::-1])  # type: ignore[arg-type]
        assert neuron_type == again and hash(neuron_type) == hash(again), name


def test_a_signed_neuron_sends_what_arrives() -> None:
    """Spikes of either sign sum to the charge, to within one spike, at every step."""
    currents = np.random.default_rng(0).normal(0.0, 4000.0, (200, 8))
    found = drive(sw.SignedIntegrateAndFire(), currents, start=np.full(8, 0.5)).counts
    assert found is not None and found.min() < 0
    apart = np.cumsum(found, axis=0) - MILLISECOND * np.cumsum(currents, axis=0)
    assert np.abs(apart).max() <= 0.5 + 1e-9


def test_slopes_of_their_own_for_every_neuron() -> None:
    """`slope` broadcasts to the population; two types are equal where their slopes are."""
    slope = np.array([0.5, -0.25, 0.0])
    currents = np.array([-2.0, -2.0, -2.0])
    assert drive(sw.ParametricReLU(slope), currents).output[0].tolist() == [-1.0, 0.5, 0.0]
    assert sw.ParametricReLU(slope) == sw.ParametricReLU(slope.copy())
    assert sw.ParametricReLU(slope) != sw.ParametricReLU(slope[:2])


@pytest.mark.parametrize("name", ["log", "sqrt", "reciprocal", "exp"])
def test_nothing_is_sent_while_the_function_is_out_of_reach(name: str) -> None:
    """NaN, infinity and a million spikes away: held, and made up for when the mean has settled."""
    currents = np.full((1000, 1), 2.0)
    currents[0], currents[1] = (800.0, 0.0) if name == "exp" else (0.0, 0.0)
    found = drive(sw.RunningMeanSpiking(sw.Elementwise(name)), currents, scale=100.0)
    mean = float(currents.mean())
    wanted = sw.Elementwise(name).rates(NUMPY_NEURONS, np.array(mean))

    assert found.output[0, 0] == 0.0
    assert np.all(np.isfinite(found.output))
    assert abs(found.output.mean() - float(wanted)) <= 0.011


def _left(neuron_type: sw.NeuronType, start: float) -> float:
    """The voltage, in spikes, a step without a current behind a start in spikes."""
    threshold = np.array(1 / MILLISECOND)
    unit = neuron_type.voltage_unit(threshold)
    number = start * unit
    begin = np.floor(number) if neuron_type.integer_charge else number
    state = {name: np.full(1, v) for name, v in neuron_type.initial_values().items()}
    state["voltage"] = np.full(1, begin)
    clock = Clock(1, MILLISECOND, threshold, lambda index: np.full(1, 0.5))
    neuron_type.step(NUMPY_NEURONS, np.zeros(1), state, clock)
    return float(state["voltage"][0] / unit)


VOLTAGES = [e for e in neuron_type_examples() if e.neuron_type.has_voltage]


@pytest.mark.parametrize("example", VOLTAGES, ids=lambda e: e.id)
def test_a_leak_and_a_reset_are_what_a_type_says(example: Any) -> None:
    """Two voltages below the threshold keep their distance, unless there is a leak.

    Two above it keep theirs behind their spike, unless it sets the voltage to a value.
    """
    kind = example.neuron_type
    unit = float(kind.voltage_unit(np.array(1 / MILLISECOND)))
    whole = np.floor if kind.integer_charge else np.positive

    def apart(high: float, low: float) -> tuple[float, float]:
        return _left(kind, high) - _left(kind, low), float(whole(high * unit) - whole(low * unit))

    below, start = apart(0.95, 0.45)
    assert kind.leaks == (not math.isclose(below * unit, start, rel_tol=1e-9))
    behind, _ = apart(1.75, 1.5)
    assert kind.hard_reset == (behind == 0)


def test_there_are_types_with_a_leak_and_with_a_reset() -> None:
    """Each answer occurs."""
    kinds = [e.neuron_type for e in VOLTAGES]
    found = {(kind.leaks, kind.hard_reset) for kind in kinds}
    assert found == {(False, False), (False, True), (True, False), (True, True)}
