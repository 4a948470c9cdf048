"""A layer's kernel adds what a shortcut brings: the reference's currents, spike by spike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from engines.random_networks import RandomNetwork
from spikewright import engines
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.engine import NativeEngine
from spikewright.engines.native.regions import Region, with_regions
from spikewright.engines.native.residual_fusion import Shortcut, shortcuts
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    NeuronType,
    SignedIntegrateAndFire,
)
from spikewright.network.transforms import (
    Chain,
    Convolution,
    Dense,
    Permute,
    Place,
    Shape,
    Slice,
    Transform,
)

pytestmark = pytest.mark.skipif("native" not in engines.available(), reason="no compiler")


class Residual:
    """A population, and one that a layer and a shortcut of it drive; `shape` is channels first."""

    def __init__(self, shape: Shape, seed: int, last: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = (*shape[1:], shape[0]) if last else shape
        self.channels, self.last = shape[0], last
        self.size = (3,) * (len(shape) - 1)

    def convolution(self, size: Shape | None = None) -> Convolution:
        """To the same shape."""
        size = self.size if size is None else size
        fan_in = self.channels * int(np.prod(size))
        kernel = self.rng.normal(0.05, 2.0 / np.sqrt(fan_in), (self.channels, self.channels, *size))
        padding = tuple((n // 2, n // 2) for n in size)
        return Convolution(
            kernel.astype(np.float32), (1,) * len(size), padding, channels_last=self.last
        )

    def per_channel(self, low: float, high: float) -> NDArray:
        """One number a channel."""
        values = self.rng.uniform(low, high, self.channels)
        return values if self.last else values.reshape(-1, *[1] * (len(self.shape) - 1))

    def population(self, kind: NeuronType, scale: float | NDArray) -> sw.Ensemble:
        """With gain and bias."""
        return sw.Ensemble(
            self.shape,
            neuron_type=kind,
            gain=self.per_channel(0.5, 1.5),
            bias=self.per_channel(-0.1, 0.2),
            rate_scale=scale,
            initial_voltage="half",
        )

    def network(
        self,
        scale: float | NDArray,
        brought: Transform | None,
        first: NeuronType | None = None,
        second: NeuronType | None = None,
        layer: Transform | None = None,
    ) -> RandomNetwork:
        """`brought` is what the shortcut does to the first population's spikes."""
        first, second = first or sw.IntegrateAndFire(), second or sw.IntegrateAndFire()
        with sw.Network(seed=0) as net:
            stimulus = sw.Node(np.zeros(self.shape))
            a, b = self.population(first, scale), self.population(second, 4.0)
            sw.Connection(stimulus, a.neurons, None)
            sw.Connection(a.neurons, b.neurons, None, layer or self.convolution())
            sw.Connection(a.neurons, b.neurons, None, brought)
            out = sw.Node(size_in=self.shape)
            sw.Connection(b.neurons, out, None)
            sw.Probe(out)
            sw.Probe(b.neurons, "input")
        fed = self.rng.normal(0.6, 0.6, (3, 11, *self.shape))
        return RandomNetwork(net, stimulus, [a, b], fed, 11)

    def shifted(self) -> Chain:
        """All pixels but the first of each axis, with zeros behind them: values at places."""
        ranges, places = [], []
        for n in self.shape:
            ranges.append((1, n, 1))
            places.append((0, n - 1, 1))
        return Chain((Slice(tuple(ranges)), Place(tuple(places), self.shape)))


def found(net: RandomNetwork) -> list[Shortcut]:
    """What the native engine makes in one kernel."""
    program = net.program()
    regions = [op for op in with_regions(program).operators if isinstance(op, Region)]
    return [one for op in regions for one in shortcuts(Buffers(op, program)).values()]


def agree(net: RandomNetwork, threads: int = 1, **cut: int) -> None:
    """Bit by bit, however it is cut."""
    program = net.program()
    expected = net.run(ReferenceEngine(), program)
    assert np.count_nonzero(expected[0]) > 0
    assert_same(net.run(NativeEngine(threads), program, **cut), expected)


SHAPES: dict[str, Shape] = {
    "few channels": (3, 5, 4),
    "whole vectors": (16, 4, 4),
    "several blocks of lanes": (70, 3, 3),
    "one axis": (33, 9),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
class TestJoined:
    """What joins a layer, and how."""

    def test_spikes_of_one_height(self, shape: Shape, last: bool) -> None:
        """Counts; their height is beside them."""
        net = Residual(shape, 1, last).network(3.0, None)
        assert len(found(net)) == 1
        agree(net)

    def test_spikes_of_many_heights(self, shape: Shape, last: bool) -> None:
        """Counts, and a factor a channel: no operator makes values of them."""
        block = Residual(shape, 2, last)
        net = block.network(block.per_channel(1.0, 6.0), None)
        (one,) = found(net)
        assert one.scale is not None
        agree(net)

    def test_spikes_taken_back(self, shape: Shape, last: bool) -> None:
        """Counts of either sign, with and without a bound."""
        for cap in (None, 1):
            block = Residual(shape, 7, last)
            kind = BipolarIntegrateAndFire(max_spikes_per_step=cap)
            net = block.network(block.per_channel(1.0, 6.0), None, kind, kind)
            assert len(found(net)) == 1
            agree(net)

    def test_neurons_of_other_kinds(self, shape: Shape, last: bool) -> None:
        """Signed spikes in doubles; neurons that take the currents as the layer makes them."""
        net = Residual(shape, 8, last).network(3.0, None, SignedIntegrateAndFire())
        assert len(found(net)) == 1
        agree(net)
        net = Residual(shape, 9, last).network(3.0, None, second=sw.SpikingRectifiedLinear())
        agree(net)
        net = Residual(shape, 10, last).network(3.0, None, second=SignedIntegrateAndFire())
        assert len(found(net)) == 1
        agree(net)


def test_matrices_along_the_last_axis() -> None:
    """Are layers too."""
    block = Residual((6, 5), 11)
    net = block.network(2.0, None, layer=Dense(block.rng.normal(0.1, 0.7, (5, 5))))
    assert len(found(net)) == 1
    agree(net)


def test_axes_that_trade_places() -> None:
    """What is stored otherwise is brought into the layer's order."""
    block = Residual((4, 4, 4), 12)
    net = block.network(2.0, Permute((2, 0, 1)))
    assert len(found(net)) == 1
    agree(net)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 6), st.integers(1, 3))
def test_cuts_change_nothing(seed: int, threads: int, block: int, chunk: int) -> None:
    """Time blocks, samples and threads are nobody's business here either."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.choice([1, 5, 16, 40])), *(int(n) for n in rng.integers(2, 5, 2)))
    made = Residual(shape, seed, bool(rng.random() < 0.5))
    brought = [None, made.shifted(), made.convolution((1, 1))][rng.integers(3)]
    scale = made.per_channel(1.0, 40.0) if rng.random() < 0.5 else 8.0
    kinds = [sw.IntegrateAndFire(), BipolarIntegrateAndFire(), SignedIntegrateAndFire()]
    first, second = (kinds[i] for i in rng.integers(3, size=2))
    net = made.network(scale, brought, first, second)
    agree(net, threads, block=block, chunk=chunk)
