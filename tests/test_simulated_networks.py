"""Simulated networks: random starts and seeds, parts, loops, and functions of nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from populations import cells, simulator
from spikewright.errors import SimulationError
from spikewright.testing.mixed import MixedNetwork

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
