"""Every registered neuron type, synapse and transform, against slow and plain versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import Precision
from spikewright.engines.program import Neurons, uniform_draws
from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.testing import oracle
from spikewright.testing.engines.base import EPSILON, Suite, in_turn
from spikewright.testing.modelling import (
    NeuronExample,
    SynapseExample,
    TransformExample,
    neuron_type_examples,
    synapse_examples,
    transform_examples,
)


class PartTests(Suite):
    """Every kind of part obeys its equation."""

    @in_turn(neuron_type_examples())
    def test_neuron_type(self, example: NeuronExample, precision: Precision) -> None:
        """Every neuron type obeys its equation, step by step, for 8 neurons."""
        steps, n = 60, 8
        currents = example.currents(steps, n)
        start = np.arange(n) / n
        with Network() as net:
            stimulus = Node(np.zeros(n))
            ensemble = Ensemble(
                n,
                neuron_type=example.neuron_type,
                gain=1.0,
                bias=0.0,
                rate_scale=example.scale,
                initial_voltage=start,
            )
            Connection(stimulus, ensemble.neurons, None)
            output = Probe(ensemble.neurons)
            voltage = None
            if example.neuron_type.has_voltage:
                voltage = Probe(ensemble.neurons, "voltage")
        feeds = {stimulus: currents[None]}
        data = self.run(net, steps, dt=example.dt, feeds=feeds, precision=precision)
        program, _ = self.compiled(net, example.dt)
        (op,) = (op for op in program.operators if isinstance(op, Neurons))
        skew = example.scale if example.neuron_type.scaling == "skewed" else 1.0
        counts, states = oracle.neuron_outputs(
            example.neuron_type,
            currents * skew,
            start,
            example.dt,
            example.scale,
            lambda step, index: uniform_draws(op.key, step, index, (n,)),
        )
        height = example.neuron_type.amplitude
        if example.neuron_type.spiking:
            height = height / (example.scale * example.dt)
        assert counts.any(), "the example never fires"
        same = example.exact or self.is_exact()
        self._compare(data[output][0], counts * height, height, example, same, precision)
        if voltage is not None and same:
            atol = 1e-4 if precision == "float32" else 1e-9
            np.testing.assert_allclose(data[voltage][0], states["voltage"], rtol=0, atol=atol)

    def _compare(
        self,
        found: NDArray,
        expected: NDArray,
        height: float,
        example: NeuronExample,
        same: bool,
        precision: Precision,
    ) -> None:
        if not example.neuron_type.spiking:
            reach = EPSILON[precision] * max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(found, expected, rtol=0, atol=reach)
        elif same:
            np.testing.assert_array_equal(found, expected.astype(found.dtype))
        else:
            spikes = (found - expected) / height
            assert np.abs(np.cumsum(spikes, axis=0)).max() < 1.5, "a spike moved beyond a step"
            assert np.mean(np.abs(spikes) > 0.5) < 0.01, "more than 1 % of the steps differ"

    @in_turn(e for e in neuron_type_examples() if e.neuron_type.per_neuron)
    def test_neurons_that_differ(self, example: NeuronExample, precision: Precision) -> None:
        """Each neuron obeys the equation with its own parameters, of every type that has such."""
        steps, n = 60, 8
        currents, start = example.currents(steps, n), np.arange(n) / n
        kind: Any = example.neuron_type
        rng = np.random.default_rng(6)
        given = {
            name: getattr(kind, name) * rng.uniform(0.5, 1.5, (2, n // 2))
            for name in kind.per_neuron
        }
        own = [
            replace(kind, **{name: float(values.flat[i]) for name, values in given.items()})
            for i in range(n)
        ]
        with Network() as net:
            stimulus = Node(np.zeros((2, n // 2)))
            cells = Ensemble(
                (2, n // 2), None, neuron_type=replace(kind, **given), gain=1.0, bias=0.0,
                rate_scale=example.scale, initial_voltage=start.reshape(2, -1),
            )  # fmt: skip
            Connection(stimulus, cells.neurons, None)
            output = Probe(cells.neurons)
        fed = {stimulus: currents.reshape(1, steps, 2, -1)}
        found = self.run(net, steps, dt=example.dt, feeds=fed, precision=precision)[output]
        skew = example.scale if kind.scaling == "skewed" else 1.0
        made = [
            oracle.neuron_outputs(
                each, currents[:, [i]] * skew, start[[i]], example.dt, example.scale,
                lambda step, index: np.zeros(1),
            )[0]
            for i, each in enumerate(own)
        ]  # fmt: skip
        counts = np.concatenate(made, axis=1)
        height = kind.amplitude / (example.scale * example.dt if kind.spiking else 1.0)
        assert not np.array_equal(
            counts,
            oracle.neuron_outputs(
                kind, currents * skew, start, example.dt, example.scale,
                lambda step, index: np.zeros(n),
            )[0],
        )  # fmt: skip
        same = example.exact or self.is_exact()
        values = found[0].reshape(steps, n)
        self._compare(values, counts * height, height, example, same, precision)

    @in_turn(synapse_examples())
    def test_synapse(self, example: SynapseExample, precision: Precision) -> None:
        """A synapse filters and delays by one step, on a connection as on a probe."""
        steps, n, dt = 40, 5, 0.001
        values = np.random.default_rng(0).standard_normal((steps, n))
        with Network() as net:
            stimulus, end, wide = Node(np.zeros(n)), Node(size_in=n), Node(size_in=2 * n)
            matrix = np.random.default_rng(1).standard_normal((2 * n, n))
            Connection(stimulus, end, example.synapse)
            Connection(stimulus, wide, example.synapse, matrix)
            plain, mixed = Probe(end), Probe(wide)
            probed = Probe(stimulus, synapse=example.synapse)
        data = self.run(net, steps, dt=dt, feeds={stimulus: values[None]}, precision=precision)
        expected = oracle.behind_synapse(example.synapse, values, dt)
        reach = 8 * EPSILON[precision] * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(data[plain][0], expected, rtol=0, atol=reach)
        np.testing.assert_allclose(data[probed][0], expected, rtol=0, atol=reach)
        wanted = expected @ matrix.T
        np.testing.assert_allclose(data[mixed][0], wanted, rtol=0, atol=8 * n * reach)

    @in_turn(transform_examples())
    def test_transform(self, example: TransformExample, precision: Precision) -> None:
        """Every transform maps analog values and whole numbers as its formula says."""
        rng = np.random.default_rng(3)
        analog = rng.standard_normal((2, 2, *example.shape))
        whole = rng.integers(-3, 4, (1, 2, *example.shape)).astype(np.float64)
        values = np.concatenate([analog, whole])
        transform = example.transform
        with Network() as net:
            stimulus = Node(np.zeros(example.shape))
            end = Node(size_in=transform.output_shape(example.shape))
            Connection(stimulus, end, None, transform)
            probe = Probe(end)
        data = self.run(net, 2, batch=3, feeds={stimulus: values}, precision=precision)
        for found, x in zip(
            data[probe].reshape(6, -1), values.reshape(6, *example.shape), strict=True
        ):
            expected = oracle.apply_transform(transform, x).ravel()
            magnitude = _magnitude(transform) * np.abs(x).sum()
            reach = EPSILON[precision] * magnitude
            np.testing.assert_allclose(found, expected, rtol=0, atol=reach)


def _magnitude(transform: Any) -> float:
    """A bound on the effect of a unit of input on one output."""
    parts = getattr(transform, "parts", (transform,))
    return float(np.prod([max(1.0, np.abs(p.weights).max(initial=0.0)) for p in parts]))
