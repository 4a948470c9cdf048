"""Plans say what each operator costs, and how much of it leaves the native kernels."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from spikewright import engines
from spikewright.network.transforms import Reshape


def network() -> sw.Network:
    """A convolution, and a matrix behind a function that no kernel knows."""
    rng = np.random.default_rng(0)
    with sw.Network(seed=0) as net:
        x = sw.Node(rng.normal(size=(2, 6, 6)), label="x")
        a = sw.Ensemble((4, 4, 4), None, neuron_type=sw.IntegrateAndFire(), label="a")
        f = sw.Node(lambda t, v: np.sin(v), size_in=64, size_out=64, label="f")
        b = sw.Ensemble(10, None, neuron_type=sw.IntegrateAndFire(), label="b")
        sw.Connection(x, a.neurons, None, sw.Convolution(rng.normal(size=(4, 2, 3, 3))))
        sw.Connection(a.neurons, f, None, Reshape((64,)))
        sw.Connection(f, b.neurons, None, sw.Dense(rng.normal(size=(10, 64))))
        sw.Probe(b.neurons)
    return net


@pytest.mark.parametrize("engine", engines.available())
def test_rows_hold_multiply_adds(engine: str) -> None:
    """Weights times the values that they meet, and one a value elsewhere; shares sum to one."""
    plan = sw.Simulator(network(), engine=engine, progress=False).plan
    work = {row.operator: row.work for row in plan}
    assert 4 * 4 * 4 * 2 * 9 in work.values(), "the convolution"
    assert 10 * 64 in work.values(), "the matrix"
    assert work["<Ensemble 'b'>"] == 10
    kernels = {row.kernel for row in plan}
    assert sum(plan.share(kernel) for kernel in kernels) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.skipif("native" not in engines.available(), reason="native kernels are not built")
def test_what_leaves_the_fast_path_says_why_and_what_it_costs() -> None:
    """A function of the user's own; all else is native."""
    plan = sw.Simulator(network(), engine="native", progress=False).plan
    (left,) = (row for row in plan if row.operator == "<Node 'f'>")
    assert left.kernel == "reference" and left.why
    others = sum(row.work for row in plan if row.kernel == "reference" and row is not left)
    total = sum(row.work for row in plan)
    assert plan.share("reference") == pytest.approx((left.work + others) / total)
    assert 0.0 < plan.share("reference") < 0.2
    line = next(line for line in str(plan).splitlines() if "<Node 'f'>" in line)
    assert f"{left.work / total:.1%}" in line
