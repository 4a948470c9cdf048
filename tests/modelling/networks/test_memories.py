"""Networks with state: integrator, oscillator, gated memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from running import rms, run

import spikewright as sw
from spikewright.errors import NetworkError


def driven(part: Any, values: Any) -> sw.Probe:
    """Drives a network's input by a function of time and probes its output."""
    sw.Connection(sw.Node(values), part.input, None)
    return sw.Probe(part.output, synapse=0.02)


def test_an_integrator_without_neurons_is_the_integral() -> None:
    """Exactly that of the filter: the held value is the sum of the input times `tau (1 - p)`."""
    tau, steps = 0.1, 400
    with sw.Network() as net:
        part = sw.networks.Integrator(tau, 1, 2, neuron_type=sw.Direct())
        sw.Connection(sw.Node(lambda t: [t < 0.2, -0.5 * (t < 0.1)]), part.input, None)
        probe = sw.Probe(part.output)
    got = run(net, probe, steps, precision="float64")
    gain = tau * (1 - np.exp(-0.001 / tau))  # of one step: dt to first order
    np.testing.assert_allclose(got[-1], gain * np.array([199.0, -49.5]), rtol=1e-9)
    np.testing.assert_allclose(got[-1], [0.2, -0.05], rtol=0.02)


def test_an_integrator_of_neurons_holds() -> None:
    """After half a second of input it keeps what it has: RMS over a second below 0.1, 4 seeds."""
    for seed in range(4):
        with sw.Network(seed=seed) as net:
            part = sw.networks.Integrator(0.1, 300)
            probe = driven(part, lambda t: float(t < 0.5))
        got = run(net, probe, 1500)
        assert rms(got[600:] - 0.5) < 0.1
        assert np.max(np.abs(got)) < 1.0


def test_an_oscillator_turns_at_its_frequency() -> None:
    """Its phase runs at `frequency` radians a second, either way round, at a steady radius."""
    for seed, frequency in enumerate((15.0, -9.0)):
        with sw.Network(seed=seed) as net:
            part = sw.networks.Oscillator(0.1, frequency, 300)
            probe = driven(part, lambda t: [10.0 * (t < 0.1), 0.0])
        got = run(net, probe, 2000)[800:]
        phase = np.unwrap(np.arctan2(got[:, 1], got[:, 0]))
        turned = np.polyfit(np.arange(len(got)) * 0.001, phase, 1)[0]
        assert turned == pytest.approx(frequency, rel=0.04)
        radius = np.linalg.norm(got, axis=1)
        assert radius.min() > 0.5 and radius.max() < 1.2


def held(gate_at: float, reset_at: float, seed: int) -> NDArray:
    """A gated memory that is shown one vector, then, after 0.4 s, another."""
    with sw.Network(seed=seed) as net:
        part = sw.networks.InputGatedMemory(80, 2)
        for end, start in ((part.gate, gate_at), (part.reset, reset_at)):
            sw.Connection(sw.Node(lambda t, s=start: float(t >= s)), end, None)
        probe = driven(part, lambda t: [0.7, -0.4] if t < 0.4 else [-0.5, 0.5])
    return run(net, probe, 800)


@pytest.mark.parametrize("seed", range(2))
def test_a_gate_decides_what_a_memory_keeps(seed: int) -> None:
    """Open it follows its input, closed it holds what was there, and reset it is empty."""
    follows, holds, empty = (held(*times, seed) for times in ((9, 9), (0.35, 9), (0.35, 0.6)))
    assert rms(follows[300:400] - [0.7, -0.4]) < 0.06
    assert rms(follows[700:] - [-0.5, 0.5]) < 0.1
    assert rms(holds[700:] - [0.7, -0.4]) < 0.15
    assert np.max(np.abs(empty[700:])) < 0.01


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: sw.networks.Integrator(0.0, 10, label="i"), "'i'>: recurrent_tau must be above 0"),
        (lambda: sw.networks.Integrator(0.1, 10, 0, label="i"), "'i'>: dimensions"),
        (lambda: sw.networks.Oscillator(0.1, np.inf, 10, label="o"), "'o'>: frequency .* got inf"),
        (lambda: sw.networks.Oscillator(-1, 1.0, 10, label="o"), "recurrent_tau"),
        (lambda: sw.networks.InputGatedMemory(10, 0, label="m"), "'m'>: dimensions"),
        (lambda: sw.networks.InputGatedMemory(10, 1, feedback="x"), "feedback .* got 'x'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_impossible_is_named(ask: Any, message: str) -> None:
    """Each refusal names the network, the argument and its value."""
    with sw.Network(), pytest.raises(NetworkError, match=message):
        ask()
