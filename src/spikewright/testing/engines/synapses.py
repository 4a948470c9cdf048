"""Synapses of delivered values: nonlinear ones, and those with a time constant for each value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.engines import Precision
from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.network.learning import PES
from spikewright.network.neurons import IntegrateAndFire, RectifiedLinear
from spikewright.network.solvers import LstsqL2
from spikewright.network.synapses import Lowpass, Synapse
from spikewright.network.transforms import Dense, Reshape, Sparse
from spikewright.testing import oracle
from spikewright.testing.engines.base import EPSILON, Suite, both, each, in_turn
from spikewright.testing.modelling import VALUES, SynapseExample, delivered_synapse_examples

_N, _DT, _STEPS = 4, 0.001, 30
_MATRIX = np.random.default_rng(2).integers(-8, 9, (VALUES, _N)) / 8.0
_HEIGHTS = np.array([1.0, 2.0, 4.0, 0.5])

Path = Callable[[Node, Any, Synapse | None], Connection]
"""Makes a connection that brings three values from the stimulus to an end."""


def _spikes(stimulus: Node, **given: Any) -> Any:
    kind = IntegrateAndFire(amplitude=_DT)
    cells = Ensemble(_N, None, neuron_type=kind, gain=400.0, bias=200.0, seed=1, **given)
    Connection(stimulus, cells.neurons, None)
    return cells.neurons


def _vector(stimulus: Node) -> Ensemble:
    cells = Ensemble(20, _N, neuron_type=RectifiedLinear(), seed=1)
    Connection(stimulus, cells, None, 0.5)
    return cells


def _sparse() -> Sparse:
    return Sparse([0, 1, 2, 2], [3, 1, 0, 2], [0.5, 1.0, -0.25, 2.0], (VALUES,), _N)


def _learning(stimulus: Node, end: Any, synapse: Synapse | None) -> Connection:
    made = Connection(
        _vector(stimulus), end, synapse, _MATRIX, learning_rule_type=PES(1e-3), seed=2
    )
    Connection(stimulus[:VALUES], made.learning_rule, None)
    return made


PATHS: dict[str, Path] = {
    "values": lambda s, end, synapse: Connection(s, end, synapse, _MATRIX),
    "part": lambda s, end, synapse: Connection(s[1:], end, synapse),
    "function": lambda s, end, synapse: Connection(s, end, synapse, function=lambda x: x[:3] ** 2),
    "delayed": lambda s, end, synapse: Connection(s, end, synapse, _MATRIX, delay=4 * _DT),
    "spikes": lambda s, end, synapse: Connection(_spikes(s), end, synapse, _MATRIX),
    "heights": lambda s, end, synapse: Connection(
        _spikes(s, rate_scale=_HEIGHTS)[1:], end, synapse
    ),
    "sparse": lambda s, end, synapse: Connection(_spikes(s), end, synapse, _sparse()),
    "decoded": lambda s, end, synapse: Connection(_vector(s), end, synapse, _MATRIX, seed=2),
    "learned": _learning,
}


class SynapseTests(Suite):
    """What a synapse makes of the values that a connection delivers."""

    @pytest.mark.parametrize("path", PATHS)
    @in_turn(delivered_synapse_examples())
    def test_delivered_values_are_filtered(
        self, example: SynapseExample, path: str, precision: Precision
    ) -> None:
        """Behind all weights, a step late; in a part of a receiver as in the whole of one."""
        with Network(seed=0) as net:
            stimulus, wide = Node(np.zeros(_N)), Node(size_in=VALUES + 2)
            plain, end = Node(size_in=VALUES), Node(size_in=VALUES)
            PATHS[path](stimulus, plain, None)
            PATHS[path](stimulus, end, example.synapse)
            PATHS[path](stimulus, wide[[4, 0, 2]], example.synapse)
            probes = [Probe(plain), Probe(end), Probe(wide)]
        fed = np.random.default_rng(0).integers(-4, 9, (1, _STEPS, _N)) / 8.0
        data = self.run(net, [11, _STEPS - 11], dt=_DT, feeds={stimulus: fed}, precision=precision)
        arriving, found, placed = (data[probe][0].astype(np.float64) for probe in probes)
        assert np.ptp(arriving) > 0.1
        wanted = self._wanted(example.synapse, arriving, path)
        reach = 64 * EPSILON[precision] * max(1.0, float(np.abs(arriving).max()))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=reach)
        np.testing.assert_allclose(placed[:, [4, 0, 2]], wanted, rtol=0, atol=reach)
        assert not placed[:, [1, 3]].any()

    def _wanted(self, synapse: Synapse, arriving: NDArray, path: str) -> NDArray:
        """The oracle's; a delay is behind the synapse, which sees no zeros before."""
        if path != "delayed":
            return oracle.behind_synapse(synapse, arriving, _DT)
        early = np.concatenate([arriving[4:], np.zeros_like(arriving[:4])])
        late = oracle.behind_synapse(synapse, early, _DT)
        return np.concatenate([np.zeros_like(late[:4]), late[:-4]])

    @in_turn(delivered_synapse_examples())
    def test_probes_of_filtered_values(self, example: SynapseExample, precision: Precision) -> None:
        """A probe's own synapse, of values, and of spikes of several heights; a connection's."""
        with Network(seed=0) as net:
            stimulus, end = Node(np.zeros(_N)), Node(size_in=VALUES)
            spikes = _spikes(stimulus, rate_scale=_HEIGHTS)
            connection = Connection(stimulus, end, example.synapse, _MATRIX)
            pairs = [
                (Probe(t), Probe(t, synapse=example.synapse)) for t in (stimulus[1:], spikes[1:])
            ]
            delivered = Probe(connection)
        fed = np.random.default_rng(0).integers(-4, 9, (1, _STEPS, _N)) / 8.0
        data = self.run(net, _STEPS, dt=_DT, feeds={stimulus: fed}, precision=precision)
        for plain, filtered in pairs:
            values = data[plain][0].astype(np.float64)
            wanted = oracle.behind_synapse(example.synapse, values, _DT)
            reach = 64 * EPSILON[precision] * max(1.0, float(np.abs(values).max()))
            np.testing.assert_allclose(data[filtered][0], wanted, rtol=0, atol=reach)
        now = oracle.in_step(example.synapse, fed[0] @ _MATRIX.T, _DT)
        reach = 64 * EPSILON[precision] * 8
        np.testing.assert_allclose(data[delivered][0], now, rtol=0, atol=reach)

    @in_turn(delivered_synapse_examples())
    def test_a_loop_through_such_a_synapse(
        self, example: SynapseExample, precision: Precision
    ) -> None:
        """It breaks a loop, and every sample of a batch has a state of its own."""
        with Network(seed=0) as net:
            stimulus, junction = Node(np.zeros(VALUES)), Node(size_in=VALUES)
            Connection(stimulus, junction, None)
            Connection(junction, junction, example.synapse, 0.5)
            probe = Probe(junction)
        fed = np.random.default_rng(0).integers(-4, 9, (2, _STEPS, VALUES)) / 8.0
        data = self.run(net, _STEPS, dt=_DT, batch=2, feeds={stimulus: fed}, precision=precision)
        for found, u in zip(data[probe].astype(np.float64), fed, strict=True):
            behind = oracle.behind_synapse(example.synapse, 0.5 * found, _DT)
            np.testing.assert_allclose(found, u + behind, rtol=0, atol=64 * EPSILON[precision] * 4)

    @both
    def test_weights_of_a_solver_deliver_currents(self, precision: Precision) -> None:
        """There is a value for each neuron, so a time constant for each neuron."""
        taus = np.linspace(0.001, 0.02, 10)
        with Network(seed=0) as net:
            stimulus = Node(np.zeros(_N))
            pre = _vector(stimulus)
            ends = [Ensemble((2, 5), _N, neuron_type=RectifiedLinear(), seed=3) for _ in range(2)]
            for end, synapse in zip(ends, (None, taus.reshape(2, 5)), strict=True):
                Connection(pre, end, synapse, solver=LstsqL2(weights=True), seed=4)
            plain, filtered = (Probe(end.neurons, "input") for end in ends)
            bias = Ensemble((2, 5), _N, neuron_type=RectifiedLinear(), seed=3)
            rest = Probe(bias.neurons, "input")
            Connection(stimulus, bias, None, 0.0)
        fed = np.random.default_rng(0).integers(-4, 9, (1, _STEPS, _N)) / 8.0
        data = self.run(net, _STEPS, dt=_DT, feeds={stimulus: fed}, precision=precision)
        at, behind, own = (data[p][0].reshape(_STEPS, -1) for p in (plain, filtered, rest))
        wanted = oracle.behind_synapse(Lowpass(taus), (at - own).astype(np.float64), _DT)
        reach = 64 * EPSILON[precision] * float(np.abs(at).max())
        np.testing.assert_allclose(behind - own, wanted, rtol=0, atol=reach)

    @each(delivered_synapse_examples())
    def test_values_in_a_shape(self, example: SynapseExample) -> None:
        """A connection to a shaped object filters in its shape; one array broadcasts to it."""
        with Network(seed=0) as net:
            stimulus, end = Node(np.zeros(2 * VALUES)), Node(size_in=(2, VALUES))
            Connection(stimulus, end, example.synapse, Reshape((2, VALUES)))
            weighted = Node(size_in=VALUES)
            Connection(stimulus, weighted, example.synapse, Dense(np.eye(2 * VALUES)[:VALUES]))
            probes = Probe(end), Probe(weighted)
        fed = np.random.default_rng(0).integers(-4, 9, (1, _STEPS, 2 * VALUES)) / 8.0
        data = self.run(net, _STEPS, dt=_DT, feeds={stimulus: fed})
        found = data[probes[0]][0]
        if example.synapse.seed is None:  # draws are those of another shape
            np.testing.assert_allclose(found[:, 0], data[probes[1]][0], rtol=0, atol=1e-9)
        assert found.shape == (_STEPS, 2, VALUES) and found[1:].any()
