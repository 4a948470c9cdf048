"""Spikes of one population may differ in height: where weights follow they stay counts."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright._windows import Windows
from spikewright.engines.factors import with_heights
from spikewright.engines.matrices import matrix_of
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Reshape,
    Shape,
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
    found = with_heights(chain, heights, shape)
    assert found is not None
    expected = matrix_of(chain, shape) * np.broadcast_to(heights, shape).ravel()
    np.testing.assert_allclose(matrix_of(found, shape), expected, rtol=1e-12)


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
    assert with_heights(chain, heights, (2, 4, 4)) is None


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
