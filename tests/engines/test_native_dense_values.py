"""Products of values: laid out side by side where most are not zero, else listed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright.engines import PRECISIONS, Precision, compile_network
from spikewright.engines.operators import Linear
from spikewright.network.neurons import (
    ClippedReLU,
    LeakyReLU,
    NeuronType,
    RectifiedLinear,
    RunningMeanSpiking,
)
from spikewright.network.transforms import AxisMap, Convolution, Dense, Transform

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from test_native_coverage import DT, behind
from test_native_means import assert_alike

READERS: dict[str, NeuronType | None] = {
    "values": None,
    "counts": sw.IntegrateAndFire(max_spikes_per_step=3),
    "signed counts": RunningMeanSpiking(ClippedReLU(2.0)),
}


def layers() -> list[tuple[Transform, tuple[int, ...]]]:
    """Sums over few and many inputs, so that values are split into two limbs and three."""
    rng = np.random.default_rng(2)
    return [
        (Dense(rng.normal(size=(37, 21))), (21,)),
        (Dense(rng.normal(size=(5, 4500))), (4500,)),
        (Convolution(rng.normal(size=(19, 3, 1, 1))), (3, 4, 5)),
        (Convolution(rng.normal(size=(70, 5, 3, 3)), channels_last=True), (6, 5, 5)),
        (Convolution(rng.normal(size=(6, 3, 2, 2)), groups=2), (6, 5, 4)),
    ]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_values_of_every_density(share: float, reader: str) -> None:
    """Few values, some, or all differ from zero, in turn from step to step; bit by bit."""
    rng = np.random.default_rng(3)
    for transform, shape in layers():
        sender = LeakyReLU(0.3) if share == 1.0 else RectifiedLinear()
        net, stimulus, populations = behind(sender, transform, shape, READERS[reader])
        program = compile_network(net, DT, 0, "float32")
        size = (2, 36, *shape)
        fed = np.where(rng.random(size) < share, rng.normal(0.3, 3.0, size), -50.0) / DT
        fed[:, 20:] = rng.normal(1.0, 2.0, (2, 16, *shape)) / DT  # the same slab is dense later
        assert_alike(program, stimulus, populations, fed, 36)


SPREAD = [
    *layers(),
    (Convolution(np.random.default_rng(5).normal(size=(4, 1, 3, 3)), groups=4), (4, 6, 5)),
    (Convolution(np.random.default_rng(6).normal(size=(8, 1, 2, 2)), groups=4), (4, 5, 5)),
    (AxisMap(np.random.default_rng(7).normal(size=(5, 6)), 1), (3, 6, 4)),
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("reader", ["values", "counts"])
def test_weights_and_values_of_many_sizes(reader: str, precision: Precision) -> None:
    """Residuals of weights, and remainders of values, are added in the reference's order: in steps
    of values of many sizes, in steps of usual ones, and in steps of small whole numbers."""
    rng = np.random.default_rng(8)
    for transform, shape in SPREAD:
        name = "kernel" if isinstance(transform, Convolution) else "matrix"
        weights = getattr(transform, name)
        spread = replace(
            transform, **{name: weights * 10.0 ** rng.uniform(-9.0, 0.0, weights.shape)}
        )
        net, stimulus, populations = behind(LeakyReLU(0.3), spread, shape, READERS[reader], 1.0)
        program = compile_network(net, DT, 0, precision)
        size = (2, 36, *shape)
        fed = rng.normal(0.3, 3.0, size) / DT
        fed[0, :18] *= 10.0 ** rng.uniform(-9.0, 0.0, (18, *shape))
        fed[1, 9:] = np.rint(fed[1, 9:])
        compensated = [op.compensation for op in program.operators if isinstance(op, Linear)]
        assert any(c is not None and len(c.residuals.values) for c in compensated)
        assert_alike(program, stimulus, populations, fed, 36)


def test_values_of_any_size() -> None:
    """Limbs are relative to the largest of a step: of the smallest numbers, too."""
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(9, 40))
    for size in (1e-300, 1e-280, 1.0, 1e200):
        with sw.Network(seed=0) as net:
            stimulus = sw.Node(np.zeros(40))
            cells = sw.Ensemble(40, neuron_type=LeakyReLU(0.3), gain=size, bias=0.0)
            end = sw.Node(size_in=9)
            sw.Connection(stimulus, cells.neurons, None)
            sw.Connection(cells.neurons, end, None, Dense(matrix))
            last = sw.Ensemble(9, neuron_type=sw.IntegrateAndFire(), gain=1.0 / size, bias=0.0)
            sw.Connection(end, last.neurons, None)
            sw.Probe(last.neurons)
        program = compile_network(net, DT, 0, "float32")
        fed = rng.normal(0.0, 1.0, (2, 24, 40)) / DT
        spikes, *_ = assert_alike(program, stimulus, [cells, last], fed, 24)
        assert spikes.any()
