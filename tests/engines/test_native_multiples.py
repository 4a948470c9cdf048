"""Values from outside that are multiples of one unit, as bytes: the reference's numbers.

Pixels and spikes of one height are listed as events are, or multiplied as bytes; which of both is
told by the kernels. Processors without products of bytes multiply them in plain C++.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from engines.test_native_tiles import ALWAYS, NEVER, native
from spikewright import engines
from spikewright.engines import Execution, Program, compile_network
from spikewright.engines.base import Engine
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.transforms import Convolution, Dense, Transform

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.region_kernel import RegionKernel

ISAS = instruction_sets()
BATCH, STEPS = 3, 37  # two whole slabs of steps, and a part of one
SHAPE = (2, 6, 5)
SIZE = int(np.prod(SHAPE))

Make = Callable[[np.random.Generator, tuple[int, ...]], NDArray]


def _bytes(rng: np.random.Generator, shape: tuple[int, ...], most: int = 255) -> NDArray:
    whole = rng.integers(0, most + 1, shape)
    whole.flat[0] = most
    return whole


def _events(rng: np.random.Generator, shape: tuple[int, ...], share: float = 0.2) -> NDArray:
    return (rng.random(shape) < share).astype(np.float64)


MULTIPLES: dict[str, Make] = {
    "pixels": lambda rng, shape: (_bytes(rng, shape) / 255).astype(np.float32),
    "dark pixels": lambda rng, shape: (_bytes(rng, shape, 3) / 255).astype(np.float32),
    "bytes": lambda rng, shape: _bytes(rng, shape).astype(np.uint8),
    "scaled bytes": lambda rng, shape: _bytes(rng, shape) * float(np.float32(1 / 255)),
    "even bytes": lambda rng, shape: _bytes(rng, shape, 127) * 2.0,
    "truth values": lambda rng, shape: _events(rng, shape) > 0,
    "counts": lambda rng, shape: rng.poisson(0.3, shape).astype(np.int8),
    "spikes of any height": lambda rng, shape: _events(rng, shape) * 0.1,
    "tiny spikes": lambda rng, shape: _events(rng, shape) * 1e-200,
}
"""Input of which every slab holds multiples of one unit."""

OTHERS: dict[str, Make] = {
    "any values": lambda rng, shape: rng.random(shape),
    "either sign": lambda rng, shape: rng.integers(-3, 4, shape).astype(np.float64),
    "a thousand levels": lambda rng, shape: _bytes(rng, shape, 999) / 64.0,
    "rounded thirds": lambda rng, shape: _bytes(rng, shape, 7) / 3.0,
    "two heights": lambda rng, shape: _events(rng, shape) * rng.choice([0.1, 0.3], shape),
    "too small": lambda rng, shape: _events(rng, shape) * 1e-300,
    "silence": lambda rng, shape: np.zeros(shape),
}
"""Input that is nothing like it."""


def _network(transform: Transform, shape: tuple[int, ...] = (SIZE,)) -> tuple[sw.Network, sw.Node]:
    with sw.Network(seed=0) as net:
        node = sw.Node(np.zeros(shape))
        size = transform.output_shape(shape)
        cells = sw.Ensemble(size, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.03)
        sw.Connection(node, cells.neurons, transform=transform, synapse=None)
        sw.Probe(cells.neurons)
        sw.Probe(cells.neurons, "input")
    return net, node


def _dense(rng: np.random.Generator, size: int = SIZE) -> Transform:
    weights = rng.normal(0, 1.0, (21, size)) * rng.choice([1.0, 1e-4], (21, size))
    return Dense(weights.astype(np.float32))


def _convolution(rng: np.random.Generator) -> Transform:
    return Convolution(
        rng.normal(0, 1.0, (17, 2, 3, 3)).astype(np.float32), padding=((1, 1), (1, 1))
    )


TRANSFORMS = {"dense": (_dense, (SIZE,)), "convolution": (_convolution, SHAPE)}


def _run(
    engine: Engine, program: Program, node: sw.Node, x: NDArray, block: int | None = None
) -> list[NDArray]:
    return Execution(program, engine, len(x), block=block).run(x.shape[1], {node: x})


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[int, int]]:
    """A function that counts the slabs listed, and those multiplied, since its last call."""
    kernels: dict[RegionKernel, None] = {}
    run = RegionKernel.run

    def noted(self: RegionKernel, *arguments: object) -> object:
        kernels[self] = None
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RegionKernel, "run", noted)

    def told() -> tuple[int, int]:
        rows = [row for kernel in kernels for row in kernel._state.slabs()]
        kernels.clear()
        return sum(row[1] for row in rows), sum(row[2] for row in rows)

    return told


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("isa", ISAS)
def test_multiples_are_summed_as_the_reference_does(
    isa: str, transform: str, seen: Callable[[], tuple[int, int]]
) -> None:
    """Bit for bit, whether multiplied (all of them) or listed (those that can be)."""
    for kind, make in MULTIPLES.items():
        rng = np.random.default_rng(7)
        map_of, shape = TRANSFORMS[transform]
        net, node = _network(map_of(rng), shape)
        x = make(rng, (BATCH, STEPS, *shape))
        program = compile_network(net, 0.125, 0, "float32").with_varying_sources({node})
        expected = _run(ReferenceEngine(), program, node, x)
        assert_same(_run(native(ALWAYS, isa), program, node, x), expected)
        assert seen() == (0, 3 * BATCH), kind
        assert_same(_run(native(NEVER, isa), program, node, x), expected)
        listed, multiplied = seen()
        assert multiplied == 0
        if kind in ("truth values", "spikes of any height", "tiny spikes"):
            assert listed == 3 * BATCH, kind


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("isa", ISAS)
def test_other_values_are_not_taken_for_multiples(
    isa: str, kind: str, seen: Callable[[], tuple[int, int]]
) -> None:
    """They have the reference's sums, and no slab of them is listed or multiplied."""
    rng = np.random.default_rng(8)
    net, node = _network(_dense(rng))
    x = OTHERS[kind](rng, (BATCH, STEPS, SIZE))
    program = compile_network(net, 0.125, 0, "float32").with_varying_sources({node})
    expected = _run(ReferenceEngine(), program, node, x)
    assert_same(_run(native(ALWAYS, isa), program, node, x), expected)
    assert seen() == (0, 0)


@pytest.mark.parametrize("isa", ISAS)
def test_slabs_are_looked_at_one_by_one(isa: str, seen: Callable[[], tuple[int, int]]) -> None:
    """A slab of pixels between others is multiplied alone; blocks, chunks and threads are free."""
    rng = np.random.default_rng(9)
    net, node = _network(_dense(rng))
    x = rng.random((BATCH, STEPS, SIZE)) - 0.5
    x[:, 16:32] = MULTIPLES["pixels"](rng, (BATCH, 16, SIZE))
    program = compile_network(net, 0.125, 0, "float32").with_varying_sources({node})
    expected = _run(ReferenceEngine(), program, node, x)
    assert_same(_run(native(ALWAYS, isa), program, node, x), expected)
    assert seen() == (0, BATCH)
    for block in (1, 5, 20):
        assert_same(_run(native(ALWAYS, isa, threads=2), program, node, x, block), expected)


@pytest.mark.parametrize("isa", ISAS)
def test_long_sums_of_pixels_stay_sums_over_limbs(
    isa: str, seen: Callable[[], tuple[int, int]]
) -> None:
    """Sums of 5 000 terms have limbs of 15 bits, of which a pixel takes three: two roundings."""
    rng = np.random.default_rng(10)
    net, node = _network(_dense(rng, 5000), (5000,))
    x = MULTIPLES["pixels"](rng, (1, 16, 5000))
    program = compile_network(net, 0.125, 0, "float32").with_varying_sources({node})
    expected = _run(ReferenceEngine(), program, node, x)
    assert_same(_run(native(ALWAYS, isa), program, node, x), expected)
    assert seen() == (0, 0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_moving_inputs_are_those_of_any_program(precision: engines.Precision) -> None:
    """A program for moving inputs gives the results of one for held inputs, for both kinds."""
    rng = np.random.default_rng(11)
    net, node = _network(_convolution(rng), SHAPE)
    program = compile_network(net, 0.125, 0, precision)
    moving = program.with_varying_sources({node})
    for x in (rng.random((BATCH, STEPS, *SHAPE)), rng.random((BATCH, 1, *SHAPE))):
        for engine in (NativeEngine(threads=1), ReferenceEngine()):
            found, expected = (
                Execution(one, engine, BATCH).run(STEPS, {node: x}) for one in (program, moving)
            )
            assert_same(found, expected)
