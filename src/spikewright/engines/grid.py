"""Exact sums in any order: weights on a fixed-point grid, inputs in exact limbs.

Floating-point sums depend on their order, and matrix libraries change theirs with the shape of the
work. Here every product and partial sum is exact in float64, so the result is a function of the
operands alone, whatever the batch, the block or the library:

* weights are held on a grid per output channel: a sign and 24 bits carry no less than fp32 does
  relative to the channel's largest weight (and are exact in fp32), 53 bits no less than fp64;
* an input is split into limbs relative to the largest magnitude of its sample and step, narrow
  enough that `fan_in` products stay within 53 bits. Counts of spikes are one limb, exactly;
* weights of 8 bits that meet counts are whole numbers of a step that is no power of two: where all
  weights of a layer are, as near as the grid has them, sums of whole numbers meet the step at last.

The parts of analog operands that weights on the grid, and limbs, leave out are added by
`engines/compensation.py`.

A limb of `b` bits is an integer of magnitude `2^(b-1)` at most, times a power of two. So a sum of
`fan_in` products of limbs of `w` and `l` bits is at most `2^(w - 1 + l - 1) fan_in <= 2^53`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen

Precision = Literal["float32", "float64"]
PRECISIONS: tuple[Precision, ...] = ("float32", "float64")

MAX_FAN_IN = 2**16
"""The longest sum that is exact; beyond it, exact sums of pieces are added in order."""

MOST_WHOLE = 127
"""The largest integer that a weight of 8 bits can be."""

_AT_ONCE = 2**20  # weights that are put on the grid together
_SEEN_FIRST = 16  # weights of a channel that rule out most wrong steps


@dataclass(frozen=True)
class Grid:
    """The widths of limbs for one precision.

    `weight_bits` of a weight's limb (sign included), the number of limbs of a weight, and
    `input_bits`, the least bits of magnitude in the limbs of an analog input.
    """

    weight_bits: int
    weight_limbs: int
    input_bits: int

    def input_limbs(self, fan_in: int) -> tuple[int, int]:
        """Bits of the limbs of analog inputs for exact sums of `fan_in` terms, and their number."""
        bits = 55 - self.weight_bits - max(1, int(fan_in - 1).bit_length())
        return bits, 1 + max(0, -(-(self.input_bits - (bits - 1)) // bits))


GRIDS: dict[Precision, Grid] = {
    "float32": Grid(weight_bits=25, weight_limbs=1, input_bits=32),
    "float64": Grid(weight_bits=27, weight_limbs=2, input_bits=53),
}

ANALOG_GRIDS: dict[Precision, Grid] = {
    "float32": Grid(weight_bits=27, weight_limbs=1, input_bits=32),
    "float64": GRIDS["float64"],
}
"""Grids of weights that meet analog values: inputs are split in any case, so that two bits more of
a weight cost nothing, and a quarter of the residuals are left (`engines/compensation.py`).
"""


def _step(largest: NDArray, bits: int) -> NDArray:
    """Power of two such that `largest / step` needs at most `bits` bits, sign included."""
    mantissa, exponent = np.frexp(largest)
    exponent = exponent - (mantissa == 0.5)  # a power of two counts as the end of its binade
    return np.ldexp(1.0, np.maximum(exponent - (bits - 1), -1000))


def limbs(x: NDArray, axes: tuple[int, ...], bits: int, count: int) -> list[NDArray]:
    """Split float64 `x` into `count` arrays of `bits` bits, relative to the maximum over `axes`.

    Their sum is `x` rounded to `bits * count - 1` bits of magnitude; each one divided by its own
    power of two is an integer of magnitude `2**(bits - 1)` at most.
    """
    return _split(x, _unit(x, axes, bits), bits, count)[0]


def _unit(x: NDArray, axes: tuple[int, ...], bits: int) -> NDArray:
    """The power of two of which the first limbs are multiples."""
    return _step(np.abs(x).max(axis=axes, keepdims=True, initial=0.0), bits)


def _split(x: NDArray, step: NDArray, bits: int, count: int) -> tuple[list[NDArray], NDArray]:
    """Limbs of `x`, the first of them multiples of `step`, and the remainder."""
    parts = []
    rest = x
    for _ in range(count):
        part = np.rint(rest / step) * step
        parts.append(part)
        rest = rest - part
        if not rest.any():
            break
        step = step * 2.0**-bits  # what rounding left is at most half a step
    return parts, rest


def weight_limbs(weight: NDArray, grid: Grid) -> list[NDArray]:
    """Weights `(out, ...)` as float64 limbs on a grid per output channel, made some at a time.

    Limbs of a matrix are transposed in memory, as products read them.
    """
    axes = tuple(range(1, weight.ndim))
    order: Literal["F", "C"] = "F" if weight.ndim == 2 else "C"
    found = [np.zeros(weight.shape, order=order)]
    for some in channel_slices(weight):
        channels = np.asarray(weight[some], np.float64)
        for place, part in enumerate(limbs(channels, axes, grid.weight_bits, grid.weight_limbs)):
            if place == len(found):
                found.append(np.zeros(weight.shape, order=order))
            found[place][some] = part
    return found


def integer_weights(weight: NDArray, precision: Precision) -> tuple[list[NDArray], NDArray]:
    """Weights `(out, ...)` on the grid as int32 limbs, and each channel's step `(out,)`.

    Of two limbs the first counts `2**weight_bits` steps, the last one step. Integers are of
    magnitude `2**(weight_bits - 1)` at most, steps are powers of two.
    """
    grid, axes = GRIDS[precision], tuple(range(1, weight.ndim))
    integers = [np.empty(weight.shape, np.int32) for _ in range(grid.weight_limbs)]
    steps = np.empty(len(weight))
    for some in channel_slices(weight):
        rest = weight[some]
        step = _step(np.abs(rest).max(axis=axes, keepdims=True, initial=0.0), grid.weight_bits)
        for limb in integers:
            whole = np.rint(rest / step)
            limb[some], steps[some] = whole, step.reshape(-1)
            rest, step = rest - whole * step, step * 2.0**-grid.weight_bits
    return integers, steps


def whole_steps(weight: NDArray, heights: NDArray | None = None) -> NDArray | None:
    """Steps `(out,)` of which weights `(out, ...)` are whole numbers up to 127, or None.

    A weight is as near to its whole number as the grid of float32 holds it: half a step of that.
    Weights are those times `heights`, which broadcast to them. Channels of a layer have a step
    each; one without is enough for None.
    """
    steps = np.empty(len(weight))
    size = max(1, weight[:1].size, MOST_WHOLE * _SEEN_FIRST)
    for start in range(0, len(weight), max(1, _AT_ONCE // size)):
        some = slice(start, start + max(1, _AT_ONCE // size))
        held = np.asarray(weight[some], np.float64)
        if heights is not None:
            held = held * np.broadcast_to(heights, weight.shape)[some]
        found = _whole_steps(np.abs(held.reshape(len(held), -1)))
        if found is None:
            return None
        steps[some] = found
    return steps


def _whole_steps(sizes: NDArray) -> NDArray | None:
    """The steps of which magnitudes `(out, n)` are whole numbers, or None.

    The largest magnitude is one of the numbers 1 to 127 times the step. Numbers are ruled out by
    some weights first, then by the weights for which a number turns out to be wrong.
    """
    largest = sizes.max(axis=1, initial=0.0)
    if not np.all(np.isfinite(largest)):
        return None
    reach = 0.5 * _step(largest, GRIDS["float32"].weight_bits)
    largest = np.where(largest > 0.0, largest, 1.0)
    numbers = np.arange(1, MOST_WHOLE + 1)
    possible = np.ones((len(sizes), MOST_WHOLE), bool)
    starts = np.unique(np.linspace(0, sizes.shape[1], _SEEN_FIRST, False).astype(int))
    seen = np.maximum.reduceat(sizes, starts, axis=1)  # zeros would rule out nothing
    steps, left = np.empty(len(sizes)), np.arange(len(sizes))
    while len(left):
        slack = 2.0 * (reach[left] / largest[left])[:, None] * numbers
        for column in seen.T:
            parts = (column / largest[left])[:, None] * numbers
            possible[left] &= np.abs(parts - np.rint(parts)) <= slack
        if not np.all(possible[left].any(axis=1)):
            return None
        number = numbers[possible[left].argmax(axis=1)]
        mine = sizes[left]
        steps[left] = step = _middle(mine, largest[left] / number, reach[left])
        off = np.abs(mine - np.rint(mine / step[:, None]) * step[:, None])
        wrong = off.max(axis=1, initial=0.0) > reach[left]
        possible[left[wrong], number[wrong] - 1] = False
        seen = np.take_along_axis(mine[wrong], off[wrong].argmax(axis=1)[:, None], axis=1)
        left = left[wrong]
    return steps


def _middle(sizes: NDArray, step: NDArray, reach: NDArray) -> NDArray:
    """A step near a given one for which all magnitudes are within `reach`, if there is one."""
    whole = np.rint(sizes / step[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = [(sizes + sign * reach[:, None]) / whole for sign in (-1.0, 1.0)]
    low, high = (np.where(whole > 0, bound, np.nan) for bound in bounds)
    least, most = np.fmax.reduce(low, axis=1), np.fmin.reduce(high, axis=1)
    edge = (most - least) / 64.0  # near a bound, rounding could put a weight beyond reach
    return np.where((step < least + edge) | (step > most - edge), 0.5 * (least + most), step)


def on_grid(weight: NDArray, precision: Precision) -> NDArray:
    """Weights `(out, ...)` rounded to the grid of this precision, float64."""
    held = np.empty(weight.shape)
    for some in channel_slices(weight):
        parts = weight_limbs(weight[some], GRIDS[precision])
        held[some] = sum(parts[1:], start=parts[0])
    return held


def entry_steps(values: NDArray, rows: NDArray, size: int) -> NDArray:
    """Steps `(size,)` of the rows of a sparse matrix with these entries, as of whole matrices."""
    largest = np.zeros(size)
    np.maximum.at(largest, rows, np.abs(values))
    return _step(largest, GRIDS["float32"].weight_bits)


def entries_on_grid(values: NDArray, rows: NDArray, size: int, precision: Precision) -> NDArray:
    """Entries of a sparse matrix of `size` rows, rounded to the grid of this precision, float64."""
    grid, values = GRIDS[precision], np.asarray(values, np.float64)
    steps = np.ldexp(
        entry_steps(values, rows, size), GRIDS["float32"].weight_bits - grid.weight_bits
    )
    held = np.empty(values.shape)
    for i in range(0, len(values), _AT_ONCE):
        some = slice(i, i + _AT_ONCE)
        parts, _ = _split(values[some], steps[rows[some]], grid.weight_bits, grid.weight_limbs)
        held[some] = sum(parts[1:], start=parts[0])
    return frozen(held)


def channel_slices(weight: NDArray) -> Iterator[slice]:
    """A few channels at a time, which have grids of their own, to bound temporary memory."""
    some = max(1, _AT_ONCE * len(weight) // max(1, weight.size))
    return (slice(i, i + some) for i in range(0, len(weight), some))


def input_limbs(x: NDArray, fan_in: int, grid: Grid) -> list[NDArray]:
    """Inputs `(samples, steps, ...)` as limbs narrow enough for exact sums over `fan_in`.

    `fan_in` is at most `MAX_FAN_IN`: longer sums are made of pieces.
    """
    return split_inputs(x, fan_in, grid, None)[0]


def split_inputs(
    x: NDArray, fan_in: int, grid: Grid, limits: tuple[float, float] | None
) -> tuple[list[NDArray], NDArray | None]:
    """Limbs as `input_limbs` gives them, and the remainders of some samples and steps, or None.

    Remainders are zero but in samples and steps in which a value is smaller than the first of the
    `limits`, in units of their first limbs, and there those of values smaller than the second.
    """
    if fan_in > MAX_FAN_IN:
        raise ValueError(f"sums over {fan_in} inputs are made in pieces of {MAX_FAN_IN}")
    bits, count = grid.input_limbs(fan_in)
    if _are_counts(x, bits):
        return [x], None
    axes = tuple(range(2, x.ndim))
    unit = _unit(x, axes, bits)
    parts, rest = _split(x, unit, bits, count)
    if limits is None or not rest.any():
        return parts, None
    sizes, (wide, reach) = np.abs(x), limits
    small = np.any((x != 0.0) & (sizes < unit * wide), axis=axes, keepdims=True)
    return parts, np.where(small & (sizes < unit * reach), rest, 0.0) if small.any() else None


def _are_counts(x: NDArray, bits: int) -> bool:
    """Whether every value is an integer that fits one limb, so that no split is needed."""
    limit = 2.0 ** (bits - 1)
    return bool(x.size == 0 or (np.abs(x).max() <= limit and np.array_equal(x, np.rint(x))))
