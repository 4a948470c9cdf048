"""The grid: what it holds, how far weights move, and that sums on it are exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from spikewright.engines.grid import (
    GRIDS,
    MAX_FAN_IN,
    PRECISIONS,
    Precision,
    input_limbs,
    limbs,
    on_grid,
    weight_limbs,
    whole_steps,
)

magnitudes = st.floats(1e-12, 1e6)
finite = st.one_of(
    magnitudes,
    magnitudes.map(lambda v: -v),
    st.sampled_from([0.0, 1.0, -2.0, float(np.nextafter(1.0, 0.0)), float(np.nextafter(2.0, 3.0))]),
)
shapes = hnp.array_shapes(min_dims=2, max_dims=4, max_side=4)
weights = hnp.arrays(np.float64, shapes, elements=finite)
samples = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 9))
inputs = hnp.arrays(np.float64, samples, elements=finite)
both = pytest.mark.parametrize("precision", PRECISIONS)
HELD_BITS = {"float32": 24, "float64": 53}


def is_on(values: NDArray, bits: int, largest: NDArray) -> bool:
    """Whether values are whole multiples, of magnitude 2**bits at most, of one power of two."""
    mantissa, exponent = np.frexp(largest)
    exponent = exponent - (mantissa == 0.5)  # the smallest power of two that is not exceeded
    units = values / np.ldexp(1.0, exponent - bits)
    return bool(np.all(units == np.rint(units)) and np.all(np.abs(units) <= 2.0**bits))


@both
@settings(max_examples=75)
@given(weight=weights)
def test_weights_move_by_less_than_their_precision_would_move_the_largest(
    weight: NDArray, precision: Precision
) -> None:
    """By 2^-24 of the channel's maximum at most (2^-53 in float64); a channel is on its own."""
    held = on_grid(weight, precision)
    axes = tuple(range(1, weight.ndim))
    largest = np.abs(weight).max(axis=axes, keepdims=True)
    assert np.all(np.abs(held - weight) <= 2.0 ** -HELD_BITS[precision] * largest)
    scaled = weight * 2.0 ** np.arange(len(weight)).reshape(-1, *(1,) * len(axes))
    for channel in range(len(weight)):
        np.testing.assert_array_equal(
            on_grid(scaled, precision)[channel], held[channel] * 2.0**channel
        )


@both
@settings(max_examples=150)
@given(weight=weights)
def test_the_grid_holds_what_it_holds(weight: NDArray, precision: Precision) -> None:
    """Rounding twice is rounding once; float32's grid is exact in float32."""
    held = on_grid(weight, precision)
    np.testing.assert_array_equal(on_grid(held, precision), held)
    largest = np.abs(held).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    assert is_on(held, HELD_BITS[precision], largest)
    if precision == "float32":
        np.testing.assert_array_equal(held.astype(np.float32), held)


@both
def test_weights_near_the_largest_are_held_as_given(precision: Precision) -> None:
    """Those within a factor of two of the channel's maximum lose nothing of their own precision."""
    weight = np.random.default_rng(0).uniform(1.0, 2.0, (8, 50)).astype(precision)
    weight[:, 0] = np.nextafter(weight.dtype.type(2), weight.dtype.type(0))
    weight[::2] *= -1
    np.testing.assert_array_equal(on_grid(weight, precision), weight)
    weight[3, 0] = 2.0  # the end of a binade belongs to it
    np.testing.assert_array_equal(on_grid(weight, precision), weight)


@both
def test_silent_channels_stay_silent(precision: Precision) -> None:
    """All zeros, and no values at all, are held as they are."""
    weight = np.zeros((3, 4))
    weight[1] = 1e-300
    held = on_grid(weight, precision)
    assert not held[[0, 2]].any() and held[1].any()
    assert on_grid(np.zeros((0, 4)), precision).shape == (0, 4)
    assert on_grid(np.zeros((2, 0)), precision).shape == (2, 0)


@settings(max_examples=75)
@given(x=inputs, bits=st.integers(3, 30), count=st.integers(1, 4))
def test_limbs_are_whole_numbers_that_add_up(x: NDArray, bits: int, count: int) -> None:
    """Each limb divided by its power of two is an integer of `bits` bits; together they are `x`
    rounded to `bits * count - 1` bits below the maximum of its sample and step."""
    parts = limbs(x, (2,), bits, count)
    assert 1 <= len(parts) <= count
    largest = np.abs(x).max(axis=2, keepdims=True)
    for i, part in enumerate(parts):
        assert is_on(part, bits - 1, largest / 2.0 ** (bits * i))
    error = np.abs(sum(parts) - x)
    assert np.all(error <= largest * 2.0 ** -(bits * count - 1))


@both
@settings(max_examples=20)
@given(data=st.data(), n=st.integers(1, 30))
def test_partial_sums_are_exact(precision: Precision, data: st.DataObject, n: int) -> None:
    """Every sum of products of limbs, and the sum of those sums, is what rational numbers give."""
    weight = data.draw(hnp.arrays(np.float64, n, elements=finite))
    x = data.draw(hnp.arrays(np.float64, n, elements=finite))
    grid = GRIDS[precision]
    v = [part[0, 0] for part in input_limbs(x[None, None], n, grid)]
    w = [part[0] for part in weight_limbs(weight[None], grid)]
    total = Fraction(0)
    for limb in v:
        for part in w:
            terms = [Fraction(a) * Fraction(b) for a, b in zip(limb, part, strict=True)]
            assert Fraction(float(limb @ part)) == sum(terms)
            total += sum(terms)
    whole = zip(np.asarray(sum(v)), np.asarray(sum(w)), strict=True)
    assert total == sum(Fraction(a) * Fraction(b) for a, b in whole)


@both
@pytest.mark.parametrize("n", [1, 2, 3, 64, 1000, 65_535, MAX_FAN_IN])
def test_the_widest_sums_fit(n: int, precision: Precision) -> None:
    """As many of the largest limbs as are allowed sum to 2^53 at most: exact, in any order."""
    grid = GRIDS[precision]
    widest = 1  # the largest magnitude in one limb; odd numbers cannot be held by fewer bits
    while len(input_limbs(np.full((1, 1, n), 2.0 * widest - 1.0), n, grid)) == 1:
        widest *= 2
    heaviest = 2 ** (grid.weight_bits - 1)
    assert n * widest * heaviest <= 2**53 <= 4 * n * widest * heaviest
    rng = np.random.default_rng(0)
    for signs in (np.ones(n), rng.choice([-1.0, 1.0], n)):
        x = widest - rng.integers(0, 2, n)
        weight = heaviest - rng.integers(0, 2, n)
        wanted = sum(int(a) * int(b) for a, b in zip(x * signs, weight, strict=True))
        for order in (np.arange(n), rng.permutation(n)):
            found = (x * signs)[order].astype(float) @ weight[order].astype(float)
            assert int(found) == wanted


@both
@settings(max_examples=60)
@given(
    counts=hnp.arrays(np.int64, (2, 1, 30), elements=st.integers(-50, 50)),
    eighths=hnp.arrays(np.int64, (4, 30), elements=st.integers(-1000, 1000)),
)
def test_sums_over_spikes_are_those_of_integers(
    precision: Precision, counts: NDArray, eighths: NDArray
) -> None:
    """Counts are one limb, so that spikes through dyadic weights add up as integers do."""
    parts = input_limbs(counts.astype(np.float64), 30, GRIDS[precision])
    assert len(parts) == 1
    held = on_grid(eighths / 8.0, precision)
    np.testing.assert_array_equal(8 * parts[0][:, 0] @ held.T, counts[:, 0] @ eighths.T)


@both
def test_large_counts_are_split_and_lose_nothing(precision: Precision) -> None:
    """Whole numbers beyond one limb take several, which add up to them."""
    x = np.random.default_rng(0).integers(-(2**25), 2**25, (2, 1, 500)).astype(np.float64)
    parts = input_limbs(x, 500, GRIDS[precision])
    assert len(parts) > 1
    np.testing.assert_array_equal(sum(parts), x)


@both
def test_an_inputs_limbs_are_its_own(precision: Precision) -> None:
    """What else is in the batch or the block, whole numbers or not, changes no sample's sum."""
    rng = np.random.default_rng(1)
    whole = rng.integers(0, 5, (1, 3, 20)).astype(np.float64)
    analog = rng.standard_normal((1, 3, 20)) * 1e4
    grid = GRIDS[precision]
    for x, other in ((whole, analog), (analog, whole)):
        alone = input_limbs(x, 20, grid)
        together = [part[:1] for part in input_limbs(np.concatenate([x, other]), 20, grid)]
        np.testing.assert_array_equal(sum(alone), sum(together))
        for one, two in zip(alone, together, strict=False):
            np.testing.assert_array_equal(one, two)
        assert not any(part.any() for part in together[len(alone) :])


@both
def test_analog_inputs_keep_their_bits(precision: Precision) -> None:
    """At least 32 bits below the largest value of the sample (53 in float64), for any fan-in."""
    x = np.random.default_rng(2).standard_normal((3, 2, 1000))
    largest = np.abs(x).max(axis=2, keepdims=True)
    bits = {"float32": 32, "float64": 53}[precision]
    for fan_in in (1, 10, 1000, MAX_FAN_IN):
        error: Any = np.abs(sum(input_limbs(x, fan_in, GRIDS[precision])) - x)
        assert np.all(error <= largest * 2.0**-bits)


def test_longer_sums_are_refused_here() -> None:
    """Who sums over more inputs than fit must do it in pieces."""
    with pytest.raises(ValueError, match="in pieces of 65536"):
        input_limbs(np.ones((1, 1, 3)), MAX_FAN_IN + 1, GRIDS["float32"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(most=st.integers(1, 127), seed=st.integers(0, 2**32 - 1))
def test_weights_of_few_bits_are_whole_numbers_of_a_step(dtype: type, most: int, seed: int) -> None:
    """Whatever the step, each weight is within half a step of the grid of its whole number."""
    rng = np.random.default_rng(seed)
    whole = rng.integers(-most, most + 1, (5, 40))
    weight = (whole * np.exp2(rng.uniform(-20, 20, (5, 1)))).astype(dtype)
    steps = whole_steps(weight)
    assert steps is not None
    found = np.rint(weight / steps[:, None])
    assert np.abs(found).max() <= most
    largest = np.abs(weight).max(axis=1, keepdims=True)
    assert np.all(np.abs(found * steps[:, None] - weight) <= 2.0**-24 * largest)


def test_weights_of_more_bits_have_no_step() -> None:
    """One that is off by more than the grid would move it is enough; so is a channel without."""
    whole = np.random.default_rng(0).integers(-127, 128, (3, 50)) * 0.0123
    assert whole_steps(whole) is not None
    whole[2, 17] += 1e-6
    assert whole_steps(whole) is None
    assert whole_steps(whole[:2]) is not None
    assert whole_steps(np.random.default_rng(0).normal(size=(4, 60))) is None


@pytest.mark.parametrize("kept", [1.0, 0.02, 0.002])
def test_every_channel_of_many_has_its_step(kept: float) -> None:
    """Numbers as networks have them, few of them large, and pruned: none of 500 steps is missed."""
    rng = np.random.default_rng(3)
    whole = np.rint(rng.normal(0, 30, (500, 1000))).clip(-127, 127) * (
        rng.random((500, 1000)) < kept
    )
    steps = whole_steps((whole * rng.uniform(0.1, 1.1, (500, 1))).astype(np.float32))
    assert steps is not None
