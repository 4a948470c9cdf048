"""Probes of connections and of learning rules: what is recorded, in which order, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright import engines

VALUES = np.array([1.0, 20.0, 300.0])


def run(network: sw.Network, *probes: sw.Probe, engine: str = "reference") -> list[NDArray]:
    """Recordings of ten steps, in float64."""
    with sw.Simulator(network, engine=engine, precision="float64", progress=False) as simulator:
        simulator.run_steps(10)
    return [simulator.data[probe] for probe in probes]


def source() -> sw.Node:
    """Three values that grow in time."""
    return sw.Node(lambda t: VALUES * t)


@pytest.mark.parametrize("key", [slice(None, None, -1), [2, 0, 1], slice(0, 3, 2), [1, 1], 2])
@pytest.mark.parametrize("synapse", [None, 0.003])
def test_an_output_is_in_the_order_in_which_it_is_sent(key: Any, synapse: float | None) -> None:
    """Value by value what the connection sends, wherever its `post` puts them, twice in one place
    too: the same as of a connection to a node of the values themselves."""
    with sw.Network() as network:
        pre = source()
        part = sw.Node(size_in=3)[key]
        size = np.atleast_1d(np.arange(3)[key]).size
        matrix = np.arange(1.0, 1 + 3 * size).reshape(size, 3)
        there = sw.Connection(pre, part, synapse, matrix)
        plain = sw.Connection(pre, sw.Node(size_in=size), synapse, matrix)
        kinds: list[dict[str, Any]] = [{}, {"synapse": 0.002}]
        found = [sw.Probe(there, **kind) for kind in kinds]
        wanted = [sw.Probe(plain, **kind) for kind in kinds]
    recorded = run(network, *found, *wanted)
    for got, expected in zip(recorded[:2], recorded[2:], strict=True):
        assert got.shape == (10, size) and np.any(got)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("weights", [False, True])
def test_an_output_of_decoded_values_is_in_that_order_too(learns: bool, weights: bool) -> None:
    """Decoders, learned or not; whole weight matrices give the current of all neurons."""
    rule = sw.PES(0.0) if learns else None
    solver = sw.solvers.LstsqL2(weights=weights)
    with sw.Network(seed=1) as network:
        pre, post = sw.Ensemble(20, 2), sw.Ensemble(10, 2)
        sw.Connection(source()[:2], pre)
        made = [
            sw.Connection(pre, end, 0.003, solver=solver, learning_rule_type=rule)
            for end in (post, post[::-1])
        ]
        straight, turned = (sw.Probe(one, synapse=0.002) for one in made)
    first, second = run(network, straight, turned)
    assert first.shape == second.shape == (10, 10 if weights else 2) and np.any(first)
    if not weights:
        np.testing.assert_allclose(first, second, rtol=1e-9)


@pytest.mark.parametrize("engine", engines.available())
def test_a_filter_reads_what_a_connection_delivers_in_a_step(engine: str) -> None:
    """Unfiltered recordings end each step with the synapse's output; a probe's filter, as that of
    any connection, reads what was delivered in it, a step earlier."""
    with sw.Network() as network:
        ensemble = sw.Ensemble(20, 1, seed=1)
        connection = sw.Connection(ensemble, sw.Node(size_in=1), 0.004)
        plain, filtered = sw.Probe(connection), sw.Probe(connection, synapse=0.002)
    ends, found = run(network, plain, filtered, engine=engine)
    delivered = np.concatenate([np.zeros((1, 1)), ends[:-1]])
    wanted = np.concatenate([np.zeros((1, 1)), sw.Lowpass(0.002).filt(delivered)[:-1]])
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    assert np.any(found)


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("attr", ["delta", "inv_gamma"])
def test_a_filter_reads_what_a_rule_made_a_step_before(attr: str, engine: str) -> None:
    """As of what a connection delivers: in the first step its state before it."""
    with sw.Network(seed=0) as network:
        ensemble, error = sw.Ensemble(5, 1), sw.Node([0.5])
        learned = sw.Connection(
            ensemble, sw.Node(size_in=1), learning_rule_type=sw.RLS(0.01)
        )  # fmt: skip
        sw.Connection(error, learned.learning_rule, None)
        rule = learned.learning_rule
        plain, filtered = sw.Probe(rule, attr), sw.Probe(rule, attr, synapse=0.002)
    ends, found = run(network, plain, filtered, engine=engine)
    kind = rule.learning_rule_type
    start = kind.initial_state(5, 0.001).get(attr, np.zeros_like(ends[0]))
    before = np.concatenate([start[None], ends[:-1]])
    wanted = np.concatenate([np.zeros_like(before[:1]), sw.Lowpass(0.002).filt(before)[:-1]])
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-15)
    assert np.any(found)


def test_an_input_is_the_whole_output_of_the_sender() -> None:
    """Of a node all values, whatever part is sent; of an ensemble its neurons' output."""
    with sw.Network(seed=0) as network:
        pre, ensemble = source(), sw.Ensemble(6, 2)
        sends = sw.Connection(pre[[2, 0]], sw.Node(size_in=2), None)
        neurons = sw.Connection(ensemble.neurons[::-2], sw.Node(size_in=3), None)
        decodes = sw.Connection(ensemble[1], sw.Node(size_in=1), None)
        found = [sw.Probe(one, "input") for one in (sends, neurons, decodes)]
        wanted = [sw.Probe(pre), sw.Probe(ensemble.neurons), sw.Probe(ensemble.neurons)]
    recorded = run(network, *found, *wanted)
    for got, expected in zip(recorded[:3], recorded[3:], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_weights_of_a_convolution_are_its_kernel() -> None:
    """Recorded, and in `sim.data`: those of the one part of the chain that has weights."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 1, 2))
    with sw.Network() as network:
        pre, post = sw.Node(size_in=36), sw.Node(size_in=32)
        images = sw.Convolution(2, (6, 6, 1), kernel_size=(3, 3), init=kernel)
        connection = sw.Connection(pre, post, transform=images)
        probe = sw.Probe(connection, "weights")
    with sw.Simulator(network, precision="float64", progress=False) as simulator:
        simulator.run_steps(1)
        held = simulator.data[connection].weights
    np.testing.assert_array_equal(held, np.moveaxis(kernel, (-1, -2), (0, 1)))
    np.testing.assert_array_equal(simulator.data[probe][0], held)
