"""Few steps by tiles: pixels are their rows, and all numbers are the reference's.

What multiplies is told by the kernels: of each layer the slabs that were listed, those that were
multiplied, and those among them whose pixels were rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import models
import spikewright as sw
from engines.comparing import assert_same
from engines.random_networks import DT
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Add, Input
from spikewright.network.transforms import Convolution

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native import _kernels
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.region_kernel import RegionKernel

ISAS = instruction_sets()
ALWAYS = 0.0
ONE = sw.BipolarIntegrateAndFire(max_spikes_per_step=1)
PADDED = ((1, 1), (1, 1))

# Channels, extent, kernel and how it moves: lines of windows that fill chunks of tiles or do not,
# frames narrower and wider than tiles have rows, borders on one side alone.
WINDOWS: dict[str, tuple[tuple[int, int, int], tuple[int, ...], dict[str, Any]]] = {
    "3x3 of 16 channels": ((16, 6, 33), (16, 16, 3, 3), {"padding": PADDED}),
    "3x3 of 64 channels": ((64, 5, 8), (33, 64, 3, 3), {"padding": PADDED}),
    "3x3 of 5 channels": ((5, 9, 4), (70, 5, 3, 3), {}),
    "strided": ((16, 9, 11), (20, 16, 3, 3), {"stride": (2, 2), "padding": PADDED}),
    "strided, 1x1": ((20, 8, 8), (16, 20, 1, 1), {"stride": (2, 2)}),
    "strided along one axis": ((7, 6, 40), (16, 7, 2, 3), {"stride": (1, 3)}),
    "1x1": ((70, 3, 7), (40, 70, 1, 1), {}),
    "5x2, dilated rows": ((4, 11, 6), (16, 4, 5, 2), {"dilation": (2, 1)}),
    "bordered on one side": ((6, 5, 5), (16, 6, 3, 3), {"padding": ((2, 0), (0, 2))}),
    "groups": ((64, 4, 4), (96, 16, 3, 3), {"groups": 4, "padding": PADDED}),
    "groups of 16 channels": ((64, 4, 8), (64, 16, 3, 3), {"groups": 4, "padding": PADDED}),
    "four pixels side by side": ((16, 5, 36), (16, 16, 3, 3), {"padding": PADDED}),
    "two pixels side by side": ((9, 4, 6), (32, 9, 3, 3), {"padding": PADDED}),
    "strided, side by side": ((16, 8, 16), (16, 16, 3, 3), {"stride": (2, 2), "padding": PADDED}),
}


def network(name: str, kind: Any, last: bool = False) -> tuple[sw.Network, NDArray]:
    """A convolution between two populations of spiking neurons, and currents for the first."""
    rng = np.random.default_rng(list(WINDOWS).index(name))
    shape, kernel, how = WINDOWS[name]
    weights = rng.normal(size=kernel) / np.sqrt(np.prod(kernel[1:]))
    if last:
        shape = (*shape[1:], shape[0])
    layer = Convolution(weights, channels_last=last, **how)
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(shape))
        pair = [
            sw.Ensemble(n, None, neuron_type=kind, gain=1.0, bias=0.0)
            for n in (shape, layer.output_shape(shape))
        ]
        sw.Connection(stimulus, pair[0].neurons, synapse=None)
        sw.Connection(pair[0].neurons, pair[1].neurons, transform=layer, synapse=None)
        for one in pair:
            sw.Probe(one.neurons)
    return net, rng.normal(2.0, 6.0, (2, 1, *shape))


def recorded(
    engine: engines.Engine, net: sw.Network, fed: NDArray, runs: list[int], **cut: int
) -> tuple[list[NDArray], NDArray]:
    """Recordings and totals; slabs of layers that were listed, multiplied, that by rows, and of
    these those with pixels side by side.
    """
    execution = Execution(
        compile_network(net, DT, 0, "float32"), engine, len(fed), net.all_ensembles, **cut
    )
    (stimulus,) = net.all_nodes
    made = [
        array
        for number, steps in enumerate(runs, 1)
        for array in execution.run(steps, {stimulus: fed}, last=number == len(runs))
    ]
    totals = [execution.summed()[p] for p in net.all_ensembles]
    kernels = [k for chunk in execution._chunks for k in chunk.kernels.values()]
    slabs = [row[1:] for k in kernels if isinstance(k, RegionKernel) for row in k._state.slabs()]
    arrays = [*made, *(array for one in totals for array in (one.sent, one.net))]
    return arrays, np.sum(slabs, axis=0, dtype=int) if slabs else np.zeros(4, int)


def native(dense: float | None, isa: str = ISAS[-1], threads: int = 1) -> NativeEngine:
    """An engine with this instruction set that multiplies from there on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEWRIGHT_ISA", isa)
        engine = NativeEngine(threads)
    if dense is not None:
        engine.dense = dense
    return engine


@pytest.mark.parametrize(("name", "kind"), in_turn(WINDOWS, [ONE, sw.IntegrateAndFire()]))
def test_pixels_as_rows_are_the_references(name: str, kind: Any) -> None:
    """Whatever the window, in counts of one sign and of either, on every instruction set."""
    net, fed = network(name, kind)
    for runs, isas in (([4], ISAS), ([1, 15], ISAS[-1:])):
        expected, _ = recorded(ReferenceEngine(), net, fed, runs)
        assert all(x.any() for x in expected)
        for isa in isas:
            found, (listed, dense, rows, _) = recorded(native(ALWAYS, isa), net, fed, runs)
            assert_same(found, expected)
            assert dense == rows > listed == 0


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(list(WINDOWS)),
    st.booleans(),
    st.integers(1, 3),
    st.integers(1, 20),
    st.lists(st.integers(1, 20), min_size=1, max_size=3),
)
def test_cuts_change_nothing(
    name: str, last: bool, threads: int, block: int, runs: list[int]
) -> None:
    """Blocks, threads and runs that join rows, steps as rows and lists are nobody's business."""
    net, fed = network(name, ONE, last)
    expected, _ = recorded(ReferenceEngine(), net, fed, runs)
    for dense in (None, ALWAYS):
        found, _ = recorded(native(dense, threads=threads), net, fed, runs, block=block)
        assert_same(found, expected)


def test_sums_beyond_32_bits() -> None:
    """Weights at the end of the grid and many spikes a step: sums that only doubles hold."""
    rng = np.random.default_rng(0)
    shape = (32, 5, 6)
    layer = Convolution(rng.uniform(0.9, 1.0, (16, 32, 3, 3)) / 4096, padding=PADDED)
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(shape))
        a, b = (
            sw.Ensemble(n, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
            for n in (shape, layer.output_shape(shape))
        )
        sw.Connection(stimulus, a.neurons, synapse=None)
        sw.Connection(a.neurons, b.neurons, transform=layer, synapse=None)
        sw.Probe(a.neurons)
        sw.Probe(b.neurons)
    fed = rng.uniform(0, 800, (2, 1, *shape))
    expected, _ = recorded(ReferenceEngine(), net, fed, [6])
    assert expected[0].max() * DT > 90
    assert expected[0].sum() * DT / (2 * 6 * 30) * 9 * 0.9 * 2**24 > 2**31  # of a window's mean
    for isa in ISAS:
        found, (_, dense, rows, _) = recorded(native(ALWAYS, isa), net, fed, [6])
        assert_same(found, expected)
        assert dense == rows > 0


def test_pixels_are_rows_only_where_steps_are_few() -> None:
    """From sixteen steps on, and without tiles of the processor, layers go as they did."""
    net, fed = network("3x3 of 16 channels", ONE)
    _, (_, dense, rows, _) = recorded(native(ALWAYS), net, fed, [16])
    assert dense and not rows
    _, (listed, dense, rows, _) = recorded(native(None, "baseline"), net, fed, [4])
    assert listed and not dense and not rows


@pytest.mark.skipif(not _kernels.has_tiles(ISAS[-1]), reason="this processor has no tiles")
def test_silent_layers_are_listed_and_busy_ones_have_rows() -> None:
    """By themselves, from what was seen."""
    net, fed = network("3x3 of 16 channels", ONE)
    for scale, busy in ((1.0, True), (0.0, False)):
        _, (listed, _, rows, _) = recorded(native(None), net, scale * fed, [4])
        assert bool(rows) == busy and bool(listed) != busy


@pytest.mark.parametrize(("isa", "silent"), in_turn(3 * [*ISAS], range(5)))
def test_digits_that_arrive_together_are_added_up_first(
    isa: str, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By tiles alone, in a residual network: spikes are the reference's, and pixels were rows."""
    rng = np.random.default_rng(silent)
    nodes = [
        GraphNode("x", Input((2, 7, 8))),
        GraphNode("conv1", models.convolution(rng, 16, 2), ("x",)),
        GraphNode("relu1", Activation("relu"), ("conv1",)),
        GraphNode("conv2", models.convolution(rng, 16, 16), ("relu1",)),
        GraphNode("relu2", Activation("relu"), ("conv2",)),
        GraphNode("conv3", models.convolution(rng, 16, 16), ("relu2",)),
        GraphNode("add", Add(), ("conv3", "relu1")),
        GraphNode("relu3", Activation("relu"), ("add",)),
    ]
    graph = Graph(tuple(nodes), {"y": "relu3"})
    x = models.inputs(graph, 6)
    rows: list[int] = []
    run, made = RegionKernel.run, NativeEngine.__init__

    def always(self: NativeEngine, *arguments: Any) -> None:
        made(self, *arguments)
        self.dense = ALWAYS

    def noted(self: RegionKernel, *arguments: Any) -> Any:
        found = run(self, *arguments)
        rows.extend(row[3] for row in self._state.slabs())
        return found

    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    monkeypatch.setattr(NativeEngine, "__init__", always)
    monkeypatch.setattr(RegionKernel, "run", noted)
    coding = sw.SignedDigits(4, silent)
    conversion = sw.convert(graph, spiking=True, coding=coding, calibration=x)
    expected = conversion.run(x, engine="reference", progress=False)
    found = conversion.run(x, engine="native", progress=False)
    assert sum(rows) > 0
    np.testing.assert_array_equal(found.output, expected.output)
    for name, counts in expected.spike_counts().items():
        assert counts.any()
        np.testing.assert_array_equal(found.spike_counts()[name], counts)
