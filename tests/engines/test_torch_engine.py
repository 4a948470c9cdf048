"""The torch engine against the reference engine: the same spikes, within its stated bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from spikewright._base.windows import Windows
from spikewright.engines import Engine, Execution, Precision, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.engines.torch import TorchEngine

both = pytest.mark.parametrize("precision", sw.engines.PRECISIONS)
MOVE = {"float32": 1e-6, "float64": 1e-14}
"""What `TorchEngine.bound` states: how far a sum moves, relative to its terms' magnitudes."""


def run(
    engine: Engine,
    network: sw.Network,
    steps: int,
    *,
    dt: float = 0.001,
    precision: Precision = "float32",
    batch: int = 1,
    feeds: Mapping[sw.Node, NDArray] | None = None,
    tally: Iterable[sw.Ensemble] = (),
    block: int | None = None,
    chunk: int | None = None,
) -> tuple[dict[sw.Probe, NDArray], dict[sw.Ensemble, NDArray]]:
    """Recordings by probe, and totals by ensemble."""
    program = compile_network(network, dt, 0, precision)
    execution = Execution(program, engine, batch, tally, block, chunk)
    arrays = execution.run(steps, feeds)
    recorded = {r.probe: a for r, a in zip(program.recordings, arrays, strict=True)}
    return recorded, execution.totals()


def on_both(
    network: sw.Network, steps: int, **options: Any
) -> Sequence[tuple[dict[sw.Probe, NDArray], dict[sw.Ensemble, NDArray]]]:
    """The same run on the torch engine and on the reference engine."""
    return [run(engine, network, steps, **options) for engine in (CPU, ReferenceEngine())]


CPU = TorchEngine("cpu")


def image_network(
    rng: np.random.Generator, dyadic: bool, scale: float = 1.0
) -> tuple[sw.Network, sw.Node, list[sw.Ensemble], list[sw.Probe]]:
    """Two convolutional layers and a dense one of IF neurons; dyadic weights are sixteenths."""

    def weights(*shape: int) -> NDArray:
        values = rng.normal(0.0, 1.0 / np.sqrt(np.prod(shape[1:])), shape)
        return np.rint(values * 16) / 16 if dyadic else values

    none = ((0, 0), (0, 0))
    with sw.Network(seed=0) as network:
        stimulus = sw.Node(np.zeros((9, 9, 2)))
        layers = [
            sw.Ensemble(
                shape, neuron_type=sw.IntegrateAndFire(), gain=gain, bias=bias, rate_scale=scale,
                initial_voltage="half",
            )
            for shape, gain, bias in (
                ((7, 7, 8), 256.0, 32.0), ((3, 3, 6), 1.0, 32.0), (20, 1.0, 32.0)
            )
        ]  # fmt: skip
        maps = [
            sw.Convolution(weights(8, 2, 3, 3), (1, 1), none, (1, 1), channels_last=True),
            sw.Convolution(weights(6, 8, 3, 3), (2, 2), none, (1, 1), channels_last=True),
        ]
        sw.Connection(stimulus, layers[0].neurons, None, maps[0])
        sw.Connection(layers[0].neurons, layers[1].neurons, None, maps[1])
        flat = sw.Node(size_in=54)
        sw.Connection(layers[1].neurons, flat, None, sw.transforms.Reshape((54,)))
        sw.Connection(flat, layers[2].neurons, None, weights(20, 54))
        probes = [sw.Probe(layer.neurons, "spike_count") for layer in layers]
    return network, stimulus, layers, probes


class TestSpikes:
    """Spikes are those of the reference engine."""

    @both
    @pytest.mark.parametrize("scale", [1.0, pytest.param(3.0, marks=pytest.mark.slow)])
    def test_exact_steps_at_the_smallest_step(self, scale: float, precision: Precision) -> None:
        """dt = 0.0001, input 1: the k-th spike at step ceil(10000 k / s), for ten periods."""
        with sw.Network() as net:
            ensemble = sw.Ensemble(
                1, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0, rate_scale=scale,
                initial_voltage="zero",
            )  # fmt: skip
            sw.Connection(sw.Node([1.0]), ensemble.neurons, None)
            probe = sw.Probe(ensemble.neurons, "spike_count")
        data, _ = run(CPU, net, 100_000, dt=0.0001, precision=precision)
        found = np.flatnonzero(data[probe][0, :, 0]) + 1
        spikes = int(10 * scale)
        assert found.tolist() == [-(-10_000 * k // int(scale)) for k in range(1, spikes + 1)]

    @both
    @pytest.mark.parametrize("dt", [0.001, 2.0**-8])
    @settings(max_examples=8, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1.0, 2.0, 8.0]))
    def test_dyadic_networks_spike_alike(
        self, dt: float, precision: Precision, seed: int, scale: float
    ) -> None:
        """Inputs and weights in sixteenths: every spike of every layer is the reference's."""
        rng = np.random.default_rng(seed)
        net, stimulus, layers, probes = image_network(rng, dyadic=True, scale=scale)
        feeds = {stimulus: rng.integers(-8, 24, (3, 1, 9, 9, 2)) / 16}
        (found, totals), (expected, sums) = on_both(
            net, 40, dt=dt, precision=precision, batch=3, feeds=feeds, tally=layers, chunk=2
        )
        for probe, layer in zip(probes, layers, strict=True):
            np.testing.assert_array_equal(found[probe], expected[probe])
            np.testing.assert_array_equal(totals[layer], sums[layer])
        assert found[probes[0]].any()


class TestParts:
    """Transforms, synapses, functions and loops compute what the reference engine computes."""

    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_convolutions(self, data: st.DataObject) -> None:
        """Any rank, size, stride, padding, dilation, group and layout; as sums over windows too."""
        rank = data.draw(st.integers(1, 3))
        each = st.tuples(
            st.integers(1, 3), st.integers(1, 3), st.tuples(*[st.integers(0, 2)] * 2),
            st.integers(1, 2),
        )  # fmt: skip
        size, stride, padding, dilation = zip(*(data.draw(each) for _ in range(rank)), strict=True)
        groups, inner, outer = (data.draw(st.integers(1, 3)) for _ in range(3))
        last = data.draw(st.booleans())
        extent = tuple(data.draw(st.integers(5, 8)) for _ in range(rank))
        shape = (*extent, groups * inner) if last else (groups * inner, *extent)
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        kernel = rng.normal(size=(groups * outer, inner, *size))
        convolution = sw.Convolution(kernel, stride, padding, dilation, groups, last)
        windows = Windows(size, stride, padding, dilation, data.draw(st.booleans()))
        pool = sw.transforms.SumPool(windows, rng.normal(size=windows.output_extent(extent)), last)
        precision = data.draw(st.sampled_from(sw.engines.PRECISIONS))
        for transform in (convolution, pool):
            self._check_transform(transform, shape, precision)

    def _check_transform(
        self, transform: sw.Transform, shape: tuple[int, ...], precision: Precision
    ) -> None:
        values = np.random.default_rng(3).normal(size=(2, 3, *shape))
        with sw.Network() as net:
            stimulus = sw.Node(np.zeros(shape))
            end = sw.Node(size_in=transform.output_shape(shape))
            sw.Connection(stimulus, end, None, transform)
            probe = sw.Probe(end)
        (found, _), (expected, _) = on_both(
            net, 3, batch=2, precision=precision, feeds={stimulus: values}
        )
        reach = 1e-5 if precision == "float32" else 1e-12
        scale = np.abs(expected[probe]).max(initial=1.0)
        np.testing.assert_allclose(found[probe], expected[probe], rtol=0, atol=reach * scale)


class TestBound:
    """What `TorchEngine.bound` says of cuts: batch, order, time block, chunk of samples."""

    @both
    def test_currents_move_by_rounding_alone(self, precision: Precision) -> None:
        """A long sum moves by less than the stated share of its terms' magnitudes."""
        rng = np.random.default_rng(8)
        matrix = rng.normal(size=(5, 9216))
        values = rng.normal(size=(11, 6, 9216))
        with sw.Network() as net:
            stimulus, end = sw.Node(np.zeros(9216)), sw.Node(size_in=5)
            sw.Connection(stimulus, end, None, matrix)
            probe = sw.Probe(end)
        reach = MOVE[precision] * np.abs(values) @ np.abs(matrix).T
        exact, _ = run(
            ReferenceEngine(), net, 6, batch=11, precision=precision, feeds={stimulus: values}
        )
        for block, chunk in ((6, 11), (1, 1), (5, 3), (2, 11)):
            found, _ = run(
                CPU, net, 6, batch=11, precision=precision, feeds={stimulus: values}, block=block,
                chunk=chunk,
            )  # fmt: skip
            assert np.all(np.abs(found[probe] - exact[probe]) <= reach)

    @both
    @pytest.mark.parametrize("held", [True, False])
    def test_spikes_of_cut_runs(self, held: bool, precision: Precision) -> None:
        """float64: the same spikes; float32: within one where the input is the same, few behind."""
        rng = np.random.default_rng(9)
        net, stimulus, _, probes = image_network(rng, dyadic=False)
        steps, batch = 60, 10
        fed = rng.normal(0.4, 0.5, (batch, 1 if held else steps, 9, 9, 2))
        order = rng.permutation(batch)

        def go(samples: Any, **cut: int) -> list[NDArray]:
            feeds = {stimulus: fed[samples]}
            data, _ = run(
                CPU, net, steps, batch=len(feeds[stimulus]), feeds=feeds, precision=precision, **cut
            )
            return [data[probe].astype(np.float64) for probe in probes]

        whole = go(slice(None))
        cuts = [
            (order, go(order)),
            ([4], go([4])),
            (slice(None), go(slice(None), block=7, chunk=3)),
            (slice(None), go(slice(None), block=1)),
        ]
        for samples, found in cuts:
            for depth, (a, b) in enumerate(zip(found, whole, strict=True)):
                apart = a - b[samples]
                if precision == "float64":
                    assert not apart.any()
                elif depth == 0:
                    assert np.abs(np.cumsum(apart, axis=1)).max() <= 1.0
                else:
                    assert np.abs(apart).sum() <= 1e-3 * b.sum()
        assert min(layer.sum() for layer in whole) > 300
