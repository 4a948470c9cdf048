"""Neuron types of modelling by hand: golden spikes, rates and gains (nengo 4.1.0)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from driving import drive, spike_steps

import spikewright as sw
from spikewright.errors import NetworkError
from spikewright.network.neurons import NUMPY_NEURONS, Clock


def final_state(kind: sw.NeuronType, current: float, steps: int, start: float = 0.0) -> Any:
    """State and outputs of one neuron on a constant current."""
    state = {name: np.full(1, value) for name, value in kind.initial_values().items()}
    if kind.has_voltage:
        state["voltage"] = np.full(1, start)
    outputs = []
    for step in range(1, steps + 1):
        clock = Clock(step, 0.001, np.array(1000.0), lambda index: np.zeros(1))
        outputs.append(float(kind.step(NUMPY_NEURONS, np.full(1, current), state, clock)[0]))
    return {name: float(value[0]) for name, value in state.items()}, outputs


def test_adaptive_lif_has_the_golden_spikes() -> None:
    """J = 5: it slows down; adaptation after 200 steps."""
    steps = [5, 11, 18, 24, 31, 37, 44, 50, 57, 64, 70, 77]
    assert spike_steps(sw.AdaptiveLIF(), 5.0, 80, 0.001) == steps
    state, _ = final_state(sw.AdaptiveLIF(), 5.0, 200)
    assert state["adaptation"] == pytest.approx(0.27191084, abs=5e-9)


def test_adaptive_lif_rate_has_the_golden_rates() -> None:
    """J = 5: from 154.73 Hz down; rate and adaptation at step 200."""
    state, outputs = final_state(sw.AdaptiveLIFRate(), 5.0, 200)
    assert outputs[0] == pytest.approx(154.72999475, abs=1e-8)
    assert outputs[-1] == pytest.approx(148.06744, abs=5e-6)
    assert state["adaptation"] == pytest.approx(0.27415207, abs=5e-9)
    assert drive(sw.AdaptiveLIFRate(), [5.0], steps=200).output[-1, 0] == outputs[-1]


def test_adaptation_follows_the_output_with_its_amplitude() -> None:
    """Half the amplitude and twice the increment adapt alike."""
    plain, _ = final_state(sw.AdaptiveLIF(), 5.0, 200)
    half, _ = final_state(sw.AdaptiveLIF(amplitude=0.5, inc_n=0.02), 5.0, 200)
    assert half["adaptation"] == pytest.approx(plain["adaptation"], rel=1e-12)


def test_izhikevich_has_the_golden_spikes() -> None:
    """J = 10 from v = u = 0: spikes, and the state after 300 steps."""
    assert spike_steps(sw.Izhikevich(), 10.0, 300, 0.001) == [1, 67, 114, 161, 208, 255]
    state, _ = final_state(sw.Izhikevich(), 10.0, 300)
    assert state["voltage"] == pytest.approx(-38.25334684, abs=5e-9)
    assert state["recovery"] == pytest.approx(-7.60659694, abs=5e-9)


def test_izhikevich_starts_at_the_initial_voltage_in_millivolts() -> None:
    """From rest at -65 mV there is no spurious first spike."""
    started = drive(sw.Izhikevich(), [10.0], steps=60, start=[-65.0])
    assert started.output[0, 0] == 0 and started.output[:, 0].max() == 1000.0
    assert started.voltage is not None and started.voltage[0, 0] < 0


def test_a_sweep_finds_the_golden_gain_and_bias() -> None:
    """Izhikevich at (50 Hz, 0); rates and intercepts are found back."""
    kind = sw.Izhikevich()
    gain, bias = kind.gain_bias(np.array([50.0]), np.array([0.0]))
    assert gain == pytest.approx(20.4) and bias == pytest.approx(3.6)
    assert kind.max_rates(gain, bias) == pytest.approx(50.0)
    gain, bias = kind.gain_bias(np.array([40.0, 20.0]), np.array([0.5, -0.5]))
    assert np.abs(kind.intercepts(gain, bias) - [0.5, -0.5]).max() < 0.05


@pytest.mark.parametrize(
    ("kind", "rates", "intercepts", "gain", "bias"),
    [
        (sw.LIF(), (200, 400), (-0.5, 0.5), (4.11944132, 79.00416662), (3.05972066, -38.50208331)),
        (sw.RectifiedLinear(), (200, 300), (-0.5, 0.5), (133.333333, 600), (66.666667, -300)),
        (sw.Sigmoid(), (300,), (0.5,), (2.19722458,), (-1.09861229,)),
        (sw.Tanh(), (200, 300), (-0.5, 0.5), (0.3662041, 1.94591015), (0.18310205, -0.97295507)),
        (sw.AdaptiveLIF(), (200,), (-0.5,), (4.11944132,), (3.05972066,)),
        (sw.SoftLIFRate(), (200,), (-0.5,), (4.11944132,), (3.05972066,)),
        (sw.RegularSpiking(sw.Sigmoid()), (300,), (0.5,), (2.19722458,), (-1.09861229,)),
    ],
)
def test_gain_and_bias_are_golden_and_can_be_inverted(
    kind: sw.NeuronType, rates: Any, intercepts: Any, gain: Any, bias: Any
) -> None:
    """Both from rates and intercepts, and intercepts from both (the inflection, for a sigmoid)."""
    found = kind.gain_bias(np.array(rates, float), np.array(intercepts, float))
    assert np.allclose(found[0], gain, atol=1e-6) and np.allclose(found[1], bias, atol=1e-6)
    assert np.allclose(kind.intercepts(*found), intercepts, atol=1e-12)


def test_soft_lif_tends_to_lif_and_has_no_corner() -> None:
    """As sigma falls it becomes LIFRate; it is finite, positive and rising at any current."""
    currents = np.array([-1e4, -100.0, 0.0, 0.9, 1.0, 1.1, 2.0, 30.0, 1e6])
    for sigma in (1.0, 0.02):
        with np.errstate(all="raise", under="ignore"):
            rates = sw.SoftLIFRate(sigma).rates(np, currents)
        assert np.all(np.isfinite(rates)) and np.all(rates > 0) and np.all(np.diff(rates) > 0)
    hard, soft = sw.LIFRate().rates(np, currents[6:]), sw.SoftLIFRate(1e-3).rates(np, currents[6:])
    assert np.allclose(hard, soft)
    step = 1e-6  # both sides of the asymptote agree
    below, above = sw.SoftLIFRate().rates(np, np.array([-19.0 - step, -19.0 + step]))
    assert below == pytest.approx(above, rel=1e-5)


def test_a_type_of_ones_own_needs_a_step_alone() -> None:
    """Rates, gains and intercepts are found by running it."""

    class Capped(sw.NeuronType):
        spiking = True
        threshold_current = None

        def step(self, xp: Any, current: Any, state: Any, clock: Clock) -> Any:
            counts, state["voltage"] = xp.integrate(
                state["voltage"], xp.minimum(current - 5.0, 60.0), clock.threshold
            )
            return counts

        def voltage_unit(self, threshold: Any) -> Any:
            return threshold

    kind = Capped()
    assert kind.rates(None, np.array([0.0, 25.0, 100.0])) == pytest.approx([0.0, 20.0, 60.0], abs=1)
    gain, bias = kind.gain_bias(np.array([40.0]), np.array([0.0]))
    assert kind.max_rates(gain, bias) == pytest.approx(40.0, abs=1.0)
    assert kind.intercepts(gain, bias) == pytest.approx(0.0, abs=0.1)
    with pytest.raises(NetworkError, match=r"no current up to .* gives 100 Hz"):
        kind.gain_bias(np.array([100.0]), np.array([0.0]))
    with sw.Network(seed=0) as net:
        ensemble = sw.Ensemble(20, neuron_type=kind, max_rates=(30.0, 50.0))
        sw.Connection(sw.Node([0.5]), ensemble, None)
        probe = sw.Probe(ensemble, synapse=0.1)
    with sw.Simulator(net, progress=False) as sim:
        sim.run(0.6)
    assert sim.data[probe][-1, 0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.AdaptiveLIF(tau_n=0.0), r"AdaptiveLIF.tau_n must be above 0"),
        (lambda: sw.AdaptiveLIF(min_voltage=1.0), r"AdaptiveLIF.min_voltage must be 0 or below"),
        (lambda: sw.AdaptiveLIFRate(inc_n=-1.0), r"AdaptiveLIFRate.inc_n must be above 0"),
        (lambda: sw.Izhikevich(tau_recovery=0.0), r"Izhikevich.tau_recovery must be above 0"),
        (lambda: sw.Izhikevich(coupling=np.nan), r"Izhikevich.coupling must be a finite number"),
        (lambda: sw.SoftLIFRate(sigma=0.0), r"SoftLIFRate.sigma must be above 0"),
        (lambda: sw.Direct().rates(np, 1.0), r"Direct has no neurons"),
    ],
)
def test_impossible_parameters_are_refused(make: Any, message: str) -> None:
    """The error names the type, the parameter and the value."""
    with pytest.raises(NetworkError, match=message):
        make()


@pytest.mark.parametrize("kind", [sw.AdaptiveLIF(), sw.AdaptiveLIFRate(), sw.Izhikevich()])
def test_scales_are_refused_where_spiking_is_the_neurons_own(kind: sw.NeuronType) -> None:
    """A larger gain would change the response; no type is advised that does not exist."""
    with sw.Network(), pytest.raises(NetworkError, match=r"'e'>: firing rates of .* cannot") as e:
        sw.Ensemble(3, neuron_type=kind, rate_scale=2.0, label="e")
    assert "RegularSpiking" not in str(e.value)
