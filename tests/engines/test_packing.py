"""Weights in the kernels' form: on the grid, in blocks of lanes, made once and shared."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import spikewright as sw
from spikewright import engines
from spikewright.engines.grid import integer_weights

if "native" not in engines.available():
    pytest.skip("native kernels are not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native import weight_packing
from spikewright.engines.native._kernels import MOST_REPEATS, NO_BUDGET, Reading, pack
from spikewright.engines.native.weight_packing import lane_widths

CHANNELS = 6  # of an input of either sign


def drawn(out: int, columns: int, dtype: type) -> NDArray:
    """Weights of very different sizes, one channel of zeros and one with a power of two."""
    rng = np.random.default_rng(out + columns)
    weights = rng.normal(size=(out, columns)) * 2.0 ** rng.integers(-30, 30, (out, 1))
    weights[-1, 0] = 2.0 ** np.ceil(np.log2(np.abs(weights[-1]).max()))
    weights[0] = 0.0
    return weights.astype(dtype)


def expected(integers: NDArray, order: NDArray, reading: Reading, widths: list[int]) -> NDArray:
    """The same from the integers of the reference's grid, row by row."""
    rows = integers[:, order].T
    if reading is Reading.both:
        halves = rows.reshape(-1, CHANNELS, rows.shape[1])
        rows = np.concatenate([halves, -halves], axis=1).reshape(-1, rows.shape[1])
    padded = np.zeros((len(rows), sum(widths)), np.int32)
    padded[:, : rows.shape[1]] = rows
    blocks = np.split(padded, np.cumsum(widths)[:-1], axis=1)
    return np.concatenate([block.ravel() for block in blocks])


def worst(rows: NDArray) -> list[int]:
    """Numbers of events whose sums over each column's largest entries fit 32 bits."""
    limits = [(2**31 - 1) // max(1, int(np.abs(rows).max()))]
    for repeats in range(1, MOST_REPEATS + 1):
        fits = [NO_BUDGET]
        for column in (*rows.T, *-rows.T):
            entries = np.repeat(np.sort(np.maximum(column, 0))[::-1], repeats).astype(np.int64)
            over = np.flatnonzero(np.cumsum(entries) > 2**31 - 1)
            fits += [int(over[0])] if len(over) else []
        limits.append(min(fits))
    return limits


@pytest.mark.parametrize(
    ("reading", "out", "dtype", "threads"),
    in_turn(3 * [*list(Reading)], [1, 40, 130], [np.float32, np.float64], [1, 3]),
)
def test_weights_are_those_of_the_grid(
    out: int, reading: Reading, dtype: type, threads: int
) -> None:
    """Integers, units and order are the reference's, whoever makes which block."""
    columns = 20 * CHANNELS
    weights = drawn(out, columns, dtype)
    order = np.random.default_rng(1).permutation(columns).astype(np.int32)
    widths = lane_widths(out, columns)
    channels = CHANNELS if reading is Reading.both else 0
    made = pack(
        weights,
        order=order,
        widths=widths,
        reading=reading,
        channels=channels,
        bits=25,
        threads=threads,
    )
    (integers,), units = integer_weights(weights, "float32")
    np.testing.assert_array_equal(made.weights, expected(integers, order, reading, widths))
    np.testing.assert_array_equal(made.units, units)
    assert made.low.size == 0
    wide = pack(
        weights,
        order=order,
        widths=widths,
        reading=reading,
        channels=channels,
        bits=27,
        limbs=2,
        threads=threads,
    )
    limbs, units = integer_weights(weights, "float64")
    if not limbs[1].any():
        limbs, units = limbs[:1], units * 2.0**27
    for found, limb in zip((wide.weights, wide.low), limbs, strict=False):
        np.testing.assert_array_equal(found, expected(limb, order, reading, widths))
    assert (wide.low.size == 0) == (len(limbs) == 1) == (out == 1)  # that one is zero
    np.testing.assert_array_equal(wide.units, units)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_steps_are_their_whole_numbers(dtype: type) -> None:
    """Integers are those of the steps that are given, and units the steps themselves."""
    rng = np.random.default_rng(0)
    whole, given = rng.integers(-127, 128, (40, 20)), rng.uniform(0.001, 0.1, 40)
    weights, widths = (whole * given[:, None]).astype(dtype), lane_widths(40, 20)
    form = {"widths": widths, "reading": Reading.plain, "bits": 25}
    found = pack(weights, steps=given, **form)
    np.testing.assert_array_equal(found.units, given)
    order = np.arange(20)
    np.testing.assert_array_equal(found.weights, expected(whole, order, Reading.plain, widths))
    with pytest.raises(ValueError, match="one an output channel"):
        pack(weights, steps=given[:5], **form)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_times_heights_are_packed_as_their_products(dtype: type) -> None:
    """To the bit: products are those of float64."""
    weights, widths = drawn(40, 20, dtype), lane_widths(40, 20)
    heights = np.random.default_rng(3).uniform(0.5, 2.0, 20)
    order = np.random.default_rng(1).permutation(20).astype(np.int32)
    for limbs, bits in ((1, 25), (2, 27)):
        form = {"order": order, "widths": widths, "reading": Reading.plain, "bits": bits}
        found = pack(weights, heights=heights, limbs=limbs, **form)
        made = pack(weights * heights, limbs=limbs, **form)
        assert (found.units, found.budgets) == (made.units, made.budgets)
        np.testing.assert_array_equal(found.weights, made.weights)
        np.testing.assert_array_equal(found.low, made.low)
    with pytest.raises(ValueError, match="one a column"):
        pack(weights, heights=heights[:5], **form)


def test_budgets_of_limbs_hold_for_any_counts() -> None:
    """Those of the largest entries, whatever the column; of depthwise layers of the largest sum."""
    weights = np.random.default_rng(4).normal(size=(20, 900))
    for reading, most in ((Reading.plain, np.max), (Reading.depthwise, np.sum)):
        made = pack(weights, widths=[32], reading=reading, bits=27, limbs=2)
        limbs = [np.abs(x.astype(np.int64)) for x in integer_weights(weights, "float64")[0]]
        high, low = ((2**31 - 1) // int(most(limb, axis=1).max()) for limb in limbs)
        assert made.budgets == [high] * (MOST_REPEATS + 1)
        assert made.low_budget == low
        assert reading is Reading.depthwise or 31 <= high < 64


@pytest.mark.parametrize("scale", [2.0**22, 2.0**20, 2.0**8])
def test_budgets_are_those_of_the_worst_column(scale: float) -> None:
    """The largest entries of a channel bound the sum, of either sign; small ones have no bound."""
    rng = np.random.default_rng(2)
    weights = np.clip(np.rint(rng.normal(size=(20, 900)) * scale), -(2**24), 2**24)
    marked = np.concatenate([np.full((20, 1), 2.0**24), weights], axis=1)  # sets the unit to one
    rest = np.arange(1, 901, dtype=np.int32)
    plain = pack(marked, order=rest, widths=[32], reading=Reading.plain, bits=25)
    assert plain.budgets == worst(weights.T)
    assert (plain.budgets[-1] == NO_BUDGET) == (scale == 2.0**8)
    both = pack(marked, order=rest, widths=[32], reading=Reading.both, channels=900, bits=25)
    assert both.budgets == worst(np.abs(weights.T))
    every = pack(marked, order=rest, widths=[32], reading=Reading.depthwise, bits=25)
    assert every.budgets == [(2**31 - 1) // int(np.abs(weights).sum(1).max())] * 16


@pytest.mark.parametrize("shape", ["normal", "uniform", "heavy tails", "of any size"])
def test_budgets_are_those_of_the_worst_of_many_channels(shape: str) -> None:
    """Most channels lower no budget, which is seen without their entries in order; in any order."""
    rng = np.random.default_rng(3)
    drawn = {
        "normal": rng.normal(size=(64, 700)),
        "uniform": rng.uniform(-1, 1, (64, 700)),
        "heavy tails": rng.standard_t(2, (64, 700)),
        "of any size": rng.exponential(1.0, (64, 700)) * rng.uniform(0.01, 1, (64, 1)) - 0.1,
    }[shape]
    whole = np.rint(drawn / np.abs(drawn).max() * 2.0**24)
    budgets = set()
    for order in (np.arange(64), rng.permutation(64), np.argsort(np.abs(whole).sum(1))):
        rows = np.concatenate([np.full((64, 1), 2.0**24), whole[order]], axis=1)  # a unit of one
        rest = np.arange(1, 701, dtype=np.int32)
        made = pack(rows, order=rest, widths=[32] * 2, reading=Reading.plain, bits=25)
        budgets.add(tuple(made.budgets))
        both = pack(rows, order=rest, widths=[32] * 2, reading=Reading.both, channels=700, bits=25)
        assert both.budgets == worst(np.abs(whole.T))
    assert budgets == {tuple(worst(whole.T))}


def network() -> torch.nn.Module:
    """Two convolutions and a matrix."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 36, 20),
        torch.nn.ReLU(),
        torch.nn.Linear(20, 5),
    )


def test_copies_share_weights_which_are_freed_with_the_last() -> None:
    """Other choices of firing rates pack nothing anew; nothing is held when nobody has it."""
    gc.collect()
    before = len(weight_packing._shared)
    x = np.random.default_rng(0).normal(size=(2, 2, 6, 6)).astype(np.float32)
    first = sw.convert(network(), example_input=torch.from_numpy(x), spiking=True)
    first.run(x, 3, engine="native", progress=False)
    held = set(weight_packing._shared.values())
    assert len(held) == before + 3
    second = first.replace(scale_firing_rates=50.0)
    second.run(x, 3, engine="native", progress=False)
    second.run(x, 3, engine="native", threads=2, progress=False)
    assert set(weight_packing._shared.values()) == held
    del first, held
    gc.collect()
    assert len(weight_packing._shared) == before + 3
    del second
    gc.collect()
    assert len(weight_packing._shared) == before


def test_an_array_that_nobody_can_write_is_shared() -> None:
    """A copy is made of any other: one that is written, and a view of one that is."""
    mine = np.random.default_rng(0).normal(size=(3, 4))
    view = mine[:]
    view.setflags(write=False)
    for given in (mine, view):
        matrix = sw.Dense(given).matrix
        assert not np.shares_memory(matrix, mine)
    mine.setflags(write=False)
    assert sw.Dense(mine).matrix is mine
    assert np.shares_memory(sw.Dense(mine.T).matrix, mine)
