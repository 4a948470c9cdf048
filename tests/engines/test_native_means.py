"""Neurons that follow the running mean of a clipped current, fused with the layer before them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
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

from spikewright.engines.native.building import build
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.regions import Region, with_regions
from spikewright.engines.native.running import RegionKernel

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
            built = build(op, program)
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
                for x, y in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(x, y)
    return expected


@pytest.mark.parametrize(("sender", "kind"), in_turn(2 * [*SENDERS], FOLLOWING))
def test_layers_and_their_neurons_are_one(
    kind: str, sender: str, slow_starts: list[RegionKernel]
) -> None:
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
    assert not slow_starts
