"""Every registered neuron type, synapse and transform, against slow and plain versions; probes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance import oracle
from conformance.base import EPSILON, Suite, both, cells, in_turn
from spikewright.engines import Precision
from spikewright.engines.build_info import connection_parameters, ensemble_parameters
from spikewright.engines.parameters import uniform_draws
from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.network.neurons import (
    IntegrateAndFire,
    NeuronType,
    RectifiedLinear,
    SpikingRectifiedLinear,
)
from spikewright.network.solvers import LstsqL2
from spikewright.network.synapses import Lowpass, WindowMean
from spikewright.network.transforms import Chain, Transform
from spikewright.testing.modelling import (
    NeuronExample,
    SynapseExample,
    TransformExample,
    neuron_type_examples,
    synapse_examples,
    transform_examples,
)

UNITS = {"float32": 2.0**-24, "float64": 2.0**-44}
"""The error of a sum of `n` terms, relative to `n` times the sum of their magnitudes."""

_STEPS, _N = 60, 8  # of runs of neurons


class PartTests(Suite):
    """Every kind of part obeys its equation."""

    @in_turn(neuron_type_examples())
    def test_neuron_type(self, example: NeuronExample, precision: Precision) -> None:
        """Every neuron type obeys its equation, step by step: what it sends, and all it keeps."""
        currents, start = example.currents(_STEPS, _N), np.arange(_N) / _N
        kind = example.neuron_type
        with Network() as net:
            stimulus, made = _driven(example, kind, start)
            output = Probe(made.neurons)
            names = (*kind.state_names, *kind.made_names)
            wholes = {name: Probe(made.neurons, name) for name in names}
            parts = {name: Probe(made.neurons[1::2], name) for name in names}
        feeds = {stimulus: currents[None]}
        data = self.run(net, _STEPS, dt=example.dt, feeds=feeds, precision=precision)
        program, _ = self.compiled(net, example.dt)
        (op,) = program.neurons.values()

        def draws(step: int, index: int) -> NDArray:
            return uniform_draws(op.key, step, index, (_N,))

        counts, states = _wanted(example, kind, currents, start, draws)
        assert counts.any(), "the example never fires"
        self._compare(data[output][0], counts, example, precision)
        assert set(names) <= set(states)
        for name, probe in wholes.items():
            found, wanted = data[probe][0], states[name]
            np.testing.assert_array_equal(data[parts[name]][0], found[:, 1::2])
            if not self._is_same(example):  # a spike may move by a step, and with it what is kept
                reach = 1e-3 * max(1.0, float(np.abs(wanted).max()))
                assert np.mean(np.abs(found - wanted) > reach) < 0.1
                continue
            reach = 64 * EPSILON[precision] * max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(found, wanted, rtol=0, atol=reach)

    def _is_same(self, example: NeuronExample) -> bool:
        return example.exact or self.is_exact()

    def _compare(
        self, found: NDArray, counts: NDArray, example: NeuronExample, precision: Precision
    ) -> None:
        """What neurons sent is their amplitude, or spikes of their height, times these numbers."""
        height = example.neuron_type.amplitude
        if example.neuron_type.spiking:
            height = height / (example.scale * example.dt)
        expected = counts * height
        if not example.neuron_type.spiking:
            reach = EPSILON[precision] * max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(found, expected, rtol=0, atol=reach)
        elif self._is_same(example):
            np.testing.assert_array_equal(found, expected.astype(found.dtype))
        else:
            spikes = (found - expected) / height
            assert np.abs(np.cumsum(spikes, axis=0)).max() < 1.5, "a spike moved beyond a step"
            assert np.mean(np.abs(spikes) > 0.5) < 0.01, "more than 1 % of the steps differ"

    @in_turn(e for e in neuron_type_examples() if e.neuron_type.per_neuron)
    def test_neurons_that_differ(self, example: NeuronExample, precision: Precision) -> None:
        """Each neuron obeys the equation with its own parameters, of every type that has such."""
        currents, start = example.currents(_STEPS, _N), np.arange(_N) / _N
        kind: Any = example.neuron_type
        rng = np.random.default_rng(6)
        given = {
            name: getattr(kind, name) * rng.uniform(0.5, 1.5, (2, _N // 2))
            for name in kind.per_neuron
        }
        with Network() as net:
            stimulus, made = _driven(example, replace(kind, **given), start.reshape(2, -1))
            output = Probe(made.neurons)
        fed = {stimulus: currents.reshape(1, _STEPS, 2, -1)}
        found = self.run(net, _STEPS, dt=example.dt, feeds=fed, precision=precision)[output]

        def none(step: int, index: int) -> NDArray:
            return np.zeros(1)

        own = [{name: float(values.flat[i]) for name, values in given.items()} for i in range(_N)]
        alone = [
            _wanted(example, replace(kind, **own[i]), currents[:, [i]], start[[i]], none)[0]
            for i in range(_N)
        ]
        counts = np.concatenate(alone, axis=1)
        alike, _ = _wanted(example, kind, currents, start, none)
        assert not np.array_equal(counts, alike)
        self._compare(found[0].reshape(_STEPS, _N), counts, example, precision)

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
        for found, x in self._mapped(transform, values, precision):
            expected = oracle.apply_transform(transform, x).ravel()
            magnitude = _magnitude(transform) * np.abs(x).sum()
            reach = EPSILON[precision] * magnitude
            np.testing.assert_allclose(found, expected, rtol=0, atol=reach)

    @in_turn(transform_examples())
    def test_every_output_is_as_exact_as_its_terms(
        self, example: TransformExample, precision: Precision
    ) -> None:
        """`|y - exact| <= n u sum |w x|` for each output, whatever other weights and inputs are.

        `n` is the number of weights of a sum, those at a border that meet nothing included.

        Weights and inputs are float32 numbers that span twenty-four orders of magnitude; in some
        samples one value alone is not zero, so that a single small weight makes the output.
        """
        rng = np.random.default_rng(5)
        transform = _spread(example.transform, rng)
        values = _sizes(rng, (3, 2, *example.shape)) * rng.choice([-1.0, 1.0], example.shape)
        alone = np.eye(int(np.prod(example.shape)))[:2].reshape(2, *example.shape)
        values[-1] *= alone[rng.permutation(2)]
        for y, x in self._mapped(transform, values, precision):
            exact = oracle.apply_transform(_wide(transform), x.astype(np.longdouble)).ravel()
            sizes = oracle.apply_transform(_absolute(transform), np.abs(x)).ravel()
            terms = oracle.apply_transform(_ones(transform), np.ones(x.shape)).max(initial=1.0)
            bound = terms * UNITS[precision] * sizes
            assert np.all(np.abs(y - exact) <= bound)

    def _mapped(
        self, transform: Transform, values: NDArray, precision: Precision
    ) -> Iterator[tuple[NDArray, NDArray]]:
        """A transform's outputs for each value of samples `(3, 2, *shape)`, flat, and the value."""
        shape = values.shape[2:]
        with Network() as net:
            stimulus, end = Node(np.zeros(shape)), Node(size_in=transform.output_shape(shape))
            Connection(stimulus, end, None, transform)
            probe = Probe(end)
        data = self.run(net, 2, batch=3, feeds={stimulus: values}, precision=precision)
        return zip(data[probe].reshape(6, -1), values.reshape(6, *shape), strict=True)


def _driven(example: NeuronExample, kind: NeuronType, start: NDArray) -> tuple[Node, Ensemble]:
    """Neurons of a type, and the node whose values are their currents."""
    stimulus = Node(np.zeros(start.shape))
    made = cells(start.shape, kind, rate_scale=example.scale, initial_voltage=start)
    Connection(stimulus, made.neurons, None)
    return stimulus, made


def _wanted(
    example: NeuronExample, kind: NeuronType, currents: NDArray, start: NDArray, draws: Any
) -> tuple[NDArray, dict[str, NDArray]]:
    """What the equation makes of currents: counts, and what is kept by name."""
    skew = example.scale if kind.scaling == "skewed" else 1.0
    return oracle.neuron_outputs(kind, currents * skew, start, example.dt, example.scale, draws)


def _magnitude(transform: Any) -> float:
    """A bound on the effect of a unit of input on one output."""
    parts = getattr(transform, "parts", (transform,))
    return float(np.prod([max(1.0, np.abs(p.weights).max(initial=0.0)) for p in parts]))


def _sizes(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    return (10.0 ** rng.uniform(-12.0, 12.0, shape)).astype(np.float32).astype(np.float64)


def _with_arrays(transform: Any, change: Any) -> Any:
    """A transform with other weights: `change(array)` for each array of them."""
    if isinstance(transform, Chain):
        return Chain(tuple(_with_arrays(part, change) for part in transform.parts))
    held = {f.name: getattr(transform, f.name) for f in fields(transform)}
    weights = {
        name: change(value)
        for name, value in held.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }
    return replace(transform, **weights)


def _spread(transform: Transform, rng: np.random.Generator) -> Transform:
    def change(weights: NDArray) -> NDArray:
        signs = np.where(np.asarray(weights) < 0, -1.0, 1.0)
        return signs * _sizes(rng, weights.shape)

    found: Transform = _with_arrays(transform, change)
    return found


def _wide(transform: Transform) -> Any:
    return _with_arrays(transform, lambda weights: weights.astype(np.longdouble))


def _absolute(transform: Transform) -> Any:
    return _with_arrays(transform, np.abs)


def _ones(transform: Transform) -> Any:
    return _with_arrays(transform, lambda weights: np.ones(np.shape(weights)))


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
