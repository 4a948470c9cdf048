"""Gain and bias from maximum rates and intercepts, and the firing-rate scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from spikewright.errors import NetworkError
from spikewright.network import load, save

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
