"""Synapses of a user's own, with a step that need not be linear, and several time constants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import NetworkError
from spikewright.network import load, save
from spikewright.testing import oracle
from spikewright.testing.modelling import SynapseExample
from spikewright.testing.synapses import VALUES, delivered_synapse_examples

EACH = [e for e in delivered_synapse_examples() if not e.synapse.stepped]


@pytest.mark.parametrize("example", delivered_synapse_examples(), ids=lambda e: e.id)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_signal_through_such_a_synapse(example: SynapseExample, axis: int) -> None:
    """`filt` gives the values of a connection, without its step of delay."""
    x = np.random.default_rng(0).uniform(-1, 2, (20, VALUES))
    found = example.synapse.filt(np.moveaxis(x, 0, axis), axis=axis)
    wanted = oracle.in_step(example.synapse, x, 0.001)
    np.testing.assert_allclose(np.moveaxis(found, axis, 0), wanted, atol=1e-12)


@pytest.mark.parametrize("example", EACH, ids=lambda e: e.id)
def test_files_hold_a_time_constant_for_each_value(example: SynapseExample, tmp_path: Path) -> None:
    """On connections and probes."""
    with sw.Network(seed=0) as net:
        node, end = sw.Node(np.zeros(VALUES)), sw.Node(size_in=VALUES)
        sw.Connection(node, end, example.synapse)
        sw.Probe(end, synapse=example.synapse)
    save(net, tmp_path / "net.spike")
    again = load(tmp_path / "net.spike")
    assert again.connections[0].synapse == example.synapse == again.probes[0].synapse


class Nothing(sw.Synapse):
    """A class that gives neither a step nor a filter."""


class Failing(sw.Synapse):
    """A step that fails, or gives another shape."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Any:
        return lambda t, x: self.given(x)


class Gain(sw.Synapse):
    """A linear filter of a user's own."""

    def discretise(self, dt: float) -> Any:
        return replace(sw.Lowpass(0.0).discretise(dt), C=np.array([3.0]))


def test_a_class_says_what_it_does() -> None:
    """Neither a step nor a filter is refused; a linear filter of one's own goes as Lowpass does."""
    with sw.Network() as net:
        node, end = sw.Node(np.ones(2)), sw.Node(size_in=2)
        with pytest.raises(NetworkError, match="filters nothing; give its class make_step, or"):
            sw.Connection(node, end, Nothing())
        sw.Connection(node, end, Gain(), 2.0)
        probe = sw.Probe(end)
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(2)
    assert sim.data[probe].tolist() == [[0, 0], [6, 6]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda x: 1 / 0, r"synapse of .*ZeroDivisionError"),
        (lambda x: x[:1], r"synapse of .*\(1,\)"),
        (lambda x: x * np.nan, r"synapse of .*NaN"),
    ],
)
def test_a_step_that_fails_names_its_connection(given: Any, message: str) -> None:
    """As a node's function does."""
    with sw.Network() as net:
        sw.Connection(sw.Node(np.ones(2)), sw.Node(size_in=2), Failing(given), label="c")
    with sw.Simulator(net, progress=False) as sim, pytest.raises(Exception, match=message) as found:
        sim.run_steps(2)
    assert "'c'" in str(found.value)
