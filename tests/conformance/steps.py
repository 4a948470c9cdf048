"""Time steps: the worked example, exact steps, delays, loops, charge; restarts and windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.base import EPSILON, Suite, both, cells
from spikewright import engines
from spikewright._base.windows import Windows
from spikewright.engines import Execution, Precision
from spikewright.network import Connection, Network, Node, Probe
from spikewright.network.neurons import (
    IntegrateAndFire,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
    SpikingRectifiedLinear,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.node_functions import Softmax
from spikewright.network.synapses import Lowpass, WindowMean
from spikewright.network.transforms import Chain, Convolution, Dense, Permute, Reshape, SumPool


class StepTests(Suite):
    """The semantics of a time step."""

    @both
    @pytest.mark.parametrize(
        ("scale", "a", "b"),
        [
            (1.0, [0] * 9 + [10, 0, 0], [0] * 9 + [20, 0, 0]),
            (5.0, [0, 2] * 6, [0, 4] * 6),
            (10.0, [1] * 12, [2] * 12),
        ],
    )
    def test_worked_example(
        self, scale: float, a: list[float], b: list[float], precision: Precision
    ) -> None:
        """`input -x1-> A -x2-> B`: the rows of the worked example, to the last bit."""
        for neuron_type in (IntegrateAndFire(), SpikingRectifiedLinear()):
            with Network() as net:
                stimulus = Node([1.0])
                given = {"rate_scale": scale, "initial_voltage": "zero"}
                first, second = (cells(1, neuron_type, **given) for _ in range(2))
                Connection(stimulus, first.neurons, None, 1.0)
                between = Connection(first.neurons, second.neurons, None, 2.0)
                probes = [Probe(first.neurons), Probe(second.neurons), Probe(between)]
            data = self.run(net, 12, dt=0.1, precision=precision)
            assert data[probes[0]][0, :, 0].tolist() == a
            assert data[probes[1]][0, :, 0].tolist() == b
            assert data[probes[2]][0, :, 0].tolist() == [2.0 * value for value in a]

    @both
    @pytest.mark.parametrize("period", [10, 100, 1000])
    def test_first_spikes_fall_where_exact_arithmetic_puts_them(
        self, period: int, precision: Precision
    ) -> None:
        """Gain 1, input 1, start 0: spikes at 1/dt and every 1/dt steps, for ten periods."""
        self._check_periods(period, precision)

    @pytest.mark.slow
    def test_first_spikes_at_the_smallest_step(self) -> None:
        """The same for dt = 0.0001, in single precision: thirty thousand steps."""
        self._check_periods(10_000, "float32", spikes=3)

    def _check_periods(self, period: int, precision: Precision, spikes: int = 10) -> None:
        with Network() as net:
            stimulus = Node([1.0])
            neuron_types = (IntegrateAndFire(), SpikingRectifiedLinear())
            probes = []
            for neuron_type in neuron_types:
                ensemble = cells(1, neuron_type, initial_voltage="zero")
                Connection(stimulus, ensemble.neurons, None)
                probes.append(Probe(ensemble.neurons, "spike_count"))
        data = self.run(net, spikes * period, dt=1.0 / period, precision=precision)
        for probe in probes:
            found = np.flatnonzero(data[probe][0, :, 0]) + 1
            assert found.tolist() == [period * k for k in range(1, spikes + 1)]

    @both
    def test_delays(self, precision: Precision) -> None:
        """No synapse is no delay; a synapse of 0 s is one step; filters lag one step each."""
        rows: dict[Any, list[float]] = {
            None: [1, 1, 1, 1, 1, 1],
            0: [0, 0, 1, 1, 1, 1],
            0.005: [0, 0, 0.0329, 0.0867, 0.1527, 0.2249],
        }
        for synapse, row in rows.items():
            with Network() as net:
                stimulus = Node([1.0])
                first, second = (cells(1, RectifiedLinear()) for _ in range(2))
                Connection(stimulus, first.neurons, synapse)
                Connection(first.neurons, second.neurons, synapse)
                probe, lagging = Probe(second.neurons), Probe(stimulus, synapse=0.01)
            data = self.run(net, 6, dt=0.001, precision=precision)
            np.testing.assert_allclose(data[probe][0, :, 0], row, rtol=0, atol=6e-5)
            expected = [0, 0.09516258, 0.18126925, 0.25918178, 0.32967995, 0.39346934]
            np.testing.assert_allclose(data[lagging][0, :, 0], expected, atol=1e-6)

    @both
    @pytest.mark.parametrize("synapse", [0, 0.004])
    def test_recurrent_connection(self, synapse: float, precision: Precision) -> None:
        """A loop through a synapse runs step by step, as a loop written by hand does."""
        steps, n = 40, 3
        rng = np.random.default_rng(5)
        inner = rng.integers(-4, 5, (n, n)) / 8.0
        with Network() as net:
            stimulus = Node(np.zeros(n))
            ensemble = cells(n, RectifiedLinear(), gain=2.0, bias=0.25)
            Connection(stimulus, ensemble.neurons, None)
            Connection(ensemble.neurons, ensemble.neurons, synapse, inner)
            probe = Probe(ensemble.neurons)
        values = rng.integers(-4, 9, (steps, n)) / 4.0
        data = self.run(net, steps, dt=0.001, feeds={stimulus: values[None]}, precision=precision)
        f = Lowpass(float(synapse)).discretise(0.001)
        decay, share = f.A[0, 0], f.B[0]
        back, expected = np.zeros(n), []
        for value in values:
            y = np.maximum(2.0 * (value + back) + 0.25, 0.0)
            expected.append(y)
            back = decay * back + share * (inner @ y)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            data[probe][0], expected, rtol=0, atol=64 * EPSILON[precision] * scale
        )

    @both
    def test_gain_bias_amplitude_and_scale_per_neuron(self, precision: Precision) -> None:
        """Gain, bias and scale may differ from neuron to neuron; several inputs add up."""
        steps, shape = 16, (2, 3)
        rng = np.random.default_rng(6)
        gain, bias = rng.integers(1, 5, shape) / 2.0, rng.integers(-4, 9, (3,)) / 4.0
        scale = 2.0 ** rng.integers(-1, 4, shape)
        with Network() as net:
            one, two = Node(rng.integers(0, 9, shape) / 2.0), Node(rng.integers(0, 9, shape) / 2.0)
            given = {"gain": gain, "bias": bias, "rate_scale": scale, "initial_voltage": "half"}
            ensemble = cells(shape, IntegrateAndFire(amplitude=0.5), **given)
            Connection(one, ensemble.neurons, None)
            Connection(two, ensemble.neurons, None)
            end = Node(size_in=shape)
            Connection(ensemble.neurons, end, None)
            probes = [Probe(end), Probe(ensemble.neurons), Probe(ensemble.neurons, "input")]
        data = self.run(net, steps, precision=precision)
        current = gain * (one.output + two.output) + bias  # type: ignore[operator]
        integral = 0.5 + scale * 0.125 * current * np.arange(1, steps + 1)[:, None, None]
        total = np.maximum.accumulate(np.maximum(np.floor(integral), 0.0))
        counts = np.diff(total, axis=0, prepend=0.0)
        height = 0.5 / (scale * 0.125)
        for probe, expected in zip(
            probes, (counts * height, counts * height, scale * current), strict=True
        ):
            found = data[probe][0]
            np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))

    @both
    def test_spikes_keep_their_height_on_any_way(self, precision: Precision) -> None:
        """Through reshapes, pools, junctions and filters, of one height or of several, added up."""
        steps, dt = 12, 0.001
        rng = np.random.default_rng(4)
        current = rng.integers(1, 9, (2, 4, 6)) * 100.0
        with Network() as net:
            stimulus = Node(current)
            made = [
                cells((2, 4, 6), IntegrateAndFire(a), rate_scale=scale, initial_voltage="half")
                for a, scale in ((1.0, 3.0), (1.0, 3.0), (0.7, 7.0))
            ]
            for ensemble in made:
                Connection(stimulus, ensemble.neurons, None)
            moved, pooled = Node(size_in=(4, 2, 6)), Node(size_in=(4, 1, 3))
            mixed, late, end = Node(size_in=(2, 4, 6)), Node(size_in=(4, 1, 3)), Node(size_in=5)
            for ensemble in made[:2]:  # of one height, and so a count where they meet
                Connection(ensemble.neurons, moved, None, Permute((1, 0, 2)))
            windows = Windows((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
            Connection(moved, pooled, None, SumPool(windows, np.array(0.25)))
            Connection(pooled, late, 0, 2.0)
            for ensemble in made[1:]:  # of two heights
                Connection(ensemble.neurons, mixed, None)
            matrix = rng.standard_normal((5, 12))
            Connection(pooled, end, None, Chain((Reshape((12,)), Dense(matrix))))
            Connection(mixed[0, :2], end, None, Chain((Reshape((12,)), Dense(matrix))))
            probes = [Probe(node) for node in (moved, pooled, mixed, late, end)]
            spikes = [Probe(ensemble.neurons) for ensemble in made]
        data = self.run(net, steps, dt=dt, precision=precision)
        one, two, three = (data[probe][0].astype(np.float64) for probe in spikes)
        heights = [1.0 / (3.0 * dt), 1.0 / (3.0 * dt), 0.7 / (7.0 * dt)]
        for values, height in zip((one, two, three), heights, strict=True):
            np.testing.assert_allclose(values / height, np.rint(values / height), atol=1e-4)
            assert values.any()
        both_moved = (one + two).transpose(0, 2, 1, 3)
        halves = both_moved[:, :, :, 0::2] + both_moved[:, :, :, 1::2]
        pool = 0.25 * halves.sum(axis=2, keepdims=True)
        delayed = np.concatenate([np.zeros((1, 4, 1, 3)), 2.0 * pool[:-1]])
        last = (pool.reshape(steps, 12) + (two + three)[:, 0, :2].reshape(steps, 12)) @ matrix.T
        for probe, expected in zip(
            probes, (both_moved, pool, two + three, delayed, last), strict=True
        ):
            reach = 64 * EPSILON[precision] * np.abs(expected).max()
            np.testing.assert_allclose(data[probe][0], expected, rtol=0, atol=reach)

    @both
    def test_neurons_of_one_population_may_differ_in_height(self, precision: Precision) -> None:
        """Behind weights and filters arrives their result for spikes times heights."""
        steps, rng, dt = 60, np.random.default_rng(9), 0.01
        kernel, matrix = rng.standard_normal((3, 2, 2, 2)), rng.standard_normal((5, 18))
        with Network() as net:
            bias, scale = rng.uniform(20.0, 90.0, (2, 3, 3)), np.array([2.0, 7.0]).reshape(2, 1, 1)
            ensemble = cells((2, 3, 3), IntegrateAndFire(), bias=bias, rate_scale=scale)
            filtered, flat, late = Node(size_in=(3, 2, 2)), Node(size_in=5), Node(size_in=5)
            flattened = Chain((Reshape((18,)), Dense(matrix)))
            Connection(ensemble.neurons, filtered, None, Convolution(kernel))
            Connection(ensemble.neurons, flat, None, flattened)
            Connection(ensemble.neurons, late, 0, flattened)
            probes = [Probe(node) for node in (filtered, flat, late)]
            spikes = Probe(ensemble.neurons)
        data = self.run(net, steps, dt=dt, precision=precision)
        values = data[spikes][0].astype(np.float64)
        counts = values * (scale * dt)
        np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)
        assert counts.any(axis=0).all()
        windows = np.lib.stride_tricks.sliding_window_view(values, (2, 2), axis=(2, 3))
        behind = values.reshape(steps, 18) @ matrix.T
        expected = [
            np.einsum("tcijkl,ockl->toij", windows, kernel),
            behind,
            np.concatenate([np.zeros((1, 5)), behind[:-1]]),
        ]
        for probe, wanted in zip(probes, expected, strict=True):
            reach = 64 * EPSILON[precision] * np.abs(wanted).max()
            np.testing.assert_allclose(data[probe][0], wanted, rtol=0, atol=reach)

    @both
    def test_charge_is_conserved(self, precision: Precision) -> None:
        """`v = v0 + s dt sum J - spikes`, whatever the current."""
        steps, n = 200, 16
        values = np.random.default_rng(7).normal(1.0, 20.0, (steps, n))
        with Network() as net:
            stimulus = Node(np.zeros(n))
            ensemble = cells(n, IntegrateAndFire(), rate_scale=3.0)
            Connection(stimulus, ensemble.neurons, None)
            counts, voltage = (Probe(ensemble.neurons, a) for a in ("spike_count", "voltage"))
        data = self.run(net, steps, dt=0.01, feeds={stimulus: values[None]}, precision=precision)
        program, _ = self.compiled(net, 0.01)
        start = program.parameters[ensemble].initial_voltage
        balance = start + 3.0 * 0.01 * np.cumsum(values, axis=0)
        found = data[voltage][0] + np.cumsum(data[counts][0], axis=0)
        atol = 1e-3 if precision == "float32" else 1e-9
        np.testing.assert_allclose(found, balance, rtol=0, atol=atol)


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
