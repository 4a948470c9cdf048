"""Sums over analog values: what the grid of weights and the limbs of inputs leave out is added."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import spikewright as sw
from spikewright import engines
from spikewright.engines import PRECISIONS, Precision, compile_network
from spikewright.engines.compensation import LAW_BITS, Compensation
from spikewright.engines.grid import split_inputs, weight_limbs
from spikewright.engines.operators import DelayedLinear, Linear

both = pytest.mark.parametrize("precision", PRECISIONS)
every_engine = pytest.mark.parametrize("engine", engines.available())
floats = st.builds(
    lambda mantissa, exponent, sign: sign * float(np.float32(mantissa * 2.0**exponent)),
    st.floats(1.0, 2.0, width=32),
    st.integers(-50, 50),
    st.sampled_from([-1.0, 0.0, 1.0]),
)


def product(
    matrix: NDArray, x: NDArray, engine: str = "reference", precision: Precision = "float32"
) -> NDArray:
    """`matrix @ x` as a network of nodes computes it."""
    with sw.Network() as net:
        end = sw.Node(size_in=len(matrix))
        sw.Connection(sw.Node(x), end, None, transform=matrix)
        probe = sw.Probe(end)
    with sw.Simulator(net, 1.0, engine=engine, precision=precision, progress=False) as sim:
        sim.run_steps(1)
        found: NDArray = sim.data[probe][0]
        return found


@both
@every_engine
@pytest.mark.parametrize(
    ("matrix", "x", "wanted"),
    [
        ([[1.0, 1e-9], [1e-9, 1.0]], [1.0, 1e9], [2.0, 1e9]),
        ([[1e-12, 1e12]], [1e12, 1e-12], [2.0]),
        ([[1.0, 1e-30]], [0.0, 1e30], [1.0]),
    ],
)
def test_small_weights_count_beside_large_ones(
    matrix: list[list[float]], x: list[float], wanted: list[float], engine: str,
    precision: Precision,
) -> None:  # fmt: skip
    """A small weight meets a large value, and both terms of the sum are there."""
    found = product(np.array(matrix), np.array(x), engine, precision)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@both
@settings(max_examples=50)
@given(data=st.data(), n=st.integers(1, 12))
def test_the_bound_holds_for_any_numbers(precision: Precision, data: st.DataObject, n: int) -> None:
    """`|y - exact| <= n 2^-b sum |w x|` for float32 numbers of any size, `exact` in fractions."""
    matrix = data.draw(hnp.arrays(np.float64, (3, n), elements=floats))
    x = data.draw(hnp.arrays(np.float64, n, elements=floats))
    found = product(matrix, x, precision=precision)
    for y, row in zip(found, matrix, strict=True):
        terms = [Fraction(w) * Fraction(v) for w, v in zip(row, x, strict=True)]
        bound = n * sum(map(abs, terms)) / 2 ** LAW_BITS[precision]
        assert abs(Fraction(float(y)) - sum(terms)) <= bound


@both
def test_weights_on_the_grid_have_no_residuals(precision: Precision) -> None:
    """So networks that need no compensation give the bits that they gave without it."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((9, 50)) * 10.0 ** rng.uniform(-12.0, 0.0, (9, 50))
    held = Compensation.of(weight, precision)
    assert len(held.residuals.values)
    rounded = np.sum(weight_limbs(weight, held.grid), axis=0)
    assert not len(Compensation.of(rounded, precision).residuals.values)


@both
def test_few_weights_of_a_usual_layer_have_residuals(precision: Precision) -> None:
    """Of normal weights about one in a row is small enough; of weights of all sizes, most."""
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((200, 500))
    usual = len(Compensation.of(weight, precision).residuals.values)
    assert usual < 3 * len(weight)
    wide = weight * 10.0 ** rng.uniform(-12.0, 12.0, weight.shape)
    assert len(Compensation.of(wide, precision).residuals.values) > 0.5 * weight.size


def test_residuals_are_what_the_grid_leaves_out() -> None:
    """With them the weights are as given where they matter, in any order of the columns."""
    weight = np.array([[1.0, 1e-9, 3e-9, 0.3], [1.0, 0.5, 0.25, 0.0]])
    held = Compensation.of(weight, "float32")
    whole = weight_limbs(weight, held.grid)[0] + held.residual_weights()
    np.testing.assert_array_equal(whole[:, 1:3], weight[:, 1:3])
    assert list(held.residuals.starts) == [0, 3, 3]  # a channel of powers of two is on the grid
    turned = Compensation(weight, "float32", 4, np.arange(4)[::-1])
    assert list(turned.residuals.places) == [0, 1, 2]
    np.testing.assert_array_equal(turned.residuals.values, held.residuals.values[::-1])


@both
def test_remainders_are_those_of_samples_of_many_sizes(precision: Precision) -> None:
    """A sample alone says whether its remainders are added, whatever else is in the batch."""
    rng = np.random.default_rng(2)
    usual, wide = rng.uniform(0.5, 1.0, (2, 1, 3, 40))
    wide = wide * 10.0 ** rng.uniform(-12.0, 12.0, wide.shape)
    held = Compensation.of(np.ones((1, 40)), precision)
    assert split_inputs(usual, 40, held.grid, held.limits)[1] is None
    parts, rest = split_inputs(np.concatenate([usual, wide]), 40, held.grid, held.limits)
    assert rest is not None and not rest[0].any() and rest[1].any()
    found = sum(part[1] for part in parts) + rest[1]
    assert np.all(np.abs(found - wide[0]) <= 2.0 ** -(LAW_BITS[precision] + 2) * wide[0])


def test_spikes_meet_weights_on_the_grid_alone() -> None:
    """Only sums over analog values are compensated, and sparse entries kept as they are given."""
    entries = sw.Sparse((2, 3), indices=[[0, 1], [0, 2], [1, 0]], init=[1.0, 1e-12, 0.1])
    with sw.Network(seed=0) as net:
        analog = sw.Node(np.ones(3))
        cells = sw.Ensemble(3, None, neuron_type=sw.IntegrateAndFire())
        vector = sw.Ensemble(20, 3)
        ends = [sw.Node(size_in=2) for _ in range(6)]
        sw.Connection(analog, cells.neurons, None)
        sw.Connection(analog, vector, None)
        for pre, post in zip((analog, cells.neurons), ends[:2], strict=True):
            sw.Connection(pre, post, None, transform=np.full((2, 3), 0.1))
        for pre, post in zip((analog, cells.neurons), ends[2:4], strict=True):
            sw.Connection(pre, post, None, transform=entries)
        for pre, post in zip((analog, cells.neurons), ends[4:], strict=True):
            sw.Connection(pre, post, None, transform=entries, delay=np.full(3, 2e-3))
    program = compile_network(net, 1e-3, 0, "float32")
    dense = {op.label: op for op in program.operators if isinstance(op, Linear)}
    found = {
        (str(op.inputs[0] == program.operators[0].output), type(op.transform).__name__)
        for op in dense.values()
        if op.compensation is not None
    }
    assert {kind for _, kind in found} == {"Dense"} and len(found) == 1
    sparse = [
        op.transform.values
        for op in program.operators
        if isinstance(op, Linear | DelayedLinear) and isinstance(op.transform, sw.Sparse)
    ]
    assert sorted(bool(np.any(values == 1e-12)) for values in sparse) == [False, False, True, True]
