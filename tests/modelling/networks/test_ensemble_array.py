"""Ensemble arrays: a long vector shared out among ensembles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import rms, run

import spikewright as sw
from spikewright.errors import NetworkError

EXACT: dict[str, Any] = {"neuron_type": sw.Direct()}


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 5), d=st.integers(1, 3), seed=st.integers(0, 99))
def test_what_goes_in_comes_out(n: int, d: int, seed: int) -> None:
    """Without neurons exactly, whatever the number of ensembles and their dimensions."""
    x = np.random.default_rng(seed).normal(size=n * d)
    with sw.Network() as net:
        array = sw.networks.EnsembleArray(1, n, d, **EXACT)
        sw.Connection(sw.Node(x), array.input, None)
        probe = sw.Probe(array.output)
    np.testing.assert_array_equal(run(net, probe, 1, precision="float64")[0], x)
    assert array.dimensions == n * d and len(array.ea_ensembles) == n


def test_neurons_represent_each_part() -> None:
    """Every ensemble its own values, within 0.04 of them; seeded by the array, each differently."""
    x = np.array([0.9, -0.5, 0.3, -0.1, 0.0, 0.6])
    with sw.Network() as net:
        array = sw.networks.EnsembleArray(60, 3, 2, seed=3, radius=1.2)
        sw.Connection(sw.Node(x), array.input, None)
        probe = sw.Probe(array.output, synapse=0.03)
    with sw.Simulator(net) as sim:
        sim.run_steps(300)
    assert rms(sim.data[probe][150:] - x) < 0.04
    encoders = [sim.data[e].encoders for e in array.ea_ensembles]
    assert not np.array_equal(encoders[0], encoders[1])
    assert all(e.radius == 1.2 and e.dimensions == 2 for e in array.ea_ensembles)


def test_outputs_decode_functions() -> None:
    """One function of every ensemble, or one for each, of whatever size."""
    with sw.Network() as net:
        array = sw.networks.EnsembleArray(1, 3, **EXACT)
        sw.Connection(sw.Node([1.0, 2.0, 3.0]), array.input, None)
        square = array.add_output("square", np.square)
        each = array.add_output("each", [lambda x: [x[0], -x[0]], np.square, lambda x: 10 * x])
        probes = [sw.Probe(node) for node in (square, each)]
    assert array.square is square and array.each is each  # type: ignore[attr-defined]
    np.testing.assert_allclose(run(net, probes[0], 1)[0], [1, 4, 9])
    np.testing.assert_allclose(run(net, probes[1], 1)[0], [1, -1, 4, 30])


def test_neurons_can_be_reached_together() -> None:
    """`neuron_input` times gain into every neuron, `neuron_output` what each sends, in order."""
    with sw.Network() as net:
        array = sw.networks.EnsembleArray(
            2, 2, neuron_type=sw.RectifiedLinear(), gain=[2.0, 3.0], bias=[0.0, 1.0]
        )
        sw.Connection(sw.Node([1.0, 2.0, 3.0, 4.0]), array.add_neuron_input(), None)
        probe = sw.Probe(array.add_neuron_output())
    assert array.add_neuron_input() is array.neuron_input
    assert array.add_neuron_output() is array.neuron_output
    np.testing.assert_allclose(run(net, probe, 1)[0], [2, 7, 6, 13])


def test_defaults_of_networks_reach_the_ensembles() -> None:
    """As any ensembles made there; the array's own arguments win."""
    with sw.Network() as net:
        net.config[sw.Ensemble].neuron_type = sw.LIFRate()
        net.config[sw.Ensemble].radius = 2.0
        array = sw.networks.EnsembleArray(4, 2, radius=3.0)
    assert all(e.neuron_type == sw.LIFRate() and e.radius == 3.0 for e in array.ea_ensembles)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: sw.networks.EnsembleArray(0, 2, label="xs"), "'xs'>: n_neurons must be a whole"),
        (lambda: sw.networks.EnsembleArray(5, 2.5, label="xs"), "n_ensembles .* got 2.5"),  # type: ignore[arg-type]
        (lambda: sw.networks.EnsembleArray(5, 2, 0, label="xs"), "ens_dimensions .* got 0"),
        (lambda: sw.networks.EnsembleArray(5, 2, label="xs", radius=-1), r"'xs\[0\]'>: radius"),
        (lambda: array().add_output("input", None), "has an attribute 'input' already"),
        (lambda: array().add_output("a b", None), "is an identifier, got 'a b'"),
        (lambda: array().add_output("f", [np.square]), "one for each of 3 ensembles"),
        (lambda: array().add_output("f", 7), "must be a callable"),  # type: ignore[arg-type]
        (lambda: array().add_output("f", lambda x: x[9]), "failed at 0 .IndexError"),
    ],
)
def test_what_is_impossible_is_named(ask: Any, message: str) -> None:
    """Each refusal names the array, the argument and its value."""
    with sw.Network(), pytest.raises(NetworkError, match=message):
        ask()


def array() -> sw.networks.EnsembleArray:
    """One of three."""
    return sw.networks.EnsembleArray(5, 3, label="xs")
