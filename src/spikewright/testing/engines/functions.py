"""Functions of nodes, on present values and on running means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.engines import Precision
from spikewright.network import Connection, Network, Node, NodeFunction, Probe
from spikewright.testing.engines.base import EPSILON, Suite, in_turn
from spikewright.testing.functions import FunctionExample, function_examples


class FunctionTests(Suite):
    """Every registered node function."""

    @in_turn(function_examples())
    def test_function_of_present_values(
        self, example: FunctionExample, precision: Precision
    ) -> None:
        """A node applies its function to the input of every step."""
        values = example.values(2, 5)
        found = self._run(example.function, values, precision)
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
        found = self._run(example.accumulating(), values, precision)
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
        whole = self._run(function, values)
        order = [3, 0, 4, 1, 2]
        scale = max(1.0, float(np.abs(whole).max()) ** 2)
        for found, expected in (
            (self._run(function, values[order]), whole[order]),
            (self._run(function, values[2:3]), whole[2:3]),
            (self._run(function, values, steps=(5, 7), block=3), whole),
            (self._run(function, values, chunk=2, block=1), whole),
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
        found = self._run(example.accumulating(), values)
        assert not found[:, :2].any()
        mean = values.mean(axis=1)
        expected = 6 * mean[:, :6].reshape(1, 2, 3) / mean[:, 6:].reshape(1, 1, 3)
        np.testing.assert_allclose(found.sum(axis=1), expected, rtol=1e-9)

    def _run(
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
