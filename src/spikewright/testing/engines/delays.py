"""Delays of connections, on every kind of path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.engines import Precision
from spikewright.network import Connection, Ensemble, LearningRule, Network, Node, Probe
from spikewright.network.learning import PES
from spikewright.network.neurons import Direct, IntegrateAndFire, RectifiedLinear
from spikewright.network.solvers import LstsqL2
from spikewright.network.synapses import Alpha, Lowpass, WindowMean
from spikewright.network.transforms import Sparse
from spikewright.testing.engines.base import EPSILON, Suite, both, cells, in_turn

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
