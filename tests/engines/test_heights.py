"""Spikes of one population may differ in height: where weights follow they stay counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright import engines
from spikewright._base.windows import Windows
from spikewright.engines.reference.linear import matrix_of
from spikewright.engines.spike_scaling import absorb_heights, apply_heights
from spikewright.errors import NetworkError
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Reshape,
    Shape,
    Slice,
    Sparse,
    SumPool,
    Transform,
)

RNG = np.random.default_rng(0)


def sparse(size: int, shape_out: Shape) -> Sparse:
    """Some entries of a map of `size` inputs."""
    rows, columns = RNG.integers(0, int(np.prod(shape_out)), 9), RNG.integers(0, size, 9)
    return Sparse(rows, columns, RNG.normal(size=9), shape_out, size)


def convolution(inner: int, groups: int = 1, last: bool = False) -> Convolution:
    """Three filters a group, of 2 x 2 pixels."""
    return Convolution(
        RNG.normal(size=(3 * groups, inner, 2, 2)), groups=groups, channels_last=last
    )


CHAINS: dict[str, tuple[Shape, Shape, tuple[Transform, ...]]] = {
    "dense": ((6,), (6,), (Dense(RNG.normal(size=(3, 6))),)),
    "dense, flattened": ((2, 3), (2, 3), (Reshape((6,)), Dense(RNG.normal(size=(3, 6))))),
    "dense along an axis": ((2, 3), (3,), (Dense(RNG.normal(size=(4, 3))),)),
    "convolution": ((2, 4, 4), (2, 1, 1), (convolution(2),)),
    "convolution, groups": ((4, 3, 3), (4, 1, 1), (convolution(2, groups=2),)),
    "convolution, channels last": ((4, 4, 2), (2,), (convolution(2, last=True),)),
    "convolution, axes moved": ((4, 4, 2), (2,), (Permute((2, 0, 1)), convolution(2))),
    "sparse": ((2, 3), (2, 3), (sparse(6, (4,)),)),
    "two maps": ((6,), (6,), (Dense(RNG.normal(size=(3, 6))), Dense(RNG.normal(size=(2, 3))))),
}
"""Shape, shape of the heights, chain of transforms."""


@pytest.mark.parametrize("name", CHAINS)
def test_weights_take_heights_up(name: str) -> None:
    """Of counts, the new chain gives what the old one gives of counts times heights."""
    shape, of_heights, chain = CHAINS[name]
    heights = RNG.uniform(0.5, 2.0, of_heights)
    found = absorb_heights(chain, heights, shape)
    assert found is not None
    taken = [*found.chain]
    if found.heights is not None:
        place = next(i for i, one in enumerate(taken) if isinstance(one, Dense | Convolution))
        assert taken[place] is chain[place]  # not copied before an engine makes its form of it
        taken[place] = apply_heights(taken[place], found.heights)
    expected = matrix_of(chain, shape) * np.broadcast_to(heights, shape).ravel()
    np.testing.assert_allclose(matrix_of(tuple(taken), shape), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "weights", [Dense(np.full((3, 2), 1e200)), Convolution(np.full((3, 2, 2, 2), 10.0))]
)
def test_products_beyond_all_numbers_are_refused(weights: Transform) -> None:
    """When a program is made, and not where an engine makes its form of the weights."""
    of_heights = (2,) if isinstance(weights, Dense) else (2, 1, 1)
    with pytest.raises(NetworkError, match="not finite"), np.errstate(over="ignore"):
        absorb_heights((weights,), np.full(of_heights, 1e308), (2, 4, 4)[: len(of_heights)])


@pytest.mark.parametrize(
    ("chain", "of_heights"),
    [
        ((), (2, 4, 4)),
        ((Reshape((32,)),), (2, 1, 1)),
        ((SumPool(Windows((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))),), (2, 1, 1)),
        ((AxisMap(np.ones((2, 4)), 1),), (2, 1, 1)),
        ((convolution(2),), (2, 4, 4)),
        ((Dense(np.ones((3, 4))),), (2, 1, 1)),
    ],
)
def test_weights_that_neurons_share_cannot(chain: tuple[Transform, ...], of_heights: Shape) -> None:
    """No weights at all, or the same ones for neurons that differ: values are made first."""
    heights = RNG.uniform(0.5, 2.0, of_heights)
    assert absorb_heights(chain, heights, (2, 4, 4)) is None


def network(heights_differ: bool) -> sw.Network:
    """Two convolutions between neurons whose channels may have scales of their own."""
    scales = np.array([50.0, 80.0]).reshape(2, 1, 1) if heights_differ else 50.0
    with sw.Network(seed=1) as net:
        image = sw.Node(RNG.uniform(0.0, 1.0, (2, 4, 4)))
        spiking = {"neuron_type": sw.IntegrateAndFire(), "gain": 1.0, "bias": 0.0}
        first = sw.Ensemble((2, 4, 4), None, rate_scale=scales, **spiking)
        second = sw.Ensemble((3, 3, 3), None, rate_scale=200.0, **spiking)
        sw.Connection(image, first.neurons, synapse=None)
        sw.Connection(first.neurons, second.neurons, transform=convolution(2), synapse=None)
        sw.Probe(second.neurons)
    return net


@pytest.mark.skipif("native" not in engines.available(), reason="no compiler")
@pytest.mark.parametrize("heights_differ", [False, True])
def test_natively_a_layer_behind_several_heights_reads_events(heights_differ: bool) -> None:
    """As it does behind one; no operator makes values of the spikes."""
    with sw.Simulator(network(heights_differ), engine="native", progress=False) as sim:
        kernels = {row.operator: row.kernel for row in sim.plan}
    (layer,) = (kernel for kernel in kernels.values() if "Convolution" in kernel)
    assert layer == "native: Convolution of events"
    assert not any("heights" in operator for operator in kernels)


@pytest.mark.parametrize("engine", engines.available())
def test_heights_pass_junctions_that_move_spikes(engine: str) -> None:
    """Weights behind them take the heights up, and give what they give of values; sums do not."""
    weights, bias = RNG.normal(size=(2, 3)), RNG.uniform(20.0, 90.0, (4, 3))

    def answers(junctions: bool, added: bool = False) -> tuple[NDArray, list[str]]:
        with sw.Network(seed=1) as net:
            first = sw.Ensemble(
                (4, 3), None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=bias
            )
            first.rate_scale = np.array([1.0, 3.0, 7.0])
            turned, cut = sw.Node(size_in=(3, 4)), sw.Node(size_in=(3, 2))
            back, out = sw.Node(size_in=(2, 3)), sw.Node(size_in=(2 if junctions else 4, 2))
            if junctions:
                sw.Connection(first.neurons, turned, None, Permute((1, 0)))
                sw.Connection(turned, cut, None, Slice(((0, 3, 1), (1, 3, 1))))
                sw.Connection(cut, back, None, Permute((1, 0)))
            if added:
                sw.Connection(sw.Node(np.ones((2, 3))), back, None)
            sw.Connection(back if junctions else first.neurons, out, None, Dense(weights))
            probe = sw.Probe(out)
        with sw.Simulator(net, engine=engine, progress=False) as sim:
            sim.run_steps(200)
            return sim.data[probe], [row.operator for row in sim.plan]

    found, operators = answers(True)
    np.testing.assert_array_equal(found, answers(False)[0][:, 1:3])
    assert np.any(found) and not any("heights" in operator for operator in operators)
    assert any("heights" in operator for operator in answers(True, added=True)[1])


def test_a_mean_over_windows_is_one_of_values() -> None:
    """Its initial values are no counts, so heights stay in front of it."""
    with sw.Network(seed=1) as net:
        first = sw.Ensemble(2, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=[30.0, 70.0])
        first.rate_scale = np.array([1.0, 3.0])
        out = sw.Node(size_in=1)
        mean = sw.WindowMean(10, initial=(5.0, 7.0))
        sw.Connection(first.neurons, out, transform=[[1.0, 2.0]], synapse=mean)
        probe = sw.Probe(out)
    with sw.Simulator(net, engine="reference", progress=False) as sim:
        sim.run_steps(1000)
    np.testing.assert_allclose(sim.data[probe][:10], 5.0 + 2.0 * 7.0)
    assert sim.data[probe][500:].mean() == pytest.approx(30.0 + 2.0 * 70.0, rel=0.02)


def maxima(
    scale: float | np.ndarray, *, accumulate: bool, last: bool = False, kind: object = None
) -> tuple[sw.Network, dict[str, sw.Probe]]:
    """Two channels of 4 x 4 neurons, their maxima over 2 x 2 of them, and a convolution behind."""
    shape = (4, 4, 2) if last else (2, 4, 4)
    windows = Windows((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    with sw.Network(seed=1) as net:
        image = sw.Node(np.random.default_rng(3).uniform(0.0, 1.0, shape))
        spiking = {"neuron_type": kind or sw.IntegrateAndFire(), "gain": 1.0, "bias": 0.0}
        first = sw.Ensemble(shape, None, rate_scale=scale, **spiking)
        pool = sw.Node(sw.MaxPool(windows, last, accumulate), size_in=shape)
        spiking["neuron_type"] = sw.IntegrateAndFire()
        second = sw.Ensemble((1, 1, 3) if last else (3, 1, 1), None, rate_scale=200.0, **spiking)
        weights = np.random.default_rng(4).normal(0.3, 0.5, (3, 2, 2, 2))
        sw.Connection(image, first.neurons, synapse=None)
        sw.Connection(first.neurons, pool, synapse=None)
        sw.Connection(pool, second.neurons, None, Convolution(weights, channels_last=last))
        probes = {
            "spikes": sw.Probe(first.neurons),
            "arriving": sw.Probe(pool, "input"),
            "pool": sw.Probe(pool),
            "current": sw.Probe(second.neurons, "input"),
        }
    return net, probes


PER_CHANNEL = np.array([50.0, 80.0]).reshape(2, 1, 1)
SCALES: dict[str, tuple[float | np.ndarray, bool]] = {
    "one height": (50.0, False),
    "one a channel": (PER_CHANNEL, False),
    "one a channel, channels last": (PER_CHANNEL.ravel(), True),
    "one a neuron": (np.random.default_rng(5).uniform(40.0, 90.0, (2, 4, 4)), False),
}


@pytest.mark.parametrize(
    ("name", "engine", "accumulate"), in_turn(2 * [*SCALES], engines.available(), [False, True])
)
def test_maxima_of_counts_are_those_of_values(engine: str, name: str, accumulate: bool) -> None:
    """What a pool takes and sends are values to every probe, and to what reads them."""
    scale, last = SCALES[name]
    net, probes = maxima(scale, accumulate=accumulate, last=last)
    with sw.Simulator(net, engine=engine, progress=False) as sim:
        sim.run_steps(40)
    data = {n: sim.data[p] for n, p in probes.items()}
    np.testing.assert_allclose(data["arriving"], data["spikes"], rtol=1e-6)
    values = data["spikes"] if not last else np.moveaxis(data["spikes"], -1, 1)
    sums = np.cumsum(values, axis=0) if accumulate else values
    largest = sums.reshape(40, 2, 2, 2, 2, 2).max(axis=(3, 5))
    expected = np.diff(largest, axis=0, prepend=0.0) if accumulate else largest
    found = data["pool"] if not last else np.moveaxis(data["pool"], -1, 1)
    assert np.count_nonzero(expected) > 10
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())
    kernel = np.random.default_rng(4).normal(0.3, 0.5, (3, 2, 2, 2))
    currents = 200.0 * np.einsum("ocyx,tcyx->to", kernel, expected)
    np.testing.assert_allclose(data["current"].reshape(40, 3), currents, atol=1e-4 * currents.max())


@pytest.mark.skipif("native" not in engines.available(), reason="no compiler")
@pytest.mark.parametrize("name", SCALES)
def test_natively_maxima_of_spikes_stay_counts(name: str) -> None:
    """Where the neurons of a window are of one height, the layer behind them reads events."""
    scale, last = SCALES[name]
    net, _ = maxima(scale, accumulate=True, last=last)
    with sw.Simulator(net, engine="native", progress=False) as sim:
        kernels = [row.kernel for row in sim.plan]
    what = "values" if name == "one a neuron" else "events"
    assert f"native: maxima of running sums of {what}" in kernels
    assert f"native: Convolution of {what}" in kernels


@pytest.mark.skipif("native" not in engines.available(), reason="no compiler")
@pytest.mark.parametrize(
    ("scale", "kind"),
    in_turn(
        [50.0, PER_CHANNEL, 4000.0 * PER_CHANNEL],
        [sw.IntegrateAndFire(), sw.BipolarIntegrateAndFire()],
    ),
)
def test_natively_maxima_of_counts_are_the_references(kind: object, scale: object) -> None:
    """To the bit, of spikes of either sign too, and of more of them than a byte holds."""
    net, probes = maxima(scale, accumulate=True, kind=kind)  # type: ignore[arg-type]
    found = []
    for engine in ("reference", "native"):
        with sw.Simulator(net, engine=engine, precision="float32", progress=False) as sim:
            sim.run_steps(20)
            sim.run_steps(20)
        found.append([sim.data[probe] for probe in probes.values()])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("factor", [0.5, -0.5])
def test_the_largest_of_counts_is_the_least_of_negative_values(factor: float) -> None:
    """So that a factor below zero is multiplied first."""
    windows = Windows((1,), (1,), ((0, 0),), (1,))
    with sw.Network(seed=1) as net:
        spiking = {"neuron_type": sw.IntegrateAndFire(), "gain": 1.0, "rate_scale": 10.0}
        neurons = sw.Ensemble((1, 2), None, bias=[[20.0, 30.0]], **spiking)
        pool = sw.Node(sw.MaxPool(Windows((2,), (2,), ((0, 0),), (1,))), size_in=(1, 2))
        sw.Connection(neurons.neurons, pool, None, SumPool(windows, np.array(factor)))
        spikes, largest = sw.Probe(neurons.neurons), sw.Probe(pool)
    with sw.Simulator(net, engine="reference", progress=False) as sim:
        sim.run_steps(50)
    assert np.ptp(sim.data[spikes], axis=2).max() > 0
    np.testing.assert_allclose(sim.data[largest], (factor * sim.data[spikes]).max(2, keepdims=True))
