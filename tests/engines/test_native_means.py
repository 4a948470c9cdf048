"""Neurons that follow the running mean of a clipped current, fused with the layer before them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import Exceeding, assert_same
from spikewright import engines
from spikewright.engines import Program, compile_network
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.neurons import (
    ClippedReLU,
    Elementwise,
    LeakyReLU,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
    SignedIntegrateAndFire,
)
from spikewright.network.transforms import Convolution, Dense, Transform

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from test_native_coverage import DT, behind, run

from slowly import in_turn
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.region_builder import build_region
from spikewright.engines.native.regions import Region, plan_rows, with_regions

FOLLOWING: dict[str, NeuronType] = {
    "clipped": RunningMeanSpiking(ClippedReLU(2.0)),
    "clipped, capped": RunningMeanSpiking(ClippedReLU(), max_spikes_per_step=1),
    "rectified": RunningMeanSpiking(RectifiedLinear()),
    "rectified, capped": RunningMeanSpiking(RectifiedLinear(), max_spikes_per_step=3),
    "hard sigmoid": RunningMeanSpiking(Elementwise.of("hard_sigmoid", slope=0.2)),
    "hard swish": RunningMeanSpiking(Elementwise.of("hard_swish")),
}
SCALES = {"clipped": 20.0, "clipped, capped": 20.0, "hard sigmoid": 20.0}
SENDERS: dict[str, NeuronType] = {
    "events": sw.IntegrateAndFire(),
    "signed events": RunningMeanSpiking(ClippedReLU(2.0)),
    "signed events in doubles": SignedIntegrateAndFire(),
    "values": LeakyReLU(0.3),
}


def layers(seed: int) -> list[tuple[Transform, tuple[int, ...]]]:
    """One of every kernel that is fused with neurons; channels do not fill whole vectors."""
    rng = np.random.default_rng(seed)
    return [
        (Dense(rng.normal(size=(37, 21))), (21,)),
        (Convolution(rng.normal(size=(19, 3, 1, 1))), (3, 4, 5)),
        (Convolution(rng.normal(size=(70, 1, 3, 3)), groups=70), (70, 4, 3)),
        (Convolution(rng.normal(size=(6, 3, 2, 2)), groups=2), (6, 5, 4)),
    ]


def fused(program: Program) -> list[type[NeuronType]]:
    """Types of the populations in the fastest kernels."""
    found: list[type[NeuronType]] = []
    for op in with_regions(program).operators:
        if isinstance(op, Region):
            built = build_region(op, program)
            found += [type(neurons.neuron_type) for neurons, _, _ in built.populations]
    return found


def assert_alike(
    program: Program, stimulus: sw.Node, populations: list[sw.Ensemble], fed: NDArray, steps: int
) -> list[NDArray]:
    """The native engine gives the reference's bits; what that is."""
    expected = run(ReferenceEngine(), program, stimulus, populations, fed, steps)
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            for threads, block in ((1, None), (3, 7)):
                engine = NativeEngine(threads)
                found = run(engine, program, stimulus, populations, fed, steps, block)
                assert_same(found, expected)
    return expected


@pytest.mark.parametrize(("sender", "kind"), in_turn(2 * [*SENDERS], FOLLOWING))
def test_layers_and_their_neurons_are_one(kind: str, sender: str, exceeding: Exceeding) -> None:
    """Behind every kind of signal: few spikes and many, of both signs, bit by bit; all native."""
    rng = np.random.default_rng(1)
    for number, (transform, shape) in enumerate(layers(3)):
        net, stimulus, populations = behind(SENDERS[sender], transform, shape, scale=2.0)
        made = transform.output_shape(shape)
        with net:
            last = sw.Ensemble(
                made,
                neuron_type=FOLLOWING[kind],
                gain=1.5 if number else rng.uniform(0.5, 1.5, made),
                bias=0.1,
                rate_scale=(0.25, 1.0)[number % 2] * SCALES.get(kind, 1.0),
            )
            sw.Connection(populations[1].neurons, last.neurons, None, transform)
            sw.Probe(last.neurons)
        program = compile_network(net, DT, 0, "float32")
        fed = rng.normal(0.3, 1.0, (3, 1, *shape)) / DT
        everyone = [*populations, last]
        expected = assert_alike(program, stimulus, everyone, fed, 20)
        counts = expected[len(expected) - 2 * len(everyone) - 1] * DT
        assert counts.max() > 0 > counts.min()
        assert RunningMeanSpiking in fused(program)
    assert not exceeding()


def test_constant_currents_from_outside() -> None:
    """Neurons behind a constant are driven without a layer; blocks go on where others ended."""
    rng = np.random.default_rng(5)
    for kind in FOLLOWING.values():
        with sw.Network(seed=0) as net:
            stimulus = sw.Node(np.zeros((3, 7, 7)))
            cells = sw.Ensemble((3, 7, 7), neuron_type=kind, gain=1.0, bias=0.2, rate_scale=5.0)
            sw.Connection(stimulus, cells.neurons, None)
            sw.Probe(cells.neurons)
        program = compile_network(net, DT, 0, "float32")
        fed = rng.normal(0.3, 1.0, (2, 1, 3, 7, 7))
        assert_alike(program, stimulus, [cells], fed, 40)
        assert fused(program) == [RunningMeanSpiking]


@pytest.mark.parametrize("kind", FOLLOWING)
def test_a_recorded_state_is_the_references(kind: str) -> None:
    """Neurons whose voltage is read run in pieces, natively too, by the same equation."""
    rng = np.random.default_rng(8)
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros((3, 7, 7)))
        cells = sw.Ensemble(
            (3, 7, 7), neuron_type=FOLLOWING[kind], gain=1.0, bias=0.2, rate_scale=5.0
        )
        sw.Connection(stimulus, cells.neurons, None)
        sw.Probe(cells.neurons)
        sw.Probe(cells.neurons, "voltage")
    program = compile_network(net, DT, 0, "float32")
    assert_alike(program, stimulus, [cells], rng.normal(0.3, 1.0, (2, 40, 3, 7, 7)), 40)
    assert fused(program) == []
    assert "native: population" in {row.kernel for row in plan_rows(program)}


def test_means_are_rounded_once_whatever_their_size() -> None:
    """Sums from the smallest number to the largest, over steps whose reciprocals are not exact."""
    rng = np.random.default_rng(6)
    sizes = 2.0 ** rng.uniform(-1074, 1000, (2, 1, 96))
    sizes[:, :, :48] = 2.0 ** rng.uniform(-3, 3, (2, 1, 48))  # most are as usual
    fed = sizes * rng.choice([-1.0, 1.0, 1.0], (2, 70, 96))
    for most in (2.0, 1e-35):
        kind = RunningMeanSpiking(ClippedReLU(most))
        with sw.Network(seed=0) as net:
            stimulus = sw.Node(np.zeros(96))
            scale = 3.0 / min(1.0, most)
            cells = sw.Ensemble(96, neuron_type=kind, gain=1.0, bias=0.0, rate_scale=scale)
            sw.Connection(stimulus, cells.neurons, None)
            sw.Probe(cells.neurons)
        program = compile_network(net, 1.0, 0, "float32")
        _, sent, net_sent = assert_alike(program, stimulus, [cells], fed, 70)
        assert 0 < np.count_nonzero(sent) < sent.size
        assert np.any(sent != net_sent)


@pytest.mark.parametrize("function", ["relu", "hard_swish"])
@pytest.mark.parametrize("sender", SENDERS)
def test_counts_outgrow_bytes(sender: str, function: str, exceeding: Exceeding) -> None:
    """Voltages, means and both totals, in whatever pieces."""
    rng = np.random.default_rng(7)
    rectified = RunningMeanSpiking(RectifiedLinear())
    others = {"hard_swish": RunningMeanSpiking(Elementwise.of("hard_swish"))}
    kind = others.get(function, rectified)
    before = {**SENDERS, "signed events": rectified}[sender]
    for transform, shape in layers(4):
        net, stimulus, populations = behind(before, transform, shape)
        with net:  # whose voltage nobody records: that would take another kernel
            last = sw.Ensemble(
                transform.output_shape(shape), neuron_type=kind, gain=1.5, bias=0.1, rate_scale=2.0
            )
            sw.Connection(populations[1].neurons, last.neurons, None, transform)
            sw.Probe(last.neurons)
        populations.append(last)
        program = compile_network(net, DT, 0, "float32")
        rising = np.linspace(0.1, 400.0, 40).reshape(1, 40, *[1] * len(shape))
        fed = rng.uniform(0.0, 1.0, (3, 1, *shape)) * rising / DT
        pair = [
            run(engine, program, stimulus, populations, fed, 40, block=9)
            for engine in (NativeEngine(2), ReferenceEngine())
        ]
        for x, y in zip(*pair, strict=True):
            np.testing.assert_array_equal(x, y)
    assert exceeding()
