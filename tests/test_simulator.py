"""The simulator: runs, inputs, recordings, resets, seeds, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from populations import cells, simulator
from spikewright.errors import BuildError, NetworkError, SimulationError
from spikewright.simulator_data import SimulationData
from spikewright.testing.mixed import MixedNetwork

# The worked example


# Running


def test_steps_and_time() -> None:
    """The first step's time is dt; `run` rounds seconds to steps."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(lambda t: t))
    sim = simulator(net, dt=0.01)
    assert (sim.n_steps, sim.time) == (0, 0.0) and sim.trange().tolist() == []
    sim.step()
    sim.run_steps(3)
    sim.run(0.0549)
    sim.run(0.0)
    sim.run_steps(0)
    assert sim.n_steps == 9 and math.isclose(sim.time, 0.09)
    np.testing.assert_allclose(sim.trange(), np.arange(1, 10) * 0.01)
    np.testing.assert_allclose(sim.data[probe][:, 0], sim.trange())
    np.testing.assert_allclose(sim.trange(sample_every=0.03), [0.03, 0.06, 0.09])


def test_a_batch_has_its_axis_first() -> None:
    """Of inputs and recordings; what is not fed is the same for all samples."""
    with sw.Network() as net:
        fed, constant, end = sw.Node(np.zeros(2)), sw.Node([5.0, 6.0]), sw.Node(size_in=2)
        sw.Connection(fed, end, None)
        sw.Connection(constant, end, None)
        probe, same = sw.Probe(end), sw.Probe(constant)
    sim = simulator(net, batch_size=3)
    held = np.arange(6.0).reshape(3, 2)
    sim.run_steps(2, {fed: held})
    changing = np.arange(12.0).reshape(3, 2, 2)
    sim.run_steps(2, {fed: changing})
    expected = np.concatenate([np.repeat(held[:, None], 2, axis=1), changing], axis=1)
    np.testing.assert_array_equal(sim.data[probe], expected + np.array([5.0, 6.0]))
    np.testing.assert_array_equal(sim.data[same], np.broadcast_to([5.0, 6.0], (3, 4, 2)))


def test_inputs_hold_for_one_run() -> None:
    """Held constant or one value a step; the next run has the node's own constant again."""
    with sw.Network() as net:
        node = sw.Node(np.array([[1.0, 2.0]]))
        probe = sw.Probe(node)
    sim = simulator(net)
    sim.run_steps(1)
    sim.run_steps(2, {node: [[3, 4]]})
    sim.run(0.002, {node: np.array([[[5, 6]], [[7, 8]]], np.int32)})
    sim.run_steps(1)
    expected = [[1, 2], [3, 4], [3, 4], [5, 6], [7, 8], [1, 2]]
    assert sim.data[probe][:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("batch_size", "value", "message"),
    [
        (None, np.zeros(3), r"'in'> takes \(2,\) held constant or \(5, 2\), got shape \(3,\)"),
        (None, np.zeros((4, 2)), r"got shape \(4, 2\)"),
        (None, 1.0, r"got shape \(\)"),
        (3, np.zeros(2), r"takes \(3, 2\) held constant or \(3, 5, 2\), got shape \(2,\)"),
        (3, np.zeros((2, 2)), r"got shape \(2, 2\)"),
        (3, np.zeros((3, 4, 2)), r"got shape \(3, 4, 2\)"),
        (None, [1.0, np.nan], r"what is fed to <Node 'in'> holds NaN or infinity"),
        (None, [1.0, np.inf], r"what is fed to <Node 'in'> holds NaN or infinity"),
        (None, ["a", "b"], r"what is fed to <Node 'in'> is not an array of numbers"),
        (None, [[1.0], [2.0, 3.0]], r"is not an array of numbers"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    batch_size: int | None, value: Any, message: str
) -> None:
    """The error names the node and both shapes that it takes; nothing was run."""
    with sw.Network() as net:
        node = sw.Node(np.zeros(2), label="in")
    sim = simulator(net, batch_size=batch_size)
    with pytest.raises(SimulationError, match=message):
        sim.run_steps(5, {node: value})
    assert sim.n_steps == 0
    sim.run_steps(5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dt": 0.0}, BuildError, r"dt must be above 0 s, got 0.0"),
        ({"dt": -1}, BuildError, r"dt must be above 0 s, got -1"),
        ({"dt": math.nan}, BuildError, r"dt must be above 0 s, got nan"),
        ({"dt": math.inf}, BuildError, r"dt must be above 0 s, got inf"),
        ({"dt": "1 ms"}, BuildError, r"dt must be above 0 s, got '1 ms'"),
        ({"precision": "float16"}, BuildError, r"precision must be one of .* got 'float16'"),
        ({"batch_size": 0}, BuildError, r"batch_size must be None or a whole number from 1, got 0"),
        ({"batch_size": 2.5}, BuildError, r"batch_size must be .* got 2.5"),
        ({"engine": "warp"}, BuildError, r"engine must be 'auto' or one of .* got 'warp'"),
        ({"seed": -1}, NetworkError, r"Simulator: a seed is None or a whole number from 0, got -1"),
    ],
)
def test_impossible_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The error names the option and the value."""
    with sw.Network() as net:
        sw.Node([1.0])
    with pytest.raises(error, match=message):
        simulator(net, **options)


# Recordings


def test_everything_can_be_probed() -> None:
    """Outputs and inputs of nodes, all of neurons, and what a connection delivers."""
    steps, dt, scale = 8, 0.125, 4.0
    with sw.Network() as net:
        stimulus = sw.Node([3.0, 5.0], label="in")
        double = sw.Node(lambda t, x: 2 * x, size_in=2)
        ensemble = cells(
            2, neuron_type=sw.IntegrateAndFire(0.5), gain=2.0, bias=0.25, rate_scale=scale,
            initial_voltage="half",
        )  # fmt: skip
        sw.Connection(stimulus, double, None)
        link = sw.Connection(double[::-1], ensemble.neurons, None, 0.5)
        probes = {
            name: sw.Probe(target, attr)
            for name, target, attr in (
                ("node", double, None), ("node input", double, "input"), ("link", link, None),
                ("output", ensemble.neurons, None), ("input", ensemble.neurons, "input"),
                ("voltage", ensemble.neurons, "voltage"),
                ("spikes", ensemble.neurons, "spike_count"),
            )
        }  # fmt: skip
    sim = simulator(net, dt=dt)
    sim.run_steps(steps)
    data = {name: sim.data[probe] for name, probe in probes.items()}
    assert all(value.shape == (steps, 2) for value in data.values())
    assert data["node"][0].tolist() == [6.0, 10.0] and data["node input"][0].tolist() == [3.0, 5.0]
    assert data["link"][0].tolist() == [5.0, 3.0]
    current = scale * (2.0 * np.array([5.0, 3.0]) + 0.25)
    np.testing.assert_array_equal(data["input"], np.tile(current, (steps, 1)))
    integral = 0.5 + dt * current * np.arange(1, steps + 1)[:, None]
    spikes = np.diff(np.floor(integral), axis=0, prepend=0.0)
    np.testing.assert_array_equal(data["spikes"], spikes)
    np.testing.assert_array_equal(data["voltage"], integral - np.floor(integral))
    np.testing.assert_array_equal(data["output"], spikes * 0.5 / (scale * dt))


def test_sample_every_keeps_its_rhythm_across_runs() -> None:
    """Every n-th step of the simulation, whatever the runs; `trange` gives the times."""
    with sw.Network() as net:
        node = sw.Node(lambda t: t)
        every, rarely, rounded = (sw.Probe(node, sample_every=s) for s in (0.001, 0.003, 0.0026))
    sim = simulator(net)
    for steps in (1, 1, 5, 0, 2, 4):
        sim.run_steps(steps)
    np.testing.assert_allclose(sim.data[every][:, 0], 0.001 * np.arange(1, 14))
    np.testing.assert_allclose(sim.data[rarely][:, 0], [0.003, 0.006, 0.009, 0.012])
    np.testing.assert_allclose(sim.data[rarely][:, 0], sim.trange(0.003))
    np.testing.assert_allclose(sim.data[rounded], sim.data[rarely])


def test_data_knows_the_objects_of_its_network() -> None:
    """Probes, ensembles and connections, inner ones too; anything else is a KeyError that names."""
    mixed = MixedNetwork()
    sim = simulator(mixed.network, dt=mixed.dt)
    data = sim.data
    assert isinstance(data, SimulationData)
    everything = [
        *mixed.network.all_probes, *mixed.network.all_ensembles, *mixed.network.all_connections,
    ]  # fmt: skip
    assert len(data) == len(everything) and set(data) == set(everything)
    assert mixed.stimulus not in data
    with sw.Network() as other:
        foreign = sw.Probe(sw.Node([1.0]), label="foreign")
    for key in (foreign, mixed.stimulus, other, "name"):
        with pytest.raises(KeyError, match="is no probe, ensemble or connection of"):
            data[key]


# Blocks of steps, and recordings that are forgotten
