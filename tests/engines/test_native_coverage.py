"""What has native kernels beside integrate-and-fire, dense layers and convolutions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from conformance import transform_examples
from engines.comparing import Exceeding, assert_same
from spikewright import engines
from spikewright.engines import Execution, Program, compile_network
from spikewright.engines.base import PlanRow
from spikewright.engines.operators import Apply, Linear
from spikewright.engines.populations import Neurons
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    LeakyReLU,
    NeuronType,
    ParametricReLU,
    RegularSpiking,
    RunningMeanSpiking,
    SignedIntegrateAndFire,
)
from spikewright.network.node_functions import LogSoftmax
from spikewright.network.transforms import (
    Chain,
    Convolution,
    Dense,
    Place,
    Reshape,
    SumPool,
    Transform,
)

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn
from spikewright._base.windows import Windows
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.regions import Region, plan_rows, with_regions

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
                assert_same(found, expected)


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
def test_layers_drive_neurons(name: str, kind: str, last: bool, exceeding: Exceeding) -> None:
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
    assert not exceeding()


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_what_does_not_change(name: str) -> None:
    """Layers of an input that is held run natively by themselves, once."""
    transform, shape = LAYERS[name]
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(shape))
        made = transform.output_shape(shape)
        end = sw.Ensemble(made, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
        sw.Connection(stimulus, end.neurons, None, transform)
        sw.Probe(end.neurons)
    program = assert_native_is_reference(net, stimulus, [end])
    rows = zip(program.operators, plan_rows(program), strict=True)
    (row,) = [row for op, row in rows if isinstance(op, Linear)]
    assert row.kernel.startswith("native")


@pytest.mark.parametrize("base", [None, RegularSpiking, RunningMeanSpiking])
def test_a_slope_a_neuron(base: Callable | None) -> None:
    """Parametric rectifiers as rates, as spikes and as running means, in any order of storage."""
    slope = np.random.default_rng(1).normal(0.0, 0.5, (5, 4, 3))
    kind = ParametricReLU(slope) if base is None else base(ParametricReLU(slope))
    layer = Convolution(np.random.default_rng(2).normal(size=(3, 5, 1, 1)))
    net, stimulus, populations = behind(kind, layer, (5, 4, 3))
    program = assert_native_is_reference(net, stimulus, populations)
    assert not on_reference(program)


@pytest.mark.parametrize("cap", [None, 1, 3, 127, 128, 500])
def test_spikes_that_are_taken_back(cap: int | None, exceeding: Exceeding) -> None:
    """Whatever the cap, the sizes of counts, and what drives the neurons."""
    rng = np.random.default_rng(6)
    kind = BipolarIntegrateAndFire(max_spikes_per_step=cap)
    layers: list[tuple[Transform, tuple[int, ...]]] = [
        (Dense(rng.normal(size=(70, 40))), (40,)),
        (Convolution(rng.normal(size=(20, 3, 3, 3))), (3, 6, 5)),
        (SumPool(Windows((2, 2)), np.array(1.0)), (3, 6, 5)),
        (SumPool(Windows((6, 6)), np.array(1.0)), (3, 6, 6)),
    ]
    for scale in (1.0, 30.0):
        for layer, shape in layers:
            net, *rest = behind(kind, layer, shape, kind, scale=scale)
            assert not on_reference(assert_native_is_reference(net, *rest))
    if cap is not None and cap < 100:
        assert not exceeding()


def test_signed_counts_outgrow_bytes_behind_layers(
    exceeding: Exceeding,
) -> None:
    """Voltages, what was sent and both totals, in whatever pieces."""
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
    assert exceeding()


def test_signed_spikes_of_any_size_stay_native(exceeding: Exceeding) -> None:
    """Counts beyond a byte, of either sign, are summed as values where they occur."""
    rng = np.random.default_rng(3)
    layers: list[tuple[Transform, tuple[int, ...]]] = [
        (Dense(rng.normal(size=(7, 40))), (40,)),
        (Convolution(rng.normal(size=(6, 1, 3, 3)), groups=6), (6, 5, 5)),
        (Convolution(rng.normal(size=(6, 3, 3, 3)), groups=2), (6, 5, 5)),
    ]
    for scale in (300.0, 1e4, 1e7):
        for layer, shape in layers:
            net, *rest = behind(SignedIntegrateAndFire(), layer, shape, scale=scale)
            assert not on_reference(assert_native_is_reference(net, *rest))
    assert not exceeding()


def test_counts_outgrow_bytes_behind_grouped_layers(
    exceeding: Exceeding,
) -> None:
    """Of a population that is in pieces."""
    rng = np.random.default_rng(4)
    for last in (False, True):
        layer = Convolution(rng.normal(size=(96, 4, 2, 2)) * 3.0, groups=24, channels_last=last)
        shape = (3, 4, 96) if last else (96, 3, 4)
        net, stimulus, populations = behind(
            sw.IntegrateAndFire(), layer, shape, sw.IntegrateAndFire()
        )
        program = compile_network(net, DT, 0, "float32")
        rising = np.linspace(0.1, 40.0, 40)[None, :, None, None, None]
        fed = rng.uniform(0.0, 1.0, (3, 1, *shape)) * rising / DT
        pair = [
            run(engine, program, stimulus, populations, fed, 40, block=9)
            for engine in (NativeEngine(2), ReferenceEngine())
        ]
        for x, y in zip(*pair, strict=True):
            np.testing.assert_array_equal(x, y)
    assert exceeding()


def test_sums_over_large_windows_do_not_outgrow_bytes(exceeding: Exceeding) -> None:
    """A global pool of spikes is a sum of values."""
    windows = Windows((16, 16))
    chain = Chain((SumPool(windows, np.array(1 / 256)), Reshape((4,)), Dense(np.eye(4)[:3] + 0.1)))
    net, stimulus, populations = behind(sw.IntegrateAndFire(), chain, (4, 16, 16), scale=30.0)
    assert not on_reference(assert_native_is_reference(net, stimulus, populations))
    assert not exceeding()


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


def test_what_follows_a_function_of_a_node_is_native_again() -> None:
    """Values from outside, that change from step to step, enter regions; constants do not."""
    net, stimulus, populations = behind(sw.IntegrateAndFire(), Dense(np.eye(6)), (6,))
    with net:
        function = sw.Node(LogSoftmax(-1, accumulate=True), size_in=6)
        sw.Connection(populations[1].neurons, function, None)
        after = sw.Ensemble(5, neuron_type=SignedIntegrateAndFire(), gain=1.0, bias=0.0)
        weights = Dense(np.random.default_rng(0).normal(size=(5, 6)))
        sw.Connection(function, after.neurons, None, weights)
        sw.Probe(after.neurons)
    populations.append(after)
    program = assert_native_is_reference(net, stimulus, populations)
    assert on_reference(program) == {"Apply"}
    prepared = with_regions(program)
    regions = [op for op in prepared.operators if isinstance(op, Region)]
    assert len(regions) == 2
    assert {type(op) for op in regions[1].operators} >= {Linear, Neurons}
    assert sum(isinstance(op, Apply) for op in prepared.operators) == 1


BLOCKS = {
    "mobilenet": ("ReLU", set()),
    "mobilenet-clipped": ("ReLU6", set()),
    "mobilenet-curved": ("SiLU", {"Neurons"}),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_networks_stay_native(name: str) -> None:
    """Of an inverted residual block nothing is left but the curve."""
    nn = pytest.importorskip("torch.nn")
    activation, wanted = BLOCKS[name]
    act = getattr(nn, activation)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), act(), nn.Conv2d(8, 8, 3, 1, 1, groups=8), act(),
        nn.Conv2d(8, 12, 1), nn.Conv2d(12, 24, 1), act(),
        nn.Conv2d(24, 24, 3, 2, 1, groups=24), act(), nn.Conv2d(24, 8, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    x = np.random.default_rng(0).random((2, 3, 16, 16)).astype(np.float32)
    conversion = sw.convert(model, spiking=True, scale_firing_rates=300.0, example_input=x[:1])
    found = conversion.run(x, steps=30, engine="native", progress=False)
    expected = conversion.run(x, steps=30, engine="reference", progress=False)
    np.testing.assert_array_equal(found.output, expected.output)
    assert found.output.any()
    assert on_reference(compile_network(conversion.network, 0.001, 0, "float32")) == wanted


def test_a_block_of_attention_leaves_curves_alone() -> None:
    """Projections, attention, norms and residual sums of a transformer block are native."""
    nn = pytest.importorskip("torch.nn")
    layer = nn.TransformerEncoderLayer(16, 2, 24, 0.0, "gelu", batch_first=True, norm_first=True)
    x = np.random.default_rng(0).normal(size=(2, 5, 16)).astype(np.float32)
    conversion = sw.convert(
        layer.eval(), spiking=True, scale_firing_rates=300.0, example_input=x[:1]
    )
    found = conversion.run(x, steps=30, engine="native", progress=False)
    expected = conversion.run(x, steps=30, engine="reference", progress=False)
    np.testing.assert_array_equal(found.output, expected.output)
    program = compile_network(conversion.network, 0.001, 0, "float32")
    assert on_reference(program) == {"Neurons"}
    rows = zip(program.operators, plan_rows(program), strict=True)
    left = {row.why for op, row in rows if row.kernel == "reference" and isinstance(op, Neurons)}
    assert left == {"RunningMeanSpiking of gelu has no native kernel"}
