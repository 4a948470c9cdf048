"""Restarts after a number of steps, and loops that carry a mean from window to window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright import engines
from spikewright.engines import Execution, Precision
from spikewright.network import Connection, Network, Node, Probe
from spikewright.network.neurons import (
    IntegrateAndFire,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.node_functions import Softmax
from spikewright.network.synapses import WindowMean
from spikewright.testing.engines.base import EPSILON, Suite, both, cells

_EVERY, _DT = 7, 0.01
_GIVEN: dict[str, Any] = {"bias": 0.1, "rate_scale": 40.0, "initial_voltage": "half"}


def _restarting(kind: NeuronType | None, every: int | None) -> tuple[Network, Node, Probe]:
    """Neurons of a kind, or a function of running means, behind a node that is fed."""
    with Network() as net:
        stimulus = Node(np.zeros(5))
        if kind is None:
            end: Any = Node(Softmax(accumulate=True), size_in=5, restart_every=every)
        else:
            end = cells(5, kind, restart_every=every, **_GIVEN).neurons
        Connection(stimulus, end, None)
        probe = Probe(end)
    return net, stimulus, probe


class WindowTests(Suite):
    """Windows of time, one after the other."""

    @both
    @pytest.mark.parametrize("kind", [IntegrateAndFire(), RunningMeanSpiking(Tanh()), None])
    def test_what_starts_again(self, kind: NeuronType | None, precision: Precision) -> None:
        """Every window is a run from the start, however long the blocks and the last window are."""
        values = np.random.default_rng(2).normal(0.4, 1.0, (2, 3 * _EVERY + 4, 5))
        net, stimulus, probe = _restarting(kind, _EVERY)
        alone, other, wanted = _restarting(kind, None)
        runs = []
        for start in range(0, values.shape[1], _EVERY):
            part = values[:, start : start + _EVERY]
            count = part.shape[1]
            data = self.run(alone, count, dt=_DT, batch=2, feeds={other: part}, precision=precision)
            runs.append(data[wanted])
        expected = np.concatenate(runs, axis=1)
        assert expected.any()
        for cut in ({}, {"block": 5}, {"block": 1, "chunk": 1}):
            found = self.run(
                net, values.shape[1], dt=_DT, batch=2, feeds={stimulus: values},
                precision=precision, **cut,
            )[probe]  # fmt: skip
            reach = 0.0 if self.is_exact() else 64 * EPSILON[precision] * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=reach)

    @both
    def test_draws_go_on(self, precision: Precision) -> None:
        """Random neurons keep nothing over a restart, and do not draw the same numbers again."""
        values = np.full((1, 4 * _EVERY, 5), 0.7)
        found = []
        for every in (_EVERY, None):
            net, stimulus, probe = _restarting(StochasticSpiking(RectifiedLinear()), every)
            feeds = {stimulus: values}
            data = self.run(net, 4 * _EVERY, dt=_DT, feeds=feeds, precision=precision)
            found.append(data[probe])
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.array_equal(found[0][:, :_EVERY], found[0][:, _EVERY : 2 * _EVERY])

    @both
    def test_a_loop_through_a_mean_over_windows(self, precision: Precision) -> None:
        """The loop returns the mean of the window before, as a loop written by hand does."""
        rng = np.random.default_rng(3)
        inner, begun = rng.integers(-4, 5, (3, 3)) / 8.0, (0.5, -0.25, 1.0)
        values = rng.integers(-4, 9, (2, 2 * _EVERY + 3, 3)) / 4.0
        steps = values.shape[1]
        with Network() as net:
            stimulus, back = Node(np.zeros(3)), Node(size_in=3)
            ensemble = cells(3, RectifiedLinear(), bias=0.25)
            Connection(stimulus, ensemble.neurons, None)
            Connection(ensemble.neurons, back, WindowMean(_EVERY, begun))
            Connection(back, ensemble.neurons, None, inner)
            probe, probed = Probe(ensemble.neurons), Probe(back)
        held = np.broadcast_to(np.array(begun), (2, 3))
        expected, means = np.empty((2, steps, 3)), np.empty((2, steps, 3))
        for t in range(steps):
            if t and t % _EVERY == 0:
                held = expected[:, t - _EVERY : t].mean(axis=1)
            means[:, t] = held
            expected[:, t] = np.maximum(values[:, t] + held @ inner.T + 0.25, 0.0)
        runs = [
            self.run(
                net, split, dt=_DT, batch=2, feeds={stimulus: values}, precision=precision, **cut
            )
            for split, cut in ((steps, {}), ((3, steps - 3), {"block": 4}), (steps, {"chunk": 1}))
        ]
        for data in runs:
            atol = 64 * EPSILON[precision] * np.abs(expected).max()
            np.testing.assert_allclose(data[probe], expected, rtol=0, atol=atol)
            np.testing.assert_allclose(data[probed], means, rtol=0, atol=atol)
            if self.is_exact():
                np.testing.assert_array_equal(data[probe], runs[0][probe])

    def test_spikes_in_such_a_loop_are_the_references(self) -> None:
        """A population that starts again and reads its own mean spikes as on the reference."""
        rng = np.random.default_rng(4)
        with Network() as net:
            stimulus, back = Node(np.zeros(6)), Node(size_in=6)
            ensemble = cells(6, RunningMeanSpiking(Tanh()), restart_every=_EVERY, **_GIVEN)
            Connection(stimulus, ensemble.neurons, None, rng.normal(size=(6, 6)))
            Connection(ensemble.neurons, back, WindowMean(_EVERY))
            Connection(back, ensemble.neurons, None, rng.normal(size=(6, 6)) / 3)
            probe = Probe(ensemble.neurons, "spike_count")
        values = np.repeat(rng.normal(size=(3, 5, 6)), _EVERY, axis=1)
        data = self.run(net, 5 * _EVERY, dt=_DT, batch=3, feeds={stimulus: values})
        program = engines.compile_network(net, _DT, 0, "float64")
        execution = Execution(program, engines.get("reference", program), 3)
        (expected,) = execution.run(5 * _EVERY, {stimulus: values})
        assert expected.any()
        self._few_moved(data[probe], expected)

    def _few_moved(self, found: NDArray, expected: NDArray) -> None:
        if self.is_exact():
            np.testing.assert_array_equal(found, expected)
        else:
            assert np.mean(found != expected) < 0.01
