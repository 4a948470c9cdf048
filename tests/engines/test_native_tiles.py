"""Layers as dense products by tiles: the reference's numbers, wherever many inputs spike.

Processors without tiles multiply the same tiles in plain C++, so that how weights and windows are
packed is tested everywhere; `instruction_sets()` tells which are the processor's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from engines.random_networks import random_network
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import BipolarIntegrateAndFire, NeuronType
from spikewright.network.transforms import Convolution, Dense, Transform

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native import _kernels
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.region_kernel import RegionKernel

ISAS = instruction_sets()
DT = 0.125
ALWAYS, NEVER = 0.0, float("inf")

seeds = st.integers(0, 2**32 - 1)


def native(dense: float | None, isa: str = ISAS[-1], threads: int = 1) -> NativeEngine:
    """An engine with this instruction set that uses tiles from there on; None: by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEWRIGHT_ISA", isa)
        engine = NativeEngine(threads)
    if dense is not None:
        engine.dense = dense
    return engine


@dataclass
class Slabs:
    """What layers of counts did with their input in slabs of steps."""

    listed: int
    dense: int


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RegionKernel]]:
    """The regions that ran."""
    found: list[RegionKernel] = []
    run = RegionKernel.run

    def noted(self: RegionKernel, *arguments: object) -> object:
        if self not in found:
            found.append(self)
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RegionKernel, "run", noted)
    yield found


def slabs(kernels: list[RegionKernel]) -> Slabs:
    """The sum over all of them; the list is emptied."""
    rows = [row for kernel in kernels for row in kernel._state.slabs()]
    kernels.clear()
    return Slabs(sum(row[1] for row in rows), sum(row[2] for row in rows))


def pair(
    kind: NeuronType, transform: Transform, shape: tuple[int, ...], out: tuple[int, ...]
) -> sw.Network:
    """A population that drives another one by a transform, the first by held currents."""
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(shape))
        first, second = (
            sw.Ensemble(n, None, neuron_type=kind, gain=1.0, bias=0.0) for n in (shape, out)
        )
        sw.Connection(stimulus, first.neurons, synapse=None)
        sw.Connection(first.neurons, second.neurons, transform=transform, synapse=None)
        sw.Probe(first.neurons)
        sw.Probe(second.neurons)
    return net


def recorded(
    engine: engines.Engine, net: sw.Network, fed: NDArray, steps: int, **cut: int
) -> list[NDArray]:
    """All recordings, then all totals; the run is cut in two."""
    program = compile_network(net, DT, 0, "float32")
    execution = Execution(program, engine, len(fed), net.all_ensembles, **cut)
    (stimulus,) = net.all_nodes
    parts = [execution.run(n, {stimulus: fed}) for n in (steps // 3, steps - steps // 3)]
    sums = [execution.summed()[p] for p in net.all_ensembles]
    arrays = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
    return [*arrays, *(array for totals in sums for array in (totals.sent, totals.net))]


PADDED: dict[str, Any] = {"padding": ((1, 1), (1, 1))}
WINDOWS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], dict[str, Any]]] = {
    "3x3 over 64 channels": ((64, 5, 6), (40, 3, 3), PADDED),
    "3x3 over 20 channels": ((20, 7, 5), (33, 3, 3), PADDED),
    "strided over 3 channels": ((3, 9, 9), (70, 3, 3), {"stride": (2, 2), **PADDED}),
    "dilated over 5 channels": ((5, 8, 8), (16, 3, 2), {"dilation": (2, 2)}),
    "1x1 over 130 channels": ((130, 2, 3), (17, 1, 1), {}),
    "groups of 16 channels": ((64, 4, 4), (96, 3, 3), {"groups": 4, **PADDED}),
}
"""Channels that fill tiles and that do not; windows inside the frame, and beyond it."""
NAMES = [*WINDOWS, "matrix"]


def network(name: str, kind: NeuronType) -> tuple[sw.Network, NDArray]:
    """A convolution, or a matrix, between two populations, and what is fed."""
    rng = np.random.default_rng(NAMES.index(name))
    if name == "matrix":
        shape, out = (150,), (75,)
        transform: Transform = Dense(rng.normal(size=(75, 150)) / 12)
    else:
        shape, (channels, *size), how = WINDOWS[name]
        inner = shape[0] // how.get("groups", 1)
        scale = np.sqrt(inner * np.prod(size))
        transform = Convolution(rng.normal(size=(channels, inner, *size)) / scale, **how)
        out = transform.output_shape(shape)
    return pair(kind, transform, shape, out), rng.normal(6.0, 12.0, (3, 1, *shape))


@pytest.mark.parametrize(
    ("name", "kind"),
    in_turn([*WINDOWS, "matrix"], [sw.IntegrateAndFire(), BipolarIntegrateAndFire()]),
)
def test_windows_and_matrices_are_the_references(
    name: str, kind: NeuronType, watched: list[RegionKernel]
) -> None:
    """By tiles alone, in counts of one sign and of either, on every instruction set."""
    net, fed = network(name, kind)
    for steps in (5, 37):
        expected = recorded(ReferenceEngine(), net, fed, steps)
        assert all(x.any() for x in expected)
        assert np.abs(expected[0]).max() * DT > 1  # several spikes a step
        for isa in ISAS:
            assert_same(recorded(native(ALWAYS, isa), net, fed, steps), expected)
            seen = slabs(watched)
            assert seen.dense and not seen.listed


@pytest.mark.parametrize("bits", [1, 7, 8, 15, 16, 23, 25])
def test_weights_of_few_bits_have_few_limbs(bits: int, watched: list[RegionKernel]) -> None:
    """Whole numbers below 2^bits, the largest among them, times a power of two of each channel."""
    rng = np.random.default_rng(bits)
    whole = rng.integers(1 - 2**bits, 2**bits, (40, 90)).astype(np.float64)
    whole[:, 0] = 2**bits - 1
    whole *= 2.0 ** -(bits + rng.integers(1, 4, (40, 1)))
    net = pair(BipolarIntegrateAndFire(), Dense(whole), (90,), (40,))
    fed = rng.normal(6.0, 12.0, (3, 1, 90))
    expected = recorded(ReferenceEngine(), net, fed, 21)
    for isa in ISAS:
        assert_same(recorded(native(ALWAYS, isa), net, fed, 21), expected)
        seen = slabs(watched)
        assert seen.dense and not seen.listed


@settings(max_examples=8, deadline=None)
@given(seeds, st.integers(1, 3), st.integers(1, 40))
def test_random_networks_by_tiles_alone(seed: int, threads: int, block: int) -> None:
    """Whatever the network, the threads and the time block, on every instruction set."""
    net = random_network(np.random.default_rng(seed))
    program = net.program()
    expected = net.run(ReferenceEngine(), program)
    for isa in ISAS:
        assert_same(net.run(native(ALWAYS, isa, threads), program, block=block), expected)


def bursts(size: int = 128) -> tuple[sw.Network, NDArray]:
    """Populations that are silent, then busy, then nearly silent; what is fed differs by step."""
    rng = np.random.default_rng(2)
    with sw.Network(seed=3) as net:
        stimulus = sw.Node(np.zeros(size))
        layers = [
            sw.Ensemble(size, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
            for _ in range(3)
        ]
        sw.Connection(stimulus, layers[0].neurons, synapse=None)
        for a, b in pairwise(layers):
            weights = rng.normal(0.4, 1.0, (size, size)) / size**0.5
            sw.Connection(a.neurons, b.neurons, transform=weights, synapse=None)
        for layer in layers:
            sw.Probe(layer.neurons)
    pace = np.repeat([0.0, 1.0, 0.0, 1e-3, 1.0], 32)[:, None]
    return net, 12 * pace * rng.uniform(0, 1, (2, 160, size))


@pytest.mark.parametrize("isa", ISAS)
def test_slabs_are_listed_or_multiplied_as_they_come(isa: str, watched: list[RegionKernel]) -> None:
    """In one run, silent slabs by events and busy ones by tiles, where the processor has them.

    VNNI does not pay for matrices by itself: they have one window, for which nothing is gathered.
    AVX2, and AVX-512 without it, multiply weights of one limb alone.
    """
    net, fed = bursts()
    program = compile_network(net, DT, 0, "float32")
    expected = Execution(program, ReferenceEngine(), 2, net.all_ensembles).run(
        160, {net.all_nodes[0]: fed}
    )
    assert all(x[:, 32:64].any() and not x[:, :32].any() for x in expected)
    for dense in (None, 0.5):
        engine = native(dense, isa, 2)
        execution = Execution(program, engine, 2, net.all_ensembles)
        assert_same(execution.run(160, {net.all_nodes[0]: fed}), expected)
        seen = slabs(watched)
        tiles = isa == "amx" or (dense is not None and _kernels.tile_share(isa) < 1.0)
        assert seen.listed and bool(seen.dense) == tiles


@pytest.mark.parametrize(("isa", "sign"), in_turn(ISAS, [1, -1]))
def test_sums_beyond_32_bits(isa: str, sign: int, watched: list[RegionKernel]) -> None:
    """Weights at the ends of the grid, all of one sign, and counts up to 100."""
    size = 300
    rng = np.random.default_rng(5)
    weights = sign * np.where(rng.random((40, size)) < 0.5, 1.0, rng.uniform(0.9, 1.0, (40, size)))
    net = pair(BipolarIntegrateAndFire(), Dense(weights / 4096), (size,), (40,))
    fed = rng.uniform(0, 800, (2, 1, size))
    expected = recorded(ReferenceEngine(), net, fed, 20)
    counts = expected[0] * DT
    assert counts.max() > 90
    assert counts.sum(axis=-1).max() * 2**24 > 2**31
    assert_same(recorded(native(ALWAYS, isa), net, fed, 20), expected)
    assert slabs(watched).dense


def test_never_is_never(watched: list[RegionKernel]) -> None:
    """Without tiles of the processor, or where they are forbidden, all counts are listed."""
    net, fed = network("matrix", sw.IntegrateAndFire())
    for engine in (native(NEVER), native(None, "baseline")):
        recorded(engine, net, fed, 20)
        seen = slabs(watched)
        assert seen.listed and not seen.dense


def test_plan_and_memory_tell_of_tiles() -> None:
    """Rows of layers of counts say from when on, and weights are held once more."""
    net, _ = network("3x3 over 64 channels", sw.IntegrateAndFire())
    program = compile_network(net, DT, 0, "float32")
    without, tiled = native(None, "baseline"), native(1.0)
    rows = [row for row in tiled.explain(program) if "tiles" in row.why]
    assert len(rows) == 1
    assert rows[0].kernel == "native: Convolution of events"
    assert f"by tiles of {ISAS[-1]} where about {_kernels.tile_share(ISAS[-1]):.0%}" in rows[0].why
    assert not any("tiles" in row.why for row in without.explain(program))
    held = [
        sum(
            sum(engine.weight_memory(op, program).kept.values())
            for op in engine.prepare(program).operators
        )
        for engine in (without, tiled)
    ]
    assert held[1] - held[0] == 4 * 64 * 9 * 48  # bytes of a weight, inputs, lanes


@pytest.mark.skipif(not _kernels.has_tiles(ISAS[-1]), reason="this processor has no tiles")
def test_tiles_come_with_the_most_capable_instruction_set() -> None:
    """A processor whose system lets tiles be used uses them by itself; VNNI stands for them."""
    able = [isa for isa in ISAS if _kernels.tile_share(isa) < 1.0 and isa != "baseline"]
    assert able in (["vnni"], ["amx"], ["vnni", "amx"]) and ISAS[-1] == able[-1]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["3x3 over 64 channels", "matrix"])
def test_weights_in_two_limbs_are_listed(name: str, isa: str, watched: list[RegionKernel]) -> None:
    """In float64 weights have no tiles: results, plan and memory are those without any."""
    net, fed = network(name, sw.IntegrateAndFire())
    program = compile_network(net, DT, 0, "float64")
    results = []
    for engine in (ReferenceEngine(), native(ALWAYS, isa)):
        execution = Execution(program, engine, len(fed), net.all_ensembles)
        results.append(execution.run(20, {net.all_nodes[0]: fed}))
        assert not any("tiles" in row.why for row in engine.explain(program))
    assert_same(results[1], results[0])
    seen = slabs(watched)
    assert seen.listed and not seen.dense
