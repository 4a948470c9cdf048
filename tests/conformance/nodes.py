"""Nodes, their functions of present values and of running means, and recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.base import EPSILON, Suite, both, in_turn
from conformance.mixed import MixedNetwork
from spikewright._base.equations import NUMPY
from spikewright._base.windows import Windows
from spikewright.engines import Execution, Precision
from spikewright.errors import SimulationError
from spikewright.network import Connection, MaxPool, Network, Node, NodeFunction, Probe
from spikewright.testing.layers import FunctionExample, function_examples
from spikewright.testing.modelling import sent_of


class NodeTests(Suite):
    """Sources, functions and recordings."""

    def test_functions_of_time_and_input(self) -> None:
        """`f(t)` and `f(t, x)` are called in the order of time, all samples of a step together."""
        times: list[float] = []
        calls: list[tuple[float, float]] = []

        def ramp(t: float) -> list[float]:
            times.append(t)
            return [t, -t]

        def mix(t: float, x: NDArray) -> list[float]:
            calls.append((t, x[0] - t))
            return [x[0] * t, x[1] + 1.0, x[0] - x[1]]

        with Network() as net:
            source, stimulus = Node(ramp), Node([0.0])
            mixed = Node(mix, size_in=2, stateless=True)
            Connection(source, mixed, None)
            Connection(stimulus, mixed[0], None)
            probe = Probe(mixed)
        times.clear()
        calls.clear()
        fed = np.array([[[1.0]], [[2.0]]])
        data = self.run(net, (3, 2), batch=2, feeds={stimulus: fed}, block=2, chunk=1)
        t = 0.125 * np.arange(1, 6)
        assert times == t.tolist()
        assert calls == [(step, sample) for step in t.tolist() for sample in (1.0, 2.0)]
        for sample, extra in enumerate((1.0, 2.0)):
            x0, x1 = t + extra, -t
            expected = np.stack([x0 * t, x1 + 1.0, x0 - x1], axis=1)
            np.testing.assert_allclose(data[probe][sample], expected, rtol=1e-12)

    def test_constants_of_some_steps_come_at_once(self) -> None:
        """All of the first steps in the first of them; later steps as ever, in every block.

        So it is with a node's own value and with what it is fed, which must be held.
        """
        with Network() as net:
            own, fed = Node([3.0, -1.0], at_once=3), Node([0.0], at_once=4)
            probes = Probe(own), Probe(fed)
        held = np.array([[[1.5]], [[-2.0]]])
        data = self.run(net, (2, 3), batch=2, feeds={fed: held}, block=2, chunk=1)
        shares = [3.0, 0.0, 0.0, 1.0, 1.0], [4.0, 0.0, 0.0, 0.0, 1.0]
        values = np.array([[[3.0, -1.0]]] * 2), held
        for probe, value, share in zip(probes, values, shares, strict=True):
            np.testing.assert_array_equal(data[probe], np.array(share)[:, None] * value)
        with pytest.raises(SimulationError, match="all of 4 steps comes at once, got values for 5"):
            self.run(net, (5,), batch=2, feeds={fed: np.ones((2, 5, 1))})

    @pytest.mark.parametrize("fault", ["shape", "nan", "error"])
    def test_misbehaving_functions_are_named(self, fault: str) -> None:
        """A function that fails, or returns NaN or the wrong shape, is named with the time."""

        def bad(t: float, x: NDArray) -> Any:
            if t < 0.3:
                return x
            if fault == "error":
                raise RuntimeError("no more")
            return [1.0, 2.0] if fault == "shape" else [np.nan]

        with Network() as net:
            stimulus, node = Node([1.0]), Node(bad, size_in=1, size_out=1, label="culprit")
            Connection(stimulus, node, None)
            Probe(node)
        with pytest.raises(SimulationError, match=r"culprit.*t = 0\.375 s"):
            self.run(net, 5)

    @both
    def test_max_pool(self, precision: Precision) -> None:
        """The maximum over windows, padding never chosen; accumulated, the maximum of the sums."""
        steps, shape = 5, (2, 5, 4)
        windows = Windows((3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1))
        values = np.random.default_rng(8).integers(-9, 10, (2, steps, *shape)) / 4.0
        with Network() as net:
            stimulus = Node(np.zeros(shape))
            nodes = [Node(MaxPool(windows, accumulate=a), size_in=shape) for a in (False, True)]
            for node in nodes:
                Connection(stimulus, node, None)
            plain, summed = map(Probe, nodes)
        data = self.run(net, (2, 3), batch=2, feeds={stimulus: values}, precision=precision)
        padded = np.pad(values, ((0, 0),) * 3 + ((1, 1), (0, 1)), constant_values=-np.inf)
        sums = np.pad(
            np.cumsum(values, axis=1), ((0, 0),) * 3 + ((1, 1), (0, 1)), constant_values=-np.inf
        )
        expected, reached = (
            np.stack(
                [
                    np.stack([a[..., r : r + 3, c : c + 2].max((-2, -1)) for c in range(4)], -1)
                    for r in (0, 2, 4)
                ],
                -2,
            )
            for a in (padded, sums)
        )
        np.testing.assert_array_equal(data[plain], expected)
        np.testing.assert_array_equal(data[summed], np.diff(reached, axis=1, prepend=0.0))

    def test_recordings_are_thinned_across_runs(self) -> None:
        """`sample_every` counts the steps of the simulation, not those of a run."""
        with Network() as net:
            node = Node(lambda t: [t])
            probe, held = Probe(node, sample_every=0.375), Probe(Node([2.0]), sample_every=0.375)
        data = self.run(net, (2, 5, 1, 4), block=2)
        np.testing.assert_allclose(data[probe][0, :, 0], [0.375, 0.75, 1.125, 1.5])
        np.testing.assert_array_equal(data[held][0, :, 0], [2.0] * 4)

    def test_tallies_are_sums_of_what_is_recorded(self) -> None:
        """Totals of a population are its spikes, of rate neurons their summed rates.

        Without their sign and with it; the same array where none is negative. What receivers take
        as sent is not sent.
        """
        mixed = MixedNetwork()
        program, engine = self.compiled(mixed.network, mixed.dt)
        execution = Execution(program, engine, 3, program.parameters)
        arrays = execution.run(60, {mixed.stimulus: mixed.feed(3, 60)})
        recorded = dict(zip((r.probe for r in program.recordings), arrays, strict=True))
        assert min(recorded[probe].min() for probe in mixed.activity.values()) < 0
        totals, summed = execution.totals(), execution.summed()
        assert set(totals) == set(summed) == set(program.parameters)
        for ensemble, probe in mixed.activity.items():
            expected = sent_of(ensemble.neuron_type, recorded[probe], 1).sum(axis=1)
            np.testing.assert_allclose(totals[ensemble], expected, rtol=1e-9)
            np.testing.assert_array_equal(summed[ensemble].sent, totals[ensemble])
            net = recorded[probe].sum(axis=1)
            np.testing.assert_allclose(summed[ensemble].net, net, rtol=1e-9, atol=1e-9)
            signed = ensemble.neuron_type.negative
            assert (summed[ensemble].net is summed[ensemble].sent) != signed


class FunctionTests(Suite):
    """Every registered node function."""

    @in_turn(function_examples())
    def test_function_of_present_values(
        self, example: FunctionExample, precision: Precision
    ) -> None:
        """A node applies its function to the input of every step."""
        values = example.values(2, 5)
        found = self._run_function(example.function, values, precision)
        expected = example.function.apply(NUMPY, values)
        reach = 64 * EPSILON[precision] * max(1.0, float(np.abs(expected).max()) ** 2)
        np.testing.assert_allclose(found, expected, rtol=0, atol=reach)

    @in_turn(function_examples())
    def test_what_has_been_sent_is_the_function_of_the_mean(
        self, example: FunctionExample, precision: Precision
    ) -> None:
        """The sum of all outputs until step t is `t f(mean of the inputs until t)`."""
        steps = 12
        values = example.values(2, steps)
        found = self._run_function(example.accumulating(), values, precision)
        t = np.arange(1, steps + 1).reshape(1, -1, *(1,) * (values.ndim - 2))
        means = example.accumulating().apply(NUMPY, np.cumsum(values, axis=1) / t)
        expected = means * t.reshape(1, -1, *(1,) * (means.ndim - 2))
        reach = 256 * EPSILON[precision] * max(1.0, float(np.abs(expected).max()) ** 2)
        sent = np.cumsum(found.astype(np.float64), axis=1)
        np.testing.assert_allclose(sent, expected, rtol=0, atol=reach)

    @in_turn(function_examples(), "accumulate", (False, True))
    def test_functions_do_not_depend_on_how_the_work_is_cut(
        self, example: FunctionExample, accumulate: bool
    ) -> None:
        """Batch, order, blocks and runs change nothing, of an exact engine not a bit."""
        values = example.values(5, 12)
        function = example.accumulating() if accumulate else example.function
        whole = self._run_function(function, values)
        order = [3, 0, 4, 1, 2]
        scale = max(1.0, float(np.abs(whole).max()) ** 2)
        for found, expected in (
            (self._run_function(function, values[order]), whole[order]),
            (self._run_function(function, values[2:3]), whole[2:3]),
            (self._run_function(function, values, steps=(5, 7), block=3), whole),
            (self._run_function(function, values, chunk=2, block=1), whole),
        ):
            if self.is_exact():
                np.testing.assert_array_equal(found, expected)
            else:
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * scale)

    def test_nothing_is_sent_while_a_function_is_not_finite(self) -> None:
        """A divisor of zero sends nothing; the missing amount leaves once a quotient exists."""
        example = next(e for e in function_examples() if e.id == "divide")
        values = example.values(1, 6)
        values[:, :2, 6:] = 0.0
        found = self._run_function(example.accumulating(), values)
        assert not found[:, :2].any()
        mean = values.mean(axis=1)
        expected = 6 * mean[:, :6].reshape(1, 2, 3) / mean[:, 6:].reshape(1, 1, 3)
        np.testing.assert_allclose(found.sum(axis=1), expected, rtol=1e-9)

    def _run_function(
        self,
        function: NodeFunction,
        values: NDArray,
        precision: Precision = "float64",
        steps: Any = None,
        **cut: int,
    ) -> NDArray:
        with Network() as net:
            stimulus = Node(np.zeros(values.shape[2:]))
            node = Node(function, size_in=values.shape[2:])
            Connection(stimulus, node, None)
            probe = Probe(node)
        count = values.shape[1] if steps is None else steps
        data = self.run(
            net, count, batch=len(values), feeds={stimulus: values}, precision=precision, **cut
        )
        return data[probe]
