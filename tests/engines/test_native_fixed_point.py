"""Neurons in whole numbers on the native engine: the reference's spikes, within any bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spikewright as sw
from engines.random_networks import DT, fixed_point
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.grid import PRECISIONS
from spikewright.engines.populations import Neurons
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.transforms import Convolution

pytestmark = pytest.mark.skipif("native" not in engines.available(), reason="no compiler")

STEPS = 20
FORMS = ("layer", "currents", "held", "recorded")
"""Behind weights of spikes; driven by values that change, or stay; with the voltage recorded."""


class Driven:
    """A population in whole numbers with random bounds, and what drives it."""

    def __init__(self, seed: int, form: str, most: float = 3.0) -> None:
        rng = self.rng = np.random.default_rng(seed)
        channels, side = int(rng.choice([1, 5, 16, 32, 70])), int(rng.choice([1, 3, 4]))
        last = bool(rng.integers(2))
        self.shape = (side, side, channels) if last else (channels, side, side)
        self.batch = int(rng.integers(1, 4))
        with sw.Network(seed=seed % 1000) as self.network:
            self.stimulus = sw.Node(np.zeros(self.shape))
            kind = fixed_point(rng, self.shape, last)
            scale = rng.uniform(1, 9, self.shape) if rng.random() < 0.3 else 3.0
            start = str(rng.choice(["zero", "half", "uniform"]))
            self.cells = sw.Ensemble(
                self.shape,
                neuron_type=kind,
                gain=1.0,
                bias=0.25,
                rate_scale=scale,
                initial_voltage=start,
            )
            if form == "layer":
                first = sw.Ensemble(
                    self.shape,
                    neuron_type=sw.IntegrateAndFire(),
                    gain=1.0,
                    bias=0.0,
                    rate_scale=3.0,
                )
                sw.Connection(self.stimulus, first.neurons, None)
                kernel = rng.normal(0.02, 1.0 / channels, (channels, channels, 3, 3))
                weights = Convolution(
                    kernel.astype(np.float32), (1, 1), ((1, 1),) * 2, channels_last=last
                )
                sw.Connection(first.neurons, self.cells.neurons, None, weights)
            else:
                sw.Connection(self.stimulus, self.cells.neurons, None)
            sw.Probe(self.cells.neurons, "spike_count")
            if form == "recorded":
                sw.Probe(self.cells.neurons, "voltage")
        steps = 1 if form == "held" else STEPS
        self.fed = most * rng.normal(0.3, 1.0, (self.batch, steps, *self.shape))

    def run(self, engine: Any, precision: str, **cut: int) -> list[NDArray]:
        """Recordings of two runs one after the other, and totals."""
        program = compile_network(self.network, DT, 0, precision)
        (native,) = {
            row.kernel for row, op in zip(rows(program), program.operators, strict=True)
            if isinstance(op, Neurons) and op.ensemble is self.cells
        }  # fmt: skip
        assert native.startswith("native")
        execution = Execution(program, engine, self.batch, [self.cells], **cut)
        half = STEPS // 2
        parts = [
            execution.run(
                n, {self.stimulus: self.fed[:, a:b] if self.fed.shape[1] > 1 else self.fed}
            )
            for n, a, b in ((half, 0, half), (STEPS - half, half, STEPS))
        ]
        arrays = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
        sums = execution.summed()[self.cells]
        return [*arrays, sums.sent]


def rows(program: Any) -> Any:
    """What the native engine plans for every operator."""
    from spikewright.engines.native.regions import plan_rows

    return plan_rows(program)


def assert_same(net: Driven, precision: str) -> list[NDArray]:
    """On every instruction set, in blocks of any size, on several threads."""
    from spikewright.engines.native.engine import NativeEngine, instruction_sets

    expected = net.run(ReferenceEngine(), precision)
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            for threads, cut in ((1, {}), (2, {"block": 3}), (1, {"chunk": 1})):
                found = net.run(NativeEngine(threads), precision, **cut)
                for x, y in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(x, y)
    return expected


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**9), st.sampled_from(FORMS), st.sampled_from(PRECISIONS))
def test_any_bounds_are_the_references(seed: int, form: str, precision: str) -> None:
    """Thresholds of any size and shape, floors, caps, bits, leaks, resets, starts: every spike."""
    assert_same(Driven(seed, form), precision)


@pytest.mark.parametrize("form", FORMS)
def test_counts_beyond_a_byte(form: str) -> None:
    """From there on the reference goes on with the same voltages; a cap of many spikes is none."""
    many = 0
    for seed in range(12):
        net = Driven(seed, form, most=400.0)
        many += assert_same(net, "float32")[0].max() > 127
    assert many > 1


@pytest.mark.parametrize("form", ["layer", "held"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_thresholds_are_reached_exactly(reset: Any, form: str) -> None:
    """Large thresholds have no tolerance: a voltage one below sends nothing, one at it does."""
    from spikewright.engines.native.engine import NativeEngine

    for unit in (3.0, 2.0**20 + 1, 2.0**32 - 1):
        net = Driven(1, form)
        net.cells.neuron_type = sw.FixedPointIntegrateAndFire(np.array(unit), reset=reset)
        n = net.cells.n_neurons
        below = (unit - 1 + np.arange(n) % 2).reshape(net.shape) / unit
        net.cells.initial_voltage, net.cells.bias, net.cells.rate_scale = below, 0.0, 8.0
        net.fed = np.zeros_like(net.fed)
        counts = [net.run(e, "float64")[0] for e in (NativeEngine(1), ReferenceEngine())]
        assert counts[0].sum() == net.batch * (n // 2)
        np.testing.assert_array_equal(*counts)
