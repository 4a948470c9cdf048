"""`GridLIF`: spikes and silence on the grid of steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driving import drive, spike_steps

import spikewright as sw
from spikewright.errors import NetworkError

DT = 2.0**-10


@pytest.mark.parametrize("silent", [0, 1, 3])
def test_silence_is_a_whole_number_of_steps(silent: int) -> None:
    """It fires in the first whole step at which the exponential is above 1, then waits."""
    tau = 0.02
    for current in (1.01, 1.7, 9.0, 100.0):
        climb = math.floor(tau * math.log(current / (current - 1.0)) / DT) + 1
        found = spike_steps(sw.GridLIF(tau, silent * DT), current, 6 * (climb + silent), DT)
        assert found == [climb + i * (climb + silent) for i in range(len(found))]
        assert len(found) >= 5
    plain = spike_steps(sw.LIF(tau, 3 * DT), 9.0, 200, DT)
    assert plain != spike_steps(sw.GridLIF(tau, 3 * DT), 9.0, 200, DT)


def test_the_silence_is_the_nearest_whole_number_of_steps() -> None:
    """Of a refractory time between two of them."""
    wanted = spike_steps(sw.GridLIF(tau_ref=2 * DT), 3.0, 100, DT)
    assert wanted == spike_steps(sw.GridLIF(tau_ref=2.4 * DT), 3.0, 100, DT)
    assert wanted == spike_steps(sw.GridLIF(tau_ref=1.6 * DT), 3.0, 100, DT)
    assert wanted != spike_steps(sw.GridLIF(tau_ref=2.6 * DT), 3.0, 100, DT)


def test_it_follows_its_equation_step_by_step() -> None:
    """Random currents of both signs: the exact exponential, the floor, the silence."""
    rng = np.random.default_rng(0)
    current = rng.normal(1.0, 20.0, (400, 5))
    kind = sw.GridLIF(0.01, 4 * DT, min_voltage=-0.5)
    found = drive(kind, current, dt=DT, start=np.zeros(5))
    v, left, share = np.zeros(5), np.zeros(5), -np.expm1(-DT / 0.01)
    for t, j in enumerate(current):
        awake = left == 0
        v = np.where(awake, v + (j - v) * share, v)
        fired = v > 1
        v = np.where(fired, 0.0, np.maximum(v, -0.5))
        left = np.where(fired, 4, np.maximum(left - 1, 0))
        np.testing.assert_array_equal(found.output[t] * DT, fired)
        np.testing.assert_allclose(found.voltage[t], v, rtol=0, atol=1e-6)
    assert found.output.any(axis=0).all() and (found.voltage == -0.5).any()


def test_its_rates_are_those_of_short_steps() -> None:
    """Spikes of a second in steps of a tenth of a millisecond: each interval ends half one late."""
    kind, dt = sw.GridLIF(), 1e-4
    for current in (1.2, 2.0, 6.0):
        rate = float(kind.rates(np, np.array(current)))
        wanted = 1 / (1 / rate + dt / 2)
        assert len(spike_steps(kind, current, 10_000, dt)) == pytest.approx(wanted, rel=0.01, abs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau_rc": 0.0}, r"GridLIF.tau_rc must be above 0, got 0.0"),
        ({"tau_ref": -0.1}, r"GridLIF.tau_ref must be 0 or more, got -0.1"),
        ({"min_voltage": 0.5}, r"GridLIF.min_voltage must be 0 or below, got 0.5"),
    ],
)
def test_impossible_parameters_are_refused(options: dict[str, float], message: str) -> None:
    """The error names type, parameter and value."""
    with pytest.raises(NetworkError, match=message):
        sw.GridLIF(**options)


def test_a_start_in_silence_is_counted_down() -> None:
    """`initial_state` gives the silent steps that are left."""
    with sw.Network() as net:
        cells = sw.Ensemble(
            2,
            None,
            neuron_type=sw.GridLIF(),
            gain=1.0,
            bias=1000.0,
            initial_voltage="zero",
            initial_state={"refractory_steps": [0, 3]},
        )
        probe = sw.Probe(cells.neurons, "refractory_steps")
    with sw.Simulator(net, DT, progress=False) as sim:
        sim.run_steps(5)
    np.testing.assert_array_equal(sim.data[probe][:, 0], [2, 1, 0, 2, 1])
    np.testing.assert_array_equal(sim.data[probe][:, 1], [2, 1, 0, 2, 1])
    assert sim.data[probe].shape == (5, 2)
