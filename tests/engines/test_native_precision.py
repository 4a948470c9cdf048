"""Float64 natively: weights in two limbs, the reference's results to the bit, and its plan."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.grid import PRECISIONS, on_grid
from spikewright.engines.reference import ReferenceEngine

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native import _kernels
from spikewright.engines.native._kernels import Reading, pack
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.kernel_selection import MAX_FAN_IN
from spikewright.engines.native.regions import plan_rows

DT = 0.001


def modelled(seed: int) -> sw.Network:
    """Ensembles of one and of several dimensions in a loop, learned weights, neurons to neurons."""
    rng = np.random.default_rng(seed)
    with sw.Network(seed=seed) as net:
        stimulus = sw.Node(rng.uniform(-1, 1, 3))
        one, three = sw.Ensemble(60, 1), sw.Ensemble(90, 3, neuron_type=sw.SpikingRectifiedLinear())
        sw.Connection(stimulus, three, synapse=0.01)
        sw.Connection(three, three, transform=rng.normal(0, 0.5, (3, 3)), synapse=0.05)
        sw.Connection(three[:1], one, function=np.square, synapse=0.005)
        sw.Connection(one, three[1], learning_rule_type=sw.PES(1e-4)).learning_rule  # noqa: B018
        weights = rng.normal(0, 1e-4, (60, 90))
        sw.Connection(three.neurons, one.neurons, transform=weights, synapse=0.005)
        for ensemble in (one, three):
            sw.Probe(ensemble, synapse=0.01)
            sw.Probe(ensemble.neurons)
    return net


def recorded(
    net: sw.Network, engine: engines.Engine, precision: str, steps: int = 60, **cut: int
) -> list[NDArray]:
    """All recordings of two samples."""
    program = compile_network(net, DT, 0, precision)  # type: ignore[arg-type]
    return Execution(program, engine, 2, **cut).run(steps)


def same(found: list[NDArray], expected: list[NDArray]) -> bool:
    """Whether all arrays are equal to the bit."""
    return all(np.array_equal(x, y) for x, y in zip(found, expected, strict=True))


@pytest.mark.parametrize("isa", instruction_sets())
def test_models_are_the_references(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, on any instruction set, threads and blocks; and float32 is something else."""
    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    for seed in range(3):
        net = modelled(seed)
        expected = recorded(net, ReferenceEngine(), "float64")
        assert all(x.any() for x in expected)
        for threads, block in ((1, 1000), (2, 7)):
            engine = NativeEngine(threads)
            assert same(recorded(net, engine, "float64", block=block), expected)
        assert not same(recorded(net, NativeEngine(1), "float32"), expected)


def test_plans_are_those_of_single_precision() -> None:
    """Every operator that is native in one precision is in the other, and most are."""
    net = modelled(0)
    narrow, wide = (plan_rows(compile_network(net, DT, 0, p)) for p in PRECISIONS)
    assert narrow == wide
    kernels = [row.kernel for row in wide]
    for kernel in ("population", "learned weights", "Dense of events", "Dense of values"):
        assert f"native: {kernel}" in kernels
    assert kernels.count("reference") <= 3  # constants, which are computed once


def between(matrix: NDArray) -> sw.Network:
    """Neurons of different rates, and what their spikes send through a matrix."""
    rng = np.random.default_rng(0)
    size = matrix.shape[1]
    with sw.Network(seed=0) as net:
        kind, bias = sw.IntegrateAndFire(), rng.uniform(0.0, 3.0, size) / DT
        sent = sw.Ensemble(size, neuron_type=kind, gain=1.0, bias=bias)
        out = sw.Node(size_in=len(matrix))
        sw.Connection(sent.neurons, out, None, matrix)
        sw.Probe(out)
        sw.Probe(sent.neurons, "spike_count")
    return net


@pytest.mark.parametrize("isa", instruction_sets())
def test_sums_are_rounded_once(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact sum over all spikes, rounded once, then times their height, rounded again.

    Limbs fill 27 bits, so that sums of more than some tens of them are made of pieces.
    """
    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    matrix = np.random.default_rng(1).normal(size=(37, 500))
    budget = pack(matrix, widths=[64], reading=Reading.plain, bits=27, limbs=2).budgets[0]
    net = between(matrix)
    sums, counts = recorded(net, NativeEngine(1), "float64", 20)
    assert budget < 64 < counts[0, -1].sum()
    held = on_grid(matrix, "float64")
    for t in (0, 19):
        for row, found in zip(held[:5], sums[0, t], strict=False):
            terms = zip(row, counts[0, t], strict=True)
            assert found == float(sum(Fraction(w) * int(n) for w, n in terms)) * (1 / DT)
    assert same([sums, counts], recorded(net, ReferenceEngine(), "float64", 20))


def test_weights_of_few_bits_are_one_limb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as whole numbers: nothing is added up that is zero."""
    taken = []
    fill = _kernels.Region.fill
    monkeypatch.setattr(
        _kernels.Region,
        "fill",
        lambda self, *given, **named: (
            taken.append(1 + (named["packed"].low.size > 0)),
            fill(self, *given, **named),
        ),
        raising=True,
    )
    rng = np.random.default_rng(2)
    for matrix, limbs in (
        (rng.integers(-(2**20), 2**20, (20, 50)) * 1.0, 1),
        (rng.normal(size=(20, 50)), 2),
    ):
        taken.clear()
        net = between(matrix)
        found = recorded(net, NativeEngine(1), "float64", 20)
        assert taken == [limbs]
        assert same(found, recorded(net, ReferenceEngine(), "float64", 20))


def test_sums_of_very_many_weights() -> None:
    """More terms than one exact sum of the reference has, fewer than a limb allows."""
    size = 2**16 + 1000
    assert size < MAX_FAN_IN["float64"] < MAX_FAN_IN["float32"]
    net = between(np.random.default_rng(3).normal(size=(3, size)))
    found = recorded(net, NativeEngine(1), "float64", 4)
    assert found[0].any()
    assert same(found, recorded(net, ReferenceEngine(), "float64", 4))
