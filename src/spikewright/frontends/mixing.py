"""A model's own call on two samples at once, compared with its calls on each of them alone.

A model is read at a batch of one, where `x.reshape(1, -1, 4).mean(1)` looks like any other mean. So
the framework is asked: where two samples together give anything else than each of them alone, the
model mixes samples, and no network that runs on one sample at a time computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Values = Mapping[str, NDArray]
Calls = Callable[[Values], Mapping[str, NDArray]]
"""A model's call: `{input: (batch, *shape)}` to its outputs by name, as the framework has them."""

_PAIRS = 2
"""Pairs of samples tried: in a model that rounds, one value may fall on either side of a step."""


@dataclass(frozen=True)
class Parted:
    """An output that two samples together change, with these samples `(1, *shape)` by input."""

    output: str
    reason: str
    first: Values
    second: Values


def two_samples(example: Values, seed: int = 0) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Two samples `(1, *shape)` that differ in every input, from an example `(batch, *shape)`.

    The first one is the example's, its second one follows where the example has another row. Else
    real numbers are permuted and made smaller, whole numbers are permuted, and masks (ones and
    zeros) end with another number of zeros. Inputs of nothing but zeros are drawn anew.
    """
    rng = np.random.default_rng(seed)
    first, second = {}, {}
    for name, rows in example.items():
        own = np.array(rows[:1])
        if own.dtype.kind == "f" and not own.any():
            own = rng.uniform(0, 1, own.shape).astype(own.dtype)
        others = [row for row in rows[1:2] if not np.array_equal(row, own[0])]
        if own.dtype.kind == "f":
            others = [row for row in others if row.any()]
        first[name] = own
        second[name] = np.array(others) if others and seed == 0 else _another(own, rng)
    return first, second


def _another(own: NDArray, rng: np.random.Generator) -> NDArray:
    """Other values of the same kind as those of a sample `(1, *shape)`."""
    if own.dtype.kind == "b" or (own.size > 1 and np.isin(own, (0, 1)).all()):
        return _another_mask(own)
    whole = own.dtype.kind in "iu"
    if not whole and not np.isfinite(own).all():
        return own.copy()  # a mask that is added to scores
    low = own.min()
    if whole and low == own.max():
        # A table that has a row of some number has those of smaller numbers too.
        return np.full_like(own, low - 1 if low > 0 else 1)
    permuted = rng.permuted(own.reshape(-1)).reshape(own.shape)
    if whole:
        return permuted
    # As spread as the first, where a deep network amplifies rounding as little, with another sum.
    return np.asarray(permuted * rng.uniform(0.5, 0.9)).astype(own.dtype)


def _another_mask(own: NDArray) -> NDArray:
    """Ones, then zeros along the last axis; another mask than before."""
    extent = own.shape[-1]
    for ones in (max(extent * 2 // 3, 1), extent, 0):
        made = np.zeros_like(own)
        made[..., :ones] = 1
        if not np.array_equal(made, own):
            break
    return made


def parted(call: Calls, example: Values) -> Parted | None:
    """The first output that two samples together change, or None where each is as it is alone.

    Outputs that depend on no input are to be left out of the call's. `example` is
    `{input: (batch, *shape)}`, from which the samples are drawn. Raises whatever the call raises.
    Takes four forward passes of one sample, and as many again to make sure.
    """

    def tried(first: Values, second: Values) -> Parted | None:
        both = call({name: np.concatenate([first[name], second[name]]) for name in first})
        alone, other = call(first), call(second)
        for name, value in both.items():
            why = _why(np.asarray(value), np.asarray(alone[name]), np.asarray(other[name]))
            if why:
                return Parted(name, why, first, second)
        return None

    return on_pairs(tried, example)


def on_pairs(tried: Callable[[Values, Values], T | None], example: Values) -> T | None:
    """The finding of a function on a pair of samples, if it finds something on another pair too."""
    found = None
    for seed in range(_PAIRS):
        found = tried(*two_samples(example, seed))
        if found is None:
            break
    return found


def _why(both: NDArray, first: NDArray, second: NDArray) -> str:
    """The reason why an output does not hold one row a sample; empty where it does."""
    if _equal(both, first) and _equal(both, second):
        return f"it has shape {both.shape} for one sample and for two, so no row for each"
    axis = multiplied(both.shape, first.shape, 2)
    if second.shape == first.shape:
        rows = axis == 0 and first.shape[0] == 1
        joined = np.concatenate if rows else np.stack  # squeeze() leaves no axis to one sample
        if _equal(both, joined([first, second])):
            return ""
    if axis and first.shape[axis] == 1 and correspond(both, first, second):
        return f"the batch axis of this output is its axis {axis}"
    if axis is not None and correspond(both, first, second):
        return "the batch axis of this output is merged with another axis"
    if axis is None and both.shape != first.shape:
        return f"it has shape {first.shape} for one sample and {both.shape} for two"
    return "it is another for two samples together than for each of them alone"


def correspond(together: NDArray, *alone: NDArray) -> bool:
    """Whether a value for several samples is made of those for each of them alone.

    The samples may lie along any axis of it, alone or merged with other values. A value that does
    not depend on the samples corresponds too, and one that has their axis only for several.
    """
    together, *rows = map(np.asarray, (together, *alone))
    if all(one.shape == together.shape for one in rows):
        return all(_equal(together, one) for one in rows)
    return place(together, rows) is not None


class MixingPlace(NamedTuple):
    """The axis of a value that counts samples, and how many values of a sample lie before it.

    None do where a value of one sample lacks the axis: `squeeze()` leaves it none.
    """

    axis: int
    outer: int

    def first(self, value: NDArray, samples: int) -> NDArray:
        """The value with the samples in front: `(samples, *shape of one)`."""
        shape, axis = value.shape, self.axis
        if not self.outer:
            return np.moveaxis(value, axis, 0)
        inner = shape[axis] // samples // self.outer
        apart = value.reshape(*shape[:axis], self.outer, samples, inner, *shape[axis + 1 :])
        rows = np.moveaxis(apart, axis + 1, 0)
        return rows.reshape(samples, *shape[:axis], self.outer * inner, *shape[axis + 1 :])


def place(together: NDArray, alone: Sequence[NDArray]) -> MixingPlace | None:
    """The place of the samples in a value that is made of those for each of them alone."""
    if any(one.shape != alone[0].shape for one in alone):
        return None
    axis, rows = multiplied(together.shape, alone[0].shape, len(alone)), np.stack(alone)
    if axis is None:
        return MixingPlace(0, 0) if _equal(together, rows) else None
    found = (MixingPlace(axis, outer) for outer in divisors(alone[0].shape[axis]))
    return next((one for one in found if _equal(one.first(together, len(alone)), rows)), None)


@dataclass(frozen=True)
class MixingRuns:
    """Values by name for several samples together, and for each of them alone."""

    together: Values
    alone: Sequence[Values]

    def place(self, name: str) -> MixingPlace | None:
        """The place of the samples in a value, if it is made of those for each of them."""
        return place(self.together[name], [one[name] for one in self.alone])

    def apart(self, name: str) -> bool:
        """See `correspond`."""
        return correspond(self.together[name], *(one[name] for one in self.alone))

    def first_mixing(self, parts: Iterable[tuple[T, Iterable[str], Iterable[str]]]) -> T | None:
        """The first part whose inputs are made of those for each sample, and not all its results.

        Parts have the names of their inputs and results; values that are not known are left out.
        """
        apart = cache(lambda name: name not in self.together or self.apart(name))
        mixing = (p for p, i, r in parts if all(map(apart, i)) and not all(map(apart, r)))
        return next(mixing, None)


def multiplied(together: Sequence[int], one: Sequence[int], samples: int) -> int | None:
    """The axis that has so many times the extent, where all others have the same."""
    if len(together) != len(one):
        return None
    axes = [axis for axis, (all_, own) in enumerate(zip(together, one, strict=True)) if all_ != own]
    fits = len(axes) == 1 and together[axes[0]] == samples * one[axes[0]]
    return axes[0] if fits else None


def divisors(number: int) -> Iterator[int]:
    """The divisors of a number, from 1."""
    return (n for n in range(1, number + 1) if number % n == 0)


def _equal(one: NDArray, other: NDArray) -> bool:
    """Whether arrays of one shape are equal but for rounding in sums of another order."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    finite = np.abs(other[np.isfinite(other)])
    allowed = np.sqrt(np.finfo(one.dtype).eps) * finite.max(initial=0)
    return np.allclose(one, other, rtol=0, atol=allowed, equal_nan=True)
