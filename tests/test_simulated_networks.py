"""Simulated networks: random starts and seeds, parts, loops, and functions of nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from conformance.mixed import MixedNetwork
from populations import cells, simulator
from spikewright.errors import SimulationError

# Random starts, seeds, resets


def test_uniform_starts_are_seeded_and_recorded() -> None:
    """In spikes, on [0, 1), one a neuron, the same for every sample."""

    def start(**options: Any) -> NDArray:
        with sw.Network(**options.pop("network", {})) as net:
            ensemble = cells(
                (4, 50), neuron_type=sw.SpikingRectifiedLinear(), seed=options.pop("own", None)
            )
            voltage = sw.Probe(ensemble.neurons, "voltage")
        sim = simulator(net, batch_size=2, **options)
        sim.run_steps(1)
        found = sim.data[ensemble].initial_voltage
        np.testing.assert_allclose(sim.data[voltage][:, 0], np.stack([found, found]), rtol=1e-12)
        return np.asarray(found)

    first = start(network={"seed": 1})
    assert first.shape == (4, 50) and 0.0 <= first.min() < 0.05 and 0.95 < first.max() < 1.0
    assert len(np.unique(first)) == 200
    np.testing.assert_array_equal(first, start(network={"seed": 1}))
    np.testing.assert_array_equal(first, start(seed=1))
    np.testing.assert_array_equal(first, start(network={"seed": 2}, seed=1))
    np.testing.assert_array_equal(start(own=5), start(own=5, seed=3))
    for other in (start(network={"seed": 2}), start(own=1), start(own=1, network={"seed": 1})):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.3


def test_starts_that_a_user_chose() -> None:
    """Zero, half, numbers and arrays, in spikes whatever the scale and step."""
    for chosen, expected in (
        ("zero", [0.0, 0.0]), ("half", [0.5, 0.5]), (0.25, [0.25, 0.25]), ([0.1, 0.9], [0.1, 0.9]),
    ):  # fmt: skip
        with sw.Network() as net:
            ensemble = cells(2, rate_scale=3.0, initial_voltage=chosen)
            voltage = sw.Probe(ensemble.neurons, "voltage")
        sim = simulator(net, dt=0.02)
        sim.run_steps(1)
        assert np.broadcast_to(sim.data[ensemble].initial_voltage, 2).tolist() == expected
        np.testing.assert_allclose(sim.data[voltage], [expected], rtol=1e-12)


def test_an_unseeded_network_is_different_every_time_and_says_its_seed() -> None:
    """The seed that was used is kept, and gives the same run again."""
    with sw.Network() as net:
        ensemble = cells(10)
    first, second = simulator(net), simulator(net)
    assert first.seed != second.seed
    starts = [np.asarray(s.data[ensemble].initial_voltage) for s in (first, second)]
    assert not np.array_equal(*starts)
    again = simulator(net, seed=first.seed)
    np.testing.assert_array_equal(again.data[ensemble].initial_voltage, starts[0])


# Random starts, seeds, resets


def test_reset_begins_anew() -> None:
    """The same results again; with another seed other random starts and draws."""
    mixed = MixedNetwork()
    sim = simulator(mixed.network, dt=mixed.dt, batch_size=2)
    feed = mixed.feed(2, 15)

    def go() -> list[NDArray]:
        sim.run_steps(15, {mixed.stimulus: feed})
        return [sim.data[probe] for probe in mixed.network.all_probes]

    first = go()
    sim.reset()
    assert sim.n_steps == 0 and sim.data[mixed.network.probes[0]].shape[1] == 0
    for one, two in zip(first, go(), strict=True):
        np.testing.assert_array_equal(one, two)
    sim.reset(seed=9)
    assert sim.seed == 9
    ensemble = next(iter(mixed.activity))
    changed = np.asarray(sim.data[ensemble].initial_voltage)
    other = go()
    assert any(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))
    np.testing.assert_array_equal(
        changed, simulator(mixed.network, dt=mixed.dt, seed=9).data[ensemble].initial_voltage
    )


def stochastic_part(seed: int | None) -> tuple[sw.Network, sw.Probe]:
    """A network with random gains, starts and draws."""
    with sw.Network(seed=seed) as net:
        stimulus = sw.Node(np.linspace(0.2, 1.0, 6))
        drawn = sw.Ensemble(6, neuron_type=sw.SpikingRectifiedLinear())
        random = cells(6, neuron_type=sw.StochasticSpiking(sw.RectifiedLinear()))
        sw.Connection(stimulus, drawn.neurons, None)
        sw.Connection(drawn.neurons, random.neurons, None)
        probe = sw.Probe(random.neurons)
    return net, probe


def test_a_seeded_network_spikes_the_same_alone_and_embedded() -> None:
    """Whatever is around it, before it, and the seed of the outer network."""
    net, probe = stochastic_part(seed=3)
    alone = simulator(net)
    alone.run_steps(50)
    for outer_seed in (None, 3, 8):
        with sw.Network(seed=outer_seed) as outer:
            cells(20, label="company")
            with sw.Network():
                cells(3)
        outer.add(net)
        embedded = simulator(outer)
        embedded.run_steps(50)
        np.testing.assert_array_equal(embedded.data[probe], alone.data[probe])
        company = np.asarray(embedded.data[outer.ensembles[0]].initial_voltage)
        same = np.array_equal(company[:6], alone.data[net.ensembles[0]].initial_voltage)
        assert same == (outer_seed == 3)  # the same seed and the same place
    assert alone.data[probe].any()


def test_unseeded_parts_follow_from_the_seed_around_them() -> None:
    """Two equal parts inside one network differ from each other, and repeat together."""
    runs = []
    for _ in range(2):
        outer = sw.Network(seed=4)
        parts = [stochastic_part(None) for _ in range(2)]
        for part, _ in parts:
            outer.add(part)
        sim = simulator(outer)
        sim.run_steps(50)
        runs.append([sim.data[probe] for _, probe in parts])
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][0], runs[0][1])


def test_seeds_and_places_of_equal_numbers_give_unrelated_draws() -> None:
    """A network's seed, an ensemble's own, and places in networks and in networks inside."""
    with sw.Network(seed=0) as net:
        ensembles = [cells(100), cells(100, seed=0), cells(100)]
        with sw.Network():
            ensembles += [cells(100), cells(100, seed=1)]
        with sw.Network():
            ensembles.append(cells(100))
            with sw.Network():
                ensembles.append(cells(100))
    data = simulator(net).data
    starts = np.array([data[e].initial_voltage for e in ensembles])
    assert np.abs(np.corrcoef(starts) - np.eye(7)).max() < 0.5


# Networks together


def test_two_subnetworks_connect() -> None:
    """Objects of different parts of one network may be connected and probed from anywhere."""
    with sw.Network() as outer:
        with sw.Network(label="left"):
            left = sw.Node([1.0, 2.0])
        with sw.Network(label="right"):
            right = cells(2, neuron_type=sw.RectifiedLinear())
            probe = sw.Probe(left)
        sw.Connection(left[::-1], right.neurons, None, 3.0)
        output = sw.Probe(right.neurons)
    sim = simulator(outer)
    sim.run_steps(1)
    assert sim.data[output].tolist() == [[6.0, 3.0]] and sim.data[probe].tolist() == [[1.0, 2.0]]
    assert outer.n_neurons == 2


def test_views_carry_parts() -> None:
    """Slices and index lists on both sides, into and out of neurons, several into one."""
    with sw.Network() as net:
        stimulus = sw.Node(np.arange(1.0, 6.0))
        ensemble = cells(4, neuron_type=sw.RectifiedLinear(), rate_scale=[1.0, 2.0, 4.0, 8.0])
        sw.Connection(stimulus[:2], ensemble.neurons[[3, 0]], None)
        sw.Connection(stimulus[-1], ensemble.neurons[1], None, 10.0)
        sw.Connection(stimulus[[4, 4]], ensemble.neurons[1:3], None, np.array([[1.0, 1.0], [0, 2]]))
        end = sw.Node(size_in=(2, 2))
        sw.Connection(ensemble.neurons[::2], end[0], None, sw.transforms.Reshape((1, 2)))
        sw.Connection(ensemble.neurons[[3]], end[1, 1], None, sw.transforms.Reshape((1, 1)))
        probes = sw.Probe(ensemble.neurons), sw.Probe(end)
    sim = simulator(net)
    sim.run_steps(1)
    assert sim.data[probes[0]][0].tolist() == [2.0, 60.0, 10.0, 1.0]
    assert sim.data[probes[1]][0].tolist() == [[2.0, 10.0], [0.0, 1.0]]


def test_what_receives_nothing_receives_zero() -> None:
    """Junctions, functions and neurons without connections; a bias alone drives neurons."""
    with sw.Network() as net:
        junction = sw.Node(size_in=2)
        function = sw.Node(lambda t, x: x + 1, size_in=2)
        ensemble = cells(2, neuron_type=sw.RectifiedLinear(), bias=[1.0, -1.0])
        probes = [sw.Probe(o) for o in (junction, function, ensemble.neurons)]
    sim = simulator(net, batch_size=2)
    sim.run_steps(3)
    for probe, row in zip(probes, ([0, 0], [1, 1], [1, 0]), strict=True):
        np.testing.assert_array_equal(sim.data[probe], np.broadcast_to(row, (2, 3, 2)))


def test_an_empty_network_runs() -> None:
    """There is nothing to do, and it is done."""
    sim = simulator(sw.Network())
    sim.run_steps(5)
    assert sim.n_steps == 5 and len(sim.data) == 0


# Recurrence


def test_an_integrator_with_a_synapse_is_the_loop_written_by_hand() -> None:
    """`x' = u` through a low-pass and an identity feedback; rate neurons in the loop."""
    tau, dt, steps = 0.1, 0.001, 300
    drive = np.where(np.arange(steps) < 100, 2.0, -0.5)[:, None]
    with sw.Network() as net:
        stimulus, state = sw.Node([0.0]), sw.Node(size_in=1)
        sw.Connection(stimulus, state, sw.Lowpass(tau), tau)
        sw.Connection(state, state, sw.Lowpass(tau))
        probe = sw.Probe(state)
    sim = simulator(net, dt=dt)
    sim.run_steps(steps, {stimulus: drive})
    decay, forward, back, expected = math.exp(-dt / tau), 0.0, 0.0, []
    for u in drive[:, 0].tolist():
        x = forward + back
        expected.append(x)
        forward = decay * forward + (1 - decay) * tau * u
        back = decay * back + (1 - decay) * x
    np.testing.assert_allclose(sim.data[probe][:, 0], expected, rtol=1e-10, atol=1e-12)
    assert abs(sim.data[probe][100, 0] - 0.2) < 0.01


# Functions


def test_functions_get_each_samples_input_as_their_own_copy() -> None:
    """What a function does to its argument harms nobody."""
    seen: list[NDArray] = []

    def greedy(t: float, x: NDArray) -> NDArray:
        seen.append(x.copy())
        y = x * 2
        x[:] = np.nan
        return y

    with sw.Network() as net:
        stimulus = sw.Node(np.zeros(2))
        node = sw.Node(greedy, size_in=2, size_out=2, stateless=True)
        sw.Connection(stimulus, node, None)
        probes = sw.Probe(node), sw.Probe(stimulus)
    seen.clear()
    sim = simulator(net, batch_size=2)
    fed = np.arange(12.0).reshape(2, 3, 2)
    sim.run_steps(3, {stimulus: fed})
    np.testing.assert_array_equal(sim.data[probes[0]], 2 * fed)
    np.testing.assert_array_equal(sim.data[probes[1]], fed)
    np.testing.assert_array_equal(seen, fed.transpose(1, 0, 2).reshape(6, 2))


def test_functions_without_output_are_called() -> None:
    """A node may only watch."""
    seen: list[tuple[float, float]] = []
    with sw.Network() as net:
        watcher = sw.Node(lambda t, x: seen.append((t, float(x[0]))), size_in=1)
        sw.Connection(sw.Node([4.0]), watcher, None)
        probe = sw.Probe(watcher)
    seen.clear()
    sim = simulator(net, dt=0.5)
    sim.run_steps(2)
    assert seen == [(0.5, 4.0), (1.0, 4.0)] and sim.data[probe].shape == (2, 0)


# Networks together


# Recurrence


# Functions


@pytest.mark.parametrize("takes_input", [False, True])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0, 2.0], r"returned shape \(2,\) at t = 0.003 s, expected \(1,\)"),
        ([], r"returned shape \(0,\) at t = 0.003 s, expected \(1,\)"),
        (None, r"returned shape \(0,\) at t = 0.003 s, expected \(1,\)"),
        (np.nan, r"returned NaN or infinity at t = 0.003 s"),
        ([-np.inf], r"returned NaN or infinity at t = 0.003 s"),
        ("text", r"failed at t = 0.003 s \(ValueError"),
        (KeyError("gone"), r"failed at t = 0.003 s \(KeyError: 'gone'\)"),
    ],
)
def test_misbehaving_functions_are_named_and_end_the_run(
    value: Any, message: str, takes_input: bool
) -> None:
    """The error names the node's label and the time; the steps before stay, and can go on."""
    faulty = [True]

    def bad(t: float, x: Any = None) -> Any:
        if faulty[0] and t > 0.0025:
            if isinstance(value, Exception):
                raise value
            return value
        return [0.0]

    with sw.Network() as net:
        node = sw.Node(bad, size_in=1 if takes_input else None, size_out=1, label="culprit")
        probe = sw.Probe(node)
    sim = simulator(net)
    sim.run_steps(2)
    with pytest.raises(SimulationError, match=rf"<Node 'culprit'>: its function {message}"):
        sim.run_steps(5)
    assert sim.n_steps == 2 and sim.data[probe].tolist() == [[0.0]] * 2
    faulty[0] = False
    sim.run_steps(4)
    assert sim.data[probe].tolist() == [[0.0]] * 6
    sim.reset()
    sim.run_steps(4)
    assert sim.data[probe].tolist() == [[0.0]] * 4


def test_recordings_that_do_not_fit_memory_are_refused_with_their_size() -> None:
    """The error names the probe and says what to record less of."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(np.zeros((1000, 1000))), label="everything")
    sim = simulator(net)
    message = r"would need .* GiB, .*recording of <Probe 'everything'> .*sample_every="
    with pytest.raises(SimulationError, match=message):
        sim.run_steps(10**12)
    assert sim.data[probe].shape == (0, 1000, 1000)
