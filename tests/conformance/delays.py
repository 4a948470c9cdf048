"""Delays of connections on every kind of path, and synapses of the values that are delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance import oracle
from conformance.base import EPSILON, Suite, both, cells, each, in_turn
from spikewright.engines import Precision
from spikewright.network import Connection, Ensemble, LearningRule, Network, Node, Probe
from spikewright.network.learning import PES
from spikewright.network.neurons import Direct, IntegrateAndFire, RectifiedLinear
from spikewright.network.solvers import LstsqL2
from spikewright.network.synapses import Alpha, Lowpass, Synapse, WindowMean
from spikewright.network.transforms import Dense, Reshape, Sparse
from spikewright.testing.modelling import VALUES, SynapseExample, delivered_synapse_examples

_DT, _N = 0.125, 6
_RATES = RectifiedLinear()


Paths = Mapping[str, "Callable[[_DelayedNetwork], Connection]"]


class _DelayedNetwork:
    """A stimulus, what it drives, and one connection from there, whose receiver is recorded."""

    def __init__(self, path: str, paths: Paths | None = None) -> None:
        self.rng = np.random.default_rng(0)
        with Network(seed=0) as self.network:
            self.stimulus, self.end = Node(np.zeros(_N)), Node(size_in=_N)
            self.delayed = (paths or _PATHS)[path](self)
            post: Any = self.delayed.post_obj
            at_rule = isinstance(post, LearningRule)
            post = post.neurons if isinstance(post, Ensemble) else post
            self.probe = Probe(post, "error" if at_rule else "input")

    def matrix(self, out: int = _N) -> NDArray:
        return self.rng.integers(-8, 9, (out, _N)) / 8.0

    def sparse(self) -> Sparse:
        rows, columns = self.rng.integers(0, _N, (2, 14))
        return Sparse(rows, columns, self.rng.integers(-8, 9, 14) / 8.0, (_N,), _N)

    def spiking(self, **given: Any) -> Any:
        made = cells(_N, IntegrateAndFire(), bias=1.0, **given)
        Connection(self.stimulus, made.neurons, None)
        return made.neurons

    def vector(self, neuron_type: Any = _RATES) -> Ensemble:
        made = Ensemble(20, _N, neuron_type=neuron_type)
        Connection(self.stimulus, made, None, 0.125)
        return made

    def learning(self) -> Connection:
        """A connection that learns from the stimulus as its error."""
        made = Connection(self.vector(), self.end, learning_rule_type=PES(1e-3))
        Connection(self.stimulus, made.learning_rule, None)
        return made

    def error(self) -> Connection:
        """A connection to a learning rule."""
        learns = Connection(self.vector(), self.end, learning_rule_type=PES(1e-3))
        return Connection(self.stimulus, learns.learning_rule, Lowpass(0.2))


_HEIGHTS = np.arange(1.0, _N + 1.0)
_BY_SYNAPSE: dict[str, Callable[[_DelayedNetwork], Connection]] = {
    "values": lambda m: Connection(m.stimulus, m.end, None, m.sparse()),
    "filtered values": lambda m: Connection(m.stimulus, m.end, Alpha(0.2), m.sparse()),
    "means": lambda m: Connection(m.stimulus, m.end, WindowMean(3, (2.0,)), m.sparse()),
    "spikes": lambda m: Connection(m.spiking(), m.end, None, m.sparse()),
    "filtered spikes": lambda m: Connection(m.spiking(), m.end, 0.2, m.sparse()),
    "parts": lambda m: Connection(m.spiking()[::-1], m.end[[3, 0, 1, 2, 5, 4]], None, m.sparse()),
    "heights": lambda m: Connection(m.spiking(rate_scale=_HEIGHTS), m.end, None, m.sparse()),
    "into neurons": lambda m: Connection(m.spiking(), m.spiking(), 0.2, m.sparse()),
}
"""Connections whose synapses may have delays of their own."""
_PATHS: dict[str, Callable[[_DelayedNetwork], Connection]] = {
    "values": lambda m: Connection(m.stimulus, m.end, None),
    "matrix": lambda m: Connection(m.stimulus, m.end, None, m.matrix()),
    "synapse": lambda m: Connection(m.stimulus, m.end, Lowpass(0.3)),
    "means": lambda m: Connection(m.stimulus, m.end, WindowMean(3, (2.0,))),
    "function": lambda m: Connection(m.stimulus[:], m.end, Alpha(0.2), function=np.negative),
    "parts": lambda m: Connection(m.stimulus[::2], m.end[3:], None, m.matrix()[:3, :3]),
    "spikes": lambda m: Connection(m.spiking(), m.end, None, m.matrix()),
    "filtered spikes": lambda m: Connection(m.spiking(), m.end, Alpha(0.2), m.matrix()),
    "parts of spikes": lambda m: Connection(m.spiking()[1:4], m.end[3:], 0.1, m.matrix()[:3, :3]),
    "heights": lambda m: Connection(m.spiking(rate_scale=_HEIGHTS), m.end, None, m.matrix()),
    "moved": lambda m: Connection(m.spiking(rate_scale=_HEIGHTS), m.end, None),
    "sparse": lambda m: Connection(m.spiking(), m.end, 0.2, m.sparse()),
    "decoded": lambda m: Connection(m.vector(), m.end, 0.2),
    "decoded at once": lambda m: Connection(m.vector(), m.end, None, function=np.square),
    "decoded spikes": lambda m: Connection(
        m.vector(IntegrateAndFire()), m.end[:2], 0.2, m.matrix(2)
    ),
    "full weights": lambda m: Connection(m.vector(), m.vector(), 0.2, solver=LstsqL2(weights=True)),
    "exact": lambda m: Connection(m.vector(Direct())[0], m.end[1], 0.2, function=np.square),
    "learned": lambda m: m.learning(),
    "error": lambda m: m.error(),
}


class DelayTests(Suite):
    """What a connection with a delay delivers, and when."""

    @in_turn(_PATHS, given="path")
    def test_a_delay_is_a_shift(self, path: str, precision: Precision) -> None:
        """What would arrive without a delay arrives so many steps later; nothing does before."""
        made = _DelayedNetwork(path)
        fed = made.rng.integers(-16, 33, (2, 24, _N)) / 2.0

        def delivered(delay: float) -> NDArray:
            made.delayed.delay = delay
            return self.delivered(made, fed, precision)

        at_once, nothing = delivered(0.0), delivered(1000 * _DT)
        assert np.any(at_once != nothing)
        for steps, delay in ((1, _DT), (4, 4 * _DT), (5, 4.8 * _DT)):  # rounded to a whole step
            found = delivered(delay)
            np.testing.assert_array_equal(found[:, :steps], nothing[:, :steps])
            wanted = at_once[:, :-steps]
            reach = 0.0 if self.is_exact() else 64 * EPSILON[precision] * np.abs(wanted).max()
            if path == "full weights":  # its receiver is driven by the stimulus, too
                wanted = wanted - nothing[:, :-steps] + nothing[:, steps:]
                reach = 64 * EPSILON[precision] * np.abs(wanted).max()
            np.testing.assert_allclose(found[:, steps:], wanted, rtol=0, atol=reach)

    def delivered(
        self, made: _DelayedNetwork, fed: NDArray, precision: Precision, **cut: Any
    ) -> NDArray:
        """What arrives in two runs, one after the other."""
        feeds = {made.stimulus: fed}
        runs = [7, fed.shape[1] - 7]
        return self.run(
            made.network, runs, dt=_DT, batch=len(fed), feeds=feeds, precision=precision, **cut
        )[made.probe]

    def same(self, found: NDArray, wanted: NDArray, precision: Precision) -> None:
        """To the bit, from an exact engine."""
        reach = 0.0 if self.is_exact() else 64 * EPSILON[precision] * np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, rtol=0, atol=reach)

    @in_turn(_BY_SYNAPSE, given="path")
    @pytest.mark.parametrize("steps", [1, 3])
    def test_alike_delays_of_synapses_are_one_delay(
        self, path: str, steps: int, precision: Precision
    ) -> None:
        """An array that holds one delay is that delay; both are a shift of something."""
        found = []
        for by_synapse in (False, True):
            made = _DelayedNetwork(path, _BY_SYNAPSE)
            made.delayed.delay = steps * _DT
            if by_synapse:
                made.delayed.delay = np.full(14, steps * _DT)
            fed = made.rng.integers(-16, 33, (2, 24, _N)) / 2.0
            found.append(self.delivered(made, fed, precision))
        assert np.any(found[0][:, steps:] != found[0][:, :-steps])
        self.same(found[1], found[0], precision)

    @both
    @pytest.mark.parametrize("path", ["values", "spikes", "parts"])
    def test_every_synapse_has_its_own_delay(self, path: str, precision: Precision) -> None:
        """Together they deliver what connections with one delay each do, in whatever order.

        Short numbers are sent, so that no sum is rounded.
        """
        delays = np.array([1, 2, 5, 9, 30])[np.random.default_rng(4).integers(0, 5, 14)]
        order = np.random.default_rng(5).permutation(14)
        results = []
        for chosen in (np.arange(14), order, *[np.flatnonzero(delays == d) for d in set(delays)]):
            made = _DelayedNetwork(path, _BY_SYNAPSE)
            whole: Any = made.delayed.transform
            rows, columns, values = (a[chosen] for a in (whole.rows, whole.columns, whole.values))
            made.delayed.transform = Sparse(rows, columns, values, (_N,), _N)
            made.delayed.delay = delays[chosen] * _DT
            fed = made.rng.integers(-16, 33, (2, 24, _N)) / 2.0
            results += [self.delivered(made, fed, precision, block=b) for b in (None, 4)]
        assert len(set(delays)) == 5
        for found in results[1:4]:
            self.same(found, results[0], precision)
        self.same(sum(results[4::2]), results[0], precision)  # type: ignore[arg-type]

    @both
    @pytest.mark.parametrize("delays", ["one step", "three steps", "each its own"])
    def test_delays_close_a_loop(self, delays: str, precision: Precision) -> None:
        """Neurons that drive each other, some steps later or by synapses of different delays."""
        rng = np.random.default_rng(2)
        senders, receivers = rng.integers(0, _N, (2, 20))
        own, weights = rng.integers(1, 6, 20), rng.integers(-3, 4, 20) / 4.0
        drive = rng.integers(0, 9, (1, 40, _N)) * 1.0
        given: Any = {"one step": 1, "three steps": 3}.get(delays, own)
        sparse: Any = Sparse(receivers, senders, weights, (_N,), _N)
        if delays != "each its own":
            matrix = np.zeros((_N, _N))
            np.add.at(matrix, (receivers, senders), weights)
            sparse = matrix
        with Network() as net:
            stimulus = Node(np.zeros(_N))
            neurons = cells(_N, IntegrateAndFire(), initial_voltage=0.0).neurons
            Connection(stimulus, neurons, None)
            Connection(neurons, neurons, None, sparse, delay=given * _DT)
            probe = Probe(neurons, "spikes")
        found = self.run(net, [5, 35], dt=_DT, feeds={stimulus: drive}, precision=precision)
        spikes, voltage, current = np.zeros((40, _N)), np.zeros(_N), np.zeros((60, _N))
        for t in range(40):
            voltage += drive[0, t] + current[t] / _DT
            spikes[t] = np.maximum(np.floor(voltage * _DT), 0)
            voltage -= spikes[t] / _DT
            np.add.at(current, (t + given, receivers), weights * spikes[t, senders])
        np.testing.assert_array_equal(found[probe][0] * _DT, spikes)
        assert np.any(spikes > 1) and len(set(own)) == 5


_SENT, _STEP, _STEPS = 4, 0.001, 30
_MATRIX = np.random.default_rng(2).integers(-8, 9, (VALUES, _SENT)) / 8.0
_FOUR_HEIGHTS = np.array([1.0, 2.0, 4.0, 0.5])

Path = Callable[[Node, Any, Synapse | None], Connection]
"""Makes a connection that brings three values from the stimulus to an end."""


def _spikes(stimulus: Node, **given: Any) -> Any:
    kind = IntegrateAndFire(amplitude=_STEP)
    cells = Ensemble(_SENT, None, neuron_type=kind, gain=400.0, bias=200.0, seed=1, **given)
    Connection(stimulus, cells.neurons, None)
    return cells.neurons


def _vector(stimulus: Node) -> Ensemble:
    cells = Ensemble(20, _SENT, neuron_type=RectifiedLinear(), seed=1)
    Connection(stimulus, cells, None, 0.5)
    return cells


def _sparse() -> Sparse:
    return Sparse([0, 1, 2, 2], [3, 1, 0, 2], [0.5, 1.0, -0.25, 2.0], (VALUES,), _SENT)


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
    "delayed": lambda s, end, synapse: Connection(s, end, synapse, _MATRIX, delay=4 * _STEP),
    "spikes": lambda s, end, synapse: Connection(_spikes(s), end, synapse, _MATRIX),
    "heights": lambda s, end, synapse: Connection(
        _spikes(s, rate_scale=_FOUR_HEIGHTS)[1:], end, synapse
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
            stimulus, wide = Node(np.zeros(_SENT)), Node(size_in=VALUES + 2)
            plain, end = Node(size_in=VALUES), Node(size_in=VALUES)
            PATHS[path](stimulus, plain, None)
            PATHS[path](stimulus, end, example.synapse)
            PATHS[path](stimulus, wide[[4, 0, 2]], example.synapse)
            probes = [Probe(plain), Probe(end), Probe(wide)]
        fed = np.random.default_rng(0).integers(-4, 9, (1, _STEPS, _SENT)) / 8.0
        data = self.run(
            net, [11, _STEPS - 11], dt=_STEP, feeds={stimulus: fed}, precision=precision
        )
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
            return oracle.behind_synapse(synapse, arriving, _STEP)
        early = np.concatenate([arriving[4:], np.zeros_like(arriving[:4])])
        late = oracle.behind_synapse(synapse, early, _STEP)
        return np.concatenate([np.zeros_like(late[:4]), late[:-4]])

    @in_turn(delivered_synapse_examples())
    def test_probes_of_filtered_values(self, example: SynapseExample, precision: Precision) -> None:
        """A probe's own synapse, of values, and of spikes of several heights; a connection's."""
        with Network(seed=0) as net:
            stimulus, end = Node(np.zeros(_SENT)), Node(size_in=VALUES)
            spikes = _spikes(stimulus, rate_scale=_FOUR_HEIGHTS)
            connection = Connection(stimulus, end, example.synapse, _MATRIX)
            pairs = [
                (Probe(t), Probe(t, synapse=example.synapse)) for t in (stimulus[1:], spikes[1:])
            ]
            delivered = Probe(connection)
        fed = np.random.default_rng(0).integers(-4, 9, (1, _STEPS, _SENT)) / 8.0
        data = self.run(net, _STEPS, dt=_STEP, feeds={stimulus: fed}, precision=precision)
        for plain, filtered in pairs:
            values = data[plain][0].astype(np.float64)
            wanted = oracle.behind_synapse(example.synapse, values, _STEP)
            reach = 64 * EPSILON[precision] * max(1.0, float(np.abs(values).max()))
            np.testing.assert_allclose(data[filtered][0], wanted, rtol=0, atol=reach)
        now = oracle.in_step(example.synapse, fed[0] @ _MATRIX.T, _STEP)
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
        data = self.run(net, _STEPS, dt=_STEP, batch=2, feeds={stimulus: fed}, precision=precision)
        for found, u in zip(data[probe].astype(np.float64), fed, strict=True):
            behind = oracle.behind_synapse(example.synapse, 0.5 * found, _STEP)
            np.testing.assert_allclose(found, u + behind, rtol=0, atol=64 * EPSILON[precision] * 4)

    @both
    def test_weights_of_a_solver_deliver_currents(self, precision: Precision) -> None:
        """There is a value for each neuron, so a time constant for each neuron."""
        taus = np.linspace(0.001, 0.02, 10)
        with Network(seed=0) as net:
            stimulus = Node(np.zeros(_SENT))
            pre = _vector(stimulus)
            ends = [
                Ensemble((2, 5), _SENT, neuron_type=RectifiedLinear(), seed=3) for _ in range(2)
            ]
            for end, synapse in zip(ends, (None, taus.reshape(2, 5)), strict=True):
                Connection(pre, end, synapse, solver=LstsqL2(weights=True), seed=4)
            plain, filtered = (Probe(end.neurons, "input") for end in ends)
            bias = Ensemble((2, 5), _SENT, neuron_type=RectifiedLinear(), seed=3)
            rest = Probe(bias.neurons, "input")
            Connection(stimulus, bias, None, 0.0)
        fed = np.random.default_rng(0).integers(-4, 9, (1, _STEPS, _SENT)) / 8.0
        data = self.run(net, _STEPS, dt=_STEP, feeds={stimulus: fed}, precision=precision)
        at, behind, own = (data[p][0].reshape(_STEPS, -1) for p in (plain, filtered, rest))
        wanted = oracle.behind_synapse(Lowpass(taus), (at - own).astype(np.float64), _STEP)
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
        data = self.run(net, _STEPS, dt=_STEP, feeds={stimulus: fed})
        found = data[probes[0]][0]
        if example.synapse.seed is None:  # draws are those of another shape
            np.testing.assert_allclose(found[:, 0], data[probes[1]][0], rtol=0, atol=1e-9)
        assert found.shape == (_STEPS, 2, VALUES) and found[1:].any()
