"""Gain and bias from maximum rates and intercepts, and the firing-rate scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from spikewright.errors import NetworkError, SpikewrightError
from spikewright.network import load, save
from spikewright.network.neurons import NUMPY_NEURONS

# Gain and bias

CASES: list[tuple[sw.NeuronType, list[float], list[float], list[float], list[float]]] = [
    (sw.LIF(), [200, 400], [-0.5, 0.5], [4.11944132, 79.00416662], [3.05972066, -38.50208331]),
    (sw.LIFRate(), [200, 400], [-0.5, 0.5], [4.11944132, 79.00416662], [3.05972066, -38.50208331]),
    (sw.RectifiedLinear(), [200, 300], [-0.5, 0.5], [400 / 3, 600], [200 / 3, -300]),
    (sw.IntegrateAndFire(), [200, 300], [-0.5, 0.5], [400 / 3, 600], [200 / 3, -300]),
    (sw.SpikingRectifiedLinear(), [200, 300], [-0.5, 0.5], [400 / 3, 600], [200 / 3, -300]),
    (sw.Sigmoid(), [300], [0.5], [2.19722458], [-1.09861229]),
    (sw.Tanh(), [200, 300], [-0.5, 0.5], [0.3662041, 1.94591015], [0.18310205, -0.97295507]),
    (sw.RegularSpiking(sw.Tanh()), [200], [-0.5], [0.3662041], [0.18310205]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("neuron_type", "max_rates", "intercepts", "gain", "bias"),
    [pytest.param(*case, id=type(case[0]).__name__) for case in CASES],
)
def test_gain_and_bias_have_the_golden_values(
    neuron_type: sw.NeuronType,
    max_rates: list[float],
    intercepts: list[float],
    gain: list[float],
    bias: list[float],
) -> None:
    """From maximum rates in Hz and intercepts, in the formula and in a built ensemble."""
    found = neuron_type.gain_bias(np.array(max_rates), np.array(intercepts))
    np.testing.assert_allclose(found, (gain, bias), rtol=1e-7)
    with sw.Network() as net:
        ensemble = sw.Ensemble(
            len(gain),
            neuron_type=neuron_type,
            max_rates=np.array(max_rates),
            intercepts=np.array(intercepts),
        )
    data = sw.Simulator(net, engine="reference").data[ensemble]
    np.testing.assert_allclose(data.gain, gain, rtol=1e-7)
    np.testing.assert_allclose(data.bias, bias, rtol=1e-7)
    np.testing.assert_allclose(data.max_rates, max_rates, rtol=1e-9)


@pytest.mark.parametrize(
    ("neuron_type", "low", "high"),
    [
        (sw.LIF(), 20.0, 499.0),
        (sw.LIFRate(0.03, 0.001), 20.0, 990.0),
        (sw.RectifiedLinear(), 1.0, 1000.0),
        (sw.Sigmoid(), 201.0, 399.0),
        (sw.Tanh(), 1.0, 399.0),
    ],
)
@settings(max_examples=20)
@given(data=st.data())
def test_gain_and_bias_solve_for_rate_and_intercept(
    neuron_type: sw.NeuronType, low: float, high: float, data: st.DataObject
) -> None:
    """At x = 1 the rate is the maximum; at the intercept it starts (sigmoid: is at its middle)."""
    rate = data.draw(st.floats(low, high))
    intercept = data.draw(st.floats(-1.0, 0.9))
    gain, bias = neuron_type.gain_bias(np.array([rate]), np.array([intercept]))
    np.testing.assert_allclose(neuron_type.max_rates(gain, bias), rate, rtol=1e-6)
    current = gain * intercept + bias
    threshold = 1.0 if isinstance(neuron_type, sw.LIF | sw.LIFRate) else 0.0
    np.testing.assert_allclose(current, threshold, atol=1e-9 * max(1.0, float(gain[0])))


@pytest.mark.parametrize(
    ("neuron_type", "max_rates", "intercepts"),
    [
        (sw.LIF(), 500.0, 0.0),
        (sw.LIF(), 600.0, 0.0),
        (sw.LIF(), 600.0, 2.0),  # both impossible: their signs cancel
        (sw.LIF(), 0.0, 0.0),
        (sw.LIFRate(), -5.0, 0.0),
        (sw.LIFRate(), 100.0, 1.0),
        (sw.RectifiedLinear(), 0.0, 0.0),
        (sw.RectifiedLinear(), -100.0, 2.0),
        (sw.IntegrateAndFire(), 100.0, 1.0),
        (sw.Sigmoid(), 200.0, 0.0),
        (sw.Sigmoid(), 400.0, 0.0),
        (sw.Sigmoid(), 0.0, 0.0),
        (sw.Tanh(), 400.0, 0.0),
        (sw.Tanh(), 300.0, 1.5),
        (sw.RegularSpiking(sw.Sigmoid()), 100.0, 0.0),
    ],
)
def test_impossible_rates_are_refused(
    neuron_type: sw.NeuronType, max_rates: float, intercepts: float
) -> None:
    """No gain above 0 gives that rate, or an intercept is not below 1: an error says the limits."""
    with pytest.raises(NetworkError, match=r"1 of 1 neurons have no gain.*max rates must"):
        neuron_type.gain_bias(np.array([max_rates]), np.array([intercepts]))


def test_types_without_a_gain_formula_ask_for_gain_and_bias() -> None:
    """Softplus and clipped ReLU have none; the error says what to give."""
    for neuron_type in (sw.Softplus(), sw.ClippedReLU(), sw.RunningMeanSpiking(sw.Softplus())):
        with sw.Network() as net:
            sw.Ensemble(2, neuron_type=neuron_type)
        with pytest.raises(NetworkError, match="give gain= and bias="):
            sw.Simulator(net, engine="reference")


# Firing-rate scale


def test_lif_refuses_a_scale_with_the_reason_wherever_it_is_set() -> None:
    """In the constructor, as an attribute, and by changing the neuron type afterwards."""
    reason = r"firing rates of LIF cannot be scaled by .*response is curved.*skewed_scaling=True"
    with sw.Network():
        with pytest.raises(NetworkError, match=reason):
            sw.Ensemble(3, neuron_type=sw.LIF(), rate_scale=2.0, label="a")
        ensemble = sw.Ensemble(3, neuron_type=sw.LIF())
        with pytest.raises(NetworkError, match=reason):
            ensemble.rate_scale = [1.0, 2.0, 1.0]
        assert ensemble.rate_scale == 1.0
        ensemble.neuron_type = sw.IntegrateAndFire()
        ensemble.rate_scale = 10.0
        with pytest.raises(NetworkError, match=reason):
            ensemble.neuron_type = sw.LIF()
        assert isinstance(ensemble.neuron_type, sw.IntegrateAndFire)
        ensemble.neuron_type = sw.LIF(skewed_scaling=True)


def test_skewed_scaling_is_accepted_by_name_and_changes_the_output() -> None:
    """`skewed_scaling=True` multiplies gain and bias; a probed current shows it once."""
    with sw.Network() as net:
        stimulus = sw.Node([0.5])
        ensemble = sw.Ensemble(
            1, neuron_type=sw.LIF(skewed_scaling=True), gain=3.0, bias=1.0, rate_scale=4.0
        )
        sw.Connection(stimulus, ensemble.neurons, synapse=None)
        current, output = sw.Probe(ensemble.neurons, "input"), sw.Probe(ensemble.neurons)
    with sw.Simulator(net, engine="reference") as sim:
        sim.run_steps(2000)
    data = sim.data[ensemble]
    assert (data.gain, data.bias, data.amplitude) == (12.0, 4.0, 0.25)
    np.testing.assert_array_equal(sim.data[current], np.full((2000, 1), 10.0))
    rate = float(sw.LIFRate().rates(NUMPY_NEURONS, np.array(10.0)))
    unscaled = float(sw.LIFRate().rates(NUMPY_NEURONS, np.array(2.5)))
    assert abs(sim.data[output].mean() - rate / 4.0) < 1.0
    assert rate / 4.0 < 0.9 * unscaled
    np.testing.assert_allclose(data.max_rates, sw.LIFRate().rates(NUMPY_NEURONS, np.array(16.0)))


def test_relu_max_rates_grow_in_proportion_to_the_scale() -> None:
    """Gain, bias and maximum rates tenfold, spikes a tenth as high."""
    built = {}
    for scale in (1.0, 10.0):
        with sw.Network(seed=4) as net:
            ensemble = sw.Ensemble(20, neuron_type=sw.IntegrateAndFire(2.0), rate_scale=scale)
        built[scale] = sw.Simulator(net, engine="reference").data[ensemble]
    one, ten = built[1.0], built[10.0]
    for name in ("gain", "bias", "max_rates"):
        np.testing.assert_allclose(getattr(ten, name), 10.0 * getattr(one, name), rtol=1e-12)
    assert np.all(one.amplitude == 2.0) and np.all(ten.amplitude == 0.2)
    assert np.all((one.max_rates >= 200.0) & (one.max_rates <= 400.0))


def test_curved_responses_keep_their_gain_under_a_scale() -> None:
    """There the scale acts on the spiking: gain and bias stay, spikes are as much lower."""
    with sw.Network(seed=4) as net:
        ensemble = sw.Ensemble(
            5, neuron_type=sw.RegularSpiking(sw.Tanh()), max_rates=np.full(5, 300.0),
            rate_scale=10.0,
        )  # fmt: skip
        plain = sw.Ensemble(
            5, neuron_type=sw.RegularSpiking(sw.Tanh()), max_rates=np.full(5, 300.0), seed=1
        )
        ensemble.seed = 1
    data = sw.Simulator(net, engine="reference").data
    np.testing.assert_array_equal(data[ensemble].gain, data[plain].gain)
    np.testing.assert_array_equal(data[ensemble].bias, data[plain].bias)
    assert np.all(data[ensemble].amplitude == 0.1)
    np.testing.assert_allclose(data[ensemble].max_rates, 3000.0)


def test_gain_and_bias_may_be_drawn(tmp_path: Path) -> None:
    """One value a neuron of each distribution, the same for the same seed, and in a file."""
    dists = sw.distributions
    with sw.Network(seed=3) as net:
        drawn = sw.Ensemble(400, 1, gain=dists.Uniform(1, 2), bias=dists.Gaussian(0.9, 0.1))
        half = sw.Ensemble(4, 1, gain=dists.Choice([2.0, 3.0]), bias=1.5, seed=1)
        sw.Connection(drawn, half)
        probe = sw.Probe(half)
    save(net, tmp_path / "net.sw")
    built = []
    for network in (net, net, load(tmp_path / "net.sw")):
        with sw.Simulator(network, progress=False) as sim:
            sim.run_steps(20)
            data = [sim.data[ensemble] for ensemble in network.ensembles]
            probed = sim.data[network.probes[0]]
        built.append([data[0].gain, data[0].bias, data[1].gain, data[1].bias, probed])
    gain, bias, few, same, values = built[0]
    assert 1 <= gain.min() < 1.1 and 1.9 < gain.max() <= 2 and len(set(gain)) == 400
    assert bias.mean() == pytest.approx(0.9, abs=0.02) and bias.std() == pytest.approx(
        0.1, abs=0.02
    )
    assert set(few) <= {2.0, 3.0} and set(np.ravel(same)) == {1.5}
    assert abs(np.corrcoef(gain, bias)[0, 1]) < 0.2
    for other in built[1:]:
        for first, second in zip(built[0], other, strict=True):
            np.testing.assert_array_equal(first, second)
    assert np.any(values) and probe.target is half


def test_drawn_gains_are_numbers_in_a_file_for_other_simulators(tmp_path: Path) -> None:
    """NIR has no distributions: the error says to give what was drawn."""
    with sw.Network() as net:
        one = sw.distributions.Uniform(1, 2)
        cells = sw.Ensemble(3, None, neuron_type=sw.GridLIF(), gain=one, bias=0.0)
        stimulus = sw.Node(np.zeros(3))
        sw.Connection(stimulus, cells.neurons, None)
        sw.Probe(cells.neurons)
    with pytest.raises(SpikewrightError, match=r"gain and bias are drawn.*arrays that sim\.data"):
        sw.nir.save(net, tmp_path / "net.nir")
