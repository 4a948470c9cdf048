"""Probes: states of neurons, inputs and results of connections, and parts of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.engines import Precision
from spikewright.engines.built import connection_parameters, ensemble_parameters
from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.network.neurons import IntegrateAndFire, RectifiedLinear, SpikingRectifiedLinear
from spikewright.network.solvers import LstsqL2
from spikewright.network.synapses import Lowpass, WindowMean
from spikewright.testing import oracle
from spikewright.testing.engines.base import EPSILON, Suite, both, in_turn
from spikewright.testing.modelling import (
    SynapseExample,
    synapse_examples,
)


class ProbeTests(Suite):
    """Recording by probes."""

    @both
    @pytest.mark.parametrize("scale", [1.0, 3.0, [3.0, 1.0, 2.0, 5.0]])
    def test_parts_are_recorded_as_they_are_in_the_whole(
        self, scale: Any, precision: Precision
    ) -> None:
        """A probe of a part gives the part of a probe of the whole, factors included."""
        steps = 20
        values = np.random.default_rng(1).integers(0, 9, (1, steps, 4)) * 2.0
        with Network(seed=0) as net:
            stimulus = Node(np.zeros(4))
            ensemble = Ensemble(
                4, 2, neuron_type=IntegrateAndFire(0.5), gain=1.0, bias=9.0, rate_scale=scale
            )
            shaped = Ensemble((2, 3), neuron_type=SpikingRectifiedLinear(), gain=1.0, bias=2.0)
            Connection(stimulus, ensemble.neurons, None)
            Connection(stimulus[:2], ensemble, None)
            wholes: list[tuple[Any, str]]
            wholes = [(stimulus, "output"), (ensemble, "decoded_output"), (ensemble, "input")]
            wholes += [(ensemble.neurons, a) for a in ("output", "input", "voltage", "spike_count")]
            pairs: list[tuple[Probe, Probe, tuple[Any, ...]]] = []
            keys: tuple[Any, ...] = (0, slice(1, None), slice(None, None, -1), [1, 0])
            for whole, attr in wholes:
                for key in keys:
                    pairs.append((Probe(whole, attr), Probe(whole[key], attr), (key,)))
            keys = ((1,), (slice(None), 2), (0, slice(0, 2)))
            for key in keys:
                pairs.append((Probe(shaped.neurons), Probe(shaped.neurons[key]), key))
            late = [Probe(item, synapse=0.1) for item in (ensemble.neurons, ensemble.neurons[2])]
            pairs.append((late[0], late[1], (2,)))
        data = self.run(net, steps, feeds={stimulus: values}, precision=precision)
        for whole_probe, part, key in pairs:
            index: Any = (slice(None), slice(None), *key)
            expected = data[whole_probe][index]
            np.testing.assert_array_equal(data[part].reshape(expected.shape), expected)
            assert expected.any()

    @both
    def test_connections(self, precision: Precision) -> None:
        """The whole output of a connection's sender, its weights and what it sends are recorded."""
        steps = 12
        rng = np.random.default_rng(2)
        values, matrix = rng.integers(-4, 9, (1, steps, 3)) / 2.0, rng.integers(-4, 5, (2, 2)) / 4.0
        with Network(seed=0) as net:
            stimulus, end = Node(np.zeros(3)), Node(size_in=4)
            plain = Connection(stimulus[1:], end[::2], None, matrix)
            cells = Ensemble(5, 1, neuron_type=SpikingRectifiedLinear(), intercepts=(-1.0, 0.0))
            Connection(stimulus[0], cells, None)
            decoded = Connection(cells, end[1], None, function=np.square, transform=2.0)
            given, whole = Probe(plain, "input"), Probe(plain, "weights")
            sent, all_ = Probe(plain), Probe(end)
            solver = LstsqL2(weights=True)
            between = Connection(cells, cells, 0.25, solver=solver, transform=0.5)
            current, matrix_between = Probe(between), Probe(between, "weights")
            spikes, counted = Probe(decoded, "input"), Probe(cells.neurons)
            weights, output = Probe(decoded, "weights"), Probe(decoded)
            encoders = Probe(cells, "scaled_encoders")
        data = self.run(net, steps, feeds={stimulus: values}, precision=precision)
        program, _ = self.compiled(net, 0.125)
        np.testing.assert_array_equal(data[given][0], values[0])
        np.testing.assert_array_equal(data[whole][0], np.broadcast_to(matrix, (steps, 2, 2)))
        _close(data[sent][0], values[0][:, 1:] @ matrix.T, precision)
        np.testing.assert_array_equal(data[sent][0], data[all_][0][:, ::2])
        np.testing.assert_array_equal(data[spikes], data[counted])
        assert data[spikes].any()
        built = connection_parameters(program, decoded).weights
        _close(data[weights][0], np.broadcast_to(built, (steps, *built.shape)), precision)
        _close(data[output][0], data[spikes][0] @ built.T, precision)
        into = np.einsum("tij,tj->ti", data[matrix_between][0], data[spikes][0])
        _close(data[current][0], oracle.in_step(Lowpass(0.25), into, 0.125), precision)
        scaled = ensemble_parameters(program, cells).scaled_encoders
        _close(data[encoders][0], np.broadcast_to(scaled, (steps, *scaled.shape)), precision)

    @in_turn(e for e in synapse_examples() if not isinstance(e.synapse, WindowMean))
    def test_a_connection_shows_what_it_delivers_next(
        self, example: SynapseExample, precision: Precision
    ) -> None:
        """At a step's end the synapse holds the value of the next step, on every kind of path."""
        steps = 30
        values = np.random.default_rng(5).integers(-4, 9, (1, steps, 2)) / 2.0
        with Network(seed=0) as net:
            stimulus, end = Node(np.zeros(2)), Node(size_in=6)
            cells = Ensemble(7, 2, neuron_type=RectifiedLinear(), max_rates=(20.0, 40.0))
            Connection(stimulus, cells, None)
            matrix = np.arange(6.0).reshape(3, 2) - 2.0
            ways = [Connection(stimulus, end[:3], example.synapse, matrix)]
            ways += [Connection(cells, end[3:5], example.synapse)]
            ways += [Connection(cells, end[5], example.synapse, function=lambda x: x[0] * x[1])]
            shown, given = [Probe(way) for way in ways], Probe(end)
        data = self.run(net, steps, dt=0.001, feeds={stimulus: values}, precision=precision)
        found = np.concatenate([data[probe][0] for probe in shown], axis=1)
        assert np.all(found.any(axis=0))
        _close(found[:-1], data[given][0][1:], precision)


def _close(found: NDArray, wanted: NDArray, precision: Precision) -> None:
    reach = 64 * EPSILON[precision] * float(np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=reach)
