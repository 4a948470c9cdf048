"""What has native kernels beside integrate-and-fire, dense layers and convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright import engines
from spikewright.engines import Execution, Program, compile_network
from spikewright.engines.plan import PlanRow
from spikewright.engines.program import Linear
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    LeakyReLU,
    NeuronType,
    SignedIntegrateAndFire,
)
from spikewright.network.transforms import (
    Convolution,
    Dense,
    Place,
    Reshape,
    Transform,
)
from spikewright.testing.engines import transform_examples

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.regions import plan_rows
from spikewright.engines.native.running import RegionKernel

DT = 0.125
SENDERS: dict[str, NeuronType] = {
    "counts": sw.IntegrateAndFire(),
    "signed": BipolarIntegrateAndFire(),
    "whole": SignedIntegrateAndFire(),
    "values": LeakyReLU(0.3),
}
ON_REFERENCE = {"convolution-3d", "sum-pool-each"}
"""Transforms that have no native kernel."""


def behind(
    sender: NeuronType,
    transform: Transform,
    shape: tuple[int, ...],
    reader: NeuronType | None = None,
    scale: float = 6.0,
) -> tuple[sw.Network, sw.Node, list[sw.Ensemble]]:
    """A stimulus, neurons, a signal that changes from step to step, the transform, its reader."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(shape))
        first = sw.Ensemble(shape, neuron_type=SignedIntegrateAndFire(), gain=1.0, bias=0.0)
        second = sw.Ensemble(shape, neuron_type=sender, gain=1.0, bias=0.25, rate_scale=scale)
        sw.Connection(stimulus, first.neurons, None)
        sw.Connection(first.neurons, second.neurons, None, 0.7)
        made = transform.output_shape(shape)
        end: sw.Node | sw.Ensemble
        if reader is None:
            end = sw.Node(size_in=made)
            sw.Connection(second.neurons, end, None, transform)
            sw.Probe(end)
        else:
            end = sw.Ensemble(made, neuron_type=reader, gain=1.5, bias=0.1, rate_scale=2.0)
            sw.Connection(second.neurons, end.neurons, None, transform)
            for attr in ("spike_count", "voltage"):
                sw.Probe(end.neurons, attr)
        sw.Probe(second.neurons)
    return net, stimulus, list(net.all_ensembles)


def run(
    engine: engines.Engine,
    program: Program,
    stimulus: sw.Node,
    populations: list[sw.Ensemble],
    fed: NDArray,
    steps: int = 20,
    block: int | None = None,
) -> list[NDArray]:
    """Recordings, then totals, without and with the sign of each spike."""
    execution = Execution(program, engine, len(fed), populations, block=block)
    arrays = execution.run(steps, {stimulus: fed})
    sums = [execution.summed()[p] for p in populations]
    return [*arrays, *(array for totals in sums for array in (totals.sent, totals.net))]


def assert_native_is_reference(
    net: sw.Network, stimulus: sw.Node, populations: list[sw.Ensemble], size: float = 1.0
) -> Program:
    """Bit by bit on every instruction set, in whatever blocks and threads; something happens.

    In both precisions, of which the plans are the same.
    """
    wide, program = (compile_network(net, DT, 0, precision) for precision in ("float64", "float32"))
    assert [kernel(row) for row in plan_rows(wide)] == [kernel(row) for row in plan_rows(program)]
    _assert_native_is_reference(wide, stimulus, populations, size)
    _assert_native_is_reference(program, stimulus, populations, size)
    return program


def kernel(row: PlanRow) -> str:
    """A plan's kernel, without how wide its weights are."""
    return row.kernel.split(",")[0]


def _assert_native_is_reference(
    program: Program, stimulus: sw.Node, populations: list[sw.Ensemble], size: float
) -> None:
    fed = np.random.default_rng(2).normal(0.3, size, (3, 1, *stimulus.shape_out)) / DT
    expected = run(ReferenceEngine(), program, stimulus, populations, fed)
    assert all(x.any() for x in expected)
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            for threads, block in ((1, None), (3, 7)):
                engine = NativeEngine(threads)
                found = run(engine, program, stimulus, populations, fed, block=block)
                for x, y in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(x, y)


def on_reference(program: Program) -> set[str]:
    """Kinds of what the plan leaves to the reference, without what is computed once."""
    left = set()
    for op, row in zip(program.operators, plan_rows(program), strict=True):
        if row.kernel == "reference" and "once" not in row.why:
            left.add(type(op.transform).__name__ if isinstance(op, Linear) else type(op).__name__)
    return left


@pytest.mark.parametrize(("example", "kind"), in_turn(transform_examples(), SENDERS))
def test_every_transform_of_every_signal(kind: str, example: object) -> None:
    """Of counts, signed spikes and values: the reference's numbers; the plan tells what is left."""
    net, stimulus, populations = behind(
        SENDERS[kind],
        example.transform,
        example.shape,  # type: ignore[attr-defined]
    )
    if example.id in ("sparse-empty", "chain-empty"):  # type: ignore[attr-defined]
        return _nothing_to_sum(net, kind)
    program = assert_native_is_reference(net, stimulus, populations)
    left = on_reference(program)
    assert bool(left) == (example.id in ON_REFERENCE), left  # type: ignore[attr-defined]


def _nothing_to_sum(net: sw.Network, kind: str) -> None:
    assert not on_reference(compile_network(net, DT, 0, "float32")), kind


LAYERS = {
    "depthwise": (Convolution(np.ones((6, 1, 3, 3)), groups=6), (6, 7, 5)),
    "depthwise-wide": (Convolution(np.ones((130, 1, 2, 3)), groups=130), (130, 3, 5)),
    "depthwise-times": (Convolution(np.ones((12, 1, 3, 2)), (2, 1), groups=4), (4, 7, 6)),
    "depthwise-line": (Convolution(np.ones((5, 1, 3)), groups=5), (5, 9)),
    "grouped": (Convolution(np.ones((8, 3, 3, 3)), (1, 1), groups=4), (12, 5, 5)),
    "grouped-many": (Convolution(np.ones((96, 2, 2, 2)), groups=48), (96, 4, 4)),
    "grouped-wide": (Convolution(np.ones((140, 5, 1, 3)), groups=2), (10, 2, 6)),
    "dense": (Dense(np.ones((9, 70))), (4, 70)),
}


@pytest.mark.parametrize(("name", "kind", "last"), in_turn(2 * [*LAYERS], SENDERS, [False, True]))
def test_layers_drive_neurons(
    name: str, kind: str, last: bool, slow_starts: list[RegionKernel]
) -> None:
    """Depthwise and grouped layers, of any signal, with the neurons behind them."""
    transform, shape = LAYERS[name]
    rng = np.random.default_rng(5)
    if isinstance(transform, Convolution):
        kernel = rng.normal(size=transform.kernel.shape)
        padding = ((1, 0),) * (kernel.ndim - 2)
        stride = transform.stride
        transform = Convolution(kernel, stride, padding, (), transform.groups, last)
        shape = (*shape[1:], shape[0]) if last else shape
    else:
        transform = Dense(rng.normal(size=transform.matrix.shape))
    readers = (
        sw.IntegrateAndFire(),
        SignedIntegrateAndFire(),
        BipolarIntegrateAndFire(),
        BipolarIntegrateAndFire(max_spikes_per_step=1),
    )
    for reader in readers:
        program = assert_native_is_reference(*behind(SENDERS[kind], transform, shape, reader))
        assert not on_reference(program)
    assert not slow_starts


def test_signed_counts_that_outgrow_bytes_are_handed_over(
    slow_starts: list[RegionKernel],
) -> None:
    """Voltages, what was sent and both totals go on on the reference, in whatever pieces."""
    rng = np.random.default_rng(4)
    for groups in (1, 24):
        layer = Convolution(rng.normal(size=(96, 96 // groups, 2, 2)), groups=groups)
        kind = BipolarIntegrateAndFire()
        net, stimulus, populations = behind(kind, layer, (96, 3, 4), kind)
        program = compile_network(net, DT, 0, "float32")
        wave = 8.0 * np.sin(np.linspace(0.1, 9.0, 40)) * np.linspace(0.1, 20.0, 40)
        fed = rng.uniform(0.5, 1.0, (3, 1, 96, 3, 4)) * wave[None, :, None, None, None] / DT
        pair = [
            run(engine, program, stimulus, populations, fed, 40, block=9)
            for engine in (NativeEngine(2), ReferenceEngine())
        ]
        for x, y in zip(*pair, strict=True):
            np.testing.assert_array_equal(x, y)
    assert slow_starts


@pytest.mark.parametrize("kind", SENDERS)
def test_what_is_put_side_by_side_is_put_into_one_buffer(kind: str) -> None:
    """Concatenations of disjoint parts need no sum, whichever part is named first."""
    shape = (3, 4, 5)
    net, stimulus, populations = behind(SENDERS[kind], Reshape((60,)), shape)
    cells = populations[1]
    with net:
        whole = (3, 4, 11)
        node = sw.Node(size_in=whole)
        sw.Connection(cells.neurons, node, None, Place(((0, 3, 1), (0, 4, 1), (5, 10, 1)), whole))
        sw.Connection(cells.neurons, node, None, Place(((0, 3, 1), (0, 4, 1), (0, 5, 1)), whole))
        sw.Probe(node)
        meeting = sw.Node(size_in=whole)  # parts that meet are added
        for start in (0, 4):
            ranges = ((0, 3, 1), (0, 4, 1), (start, start + 5, 1))
            sw.Connection(cells.neurons, meeting, None, Place(ranges, whole))
        sw.Probe(meeting)
    assert not on_reference(assert_native_is_reference(net, stimulus, populations))
