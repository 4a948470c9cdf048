"""A model's own call on two samples at once, compared with its calls on each of them alone.

A model is read at a batch of one, where `x.reshape(1, -1, 4).mean(1)` looks like any other mean. So
the framework is asked: where two samples together give anything else than each of them alone, the
model mixes samples, and no network that runs on one sample at a time computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    real numbers are drawn between the smallest and the largest of the first, whole numbers are
    permuted, and masks (ones and zeros) end with another number of zeros. Inputs of nothing but
    zeros are drawn anew.
    """
    rng = np.random.default_rng(seed)
    first, second = {}, {}
    for name, rows in example.items():
        own = np.array(rows[:1])
        if own.dtype.kind == "f" and not own.any():
            own = rng.uniform(0, 1, own.shape).astype(own.dtype)
        others = [row for row in rows[1:2] if not np.array_equal(row, own[0])]
        first[name] = own
        second[name] = np.array(others) if others and seed == 0 else _another(own, rng)
    return first, second


def _another(own: NDArray, rng: np.random.Generator) -> NDArray:
    """Other values of the same kind as those of a sample `(1, *shape)`."""
    if own.dtype.kind == "b" or (own.size > 1 and np.isin(own, (0, 1)).all()):
        return _another_mask(own)
    low, high = own.min(), own.max()
    if own.dtype.kind in "iu":
        if low < high:
            return rng.permuted(own.reshape(-1)).reshape(own.shape)
        # A table that has a row of some number has those of smaller numbers too.
        return np.full_like(own, low - 1 if low > 0 else 1)
    if not np.isfinite(own).all():
        return own.copy()  # a mask that is added to scores
    drawn = rng.uniform(low, high, own.shape) if low < high else own * rng.uniform(0.5, 0.9)
    return np.asarray(drawn).astype(own.dtype)


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

    `example` is `{input: (batch, *shape)}`, from which the samples are drawn. Raises whatever the
    call raises. Takes four forward passes of one sample, and as many again to make sure.
    """
    found = None
    for seed in range(_PAIRS):
        first, second = two_samples(example, seed)
        both = call({name: np.concatenate([first[name], second[name]]) for name in first})
        found = _first_parted(both, call(first), call(second), first, second)
        if found is None:
            return None
    return found


def _first_parted(
    both: Values, alone: Values, other: Values, first: Values, second: Values
) -> Parted | None:
    for name, value in both.items():
        why = _why(np.asarray(value), np.asarray(alone[name]), np.asarray(other[name]))
        if why:
            return Parted(name, why, first, second)
    return None


def _why(both: NDArray, first: NDArray, second: NDArray) -> str:
    """The reason why an output does not hold one row a sample; empty where it does."""
    if _equal(both, first) and _equal(both, second):
        return ""  # a constant, of which a front end speaks itself
    axis = _doubled(both.shape, first.shape)
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


def correspond(both: NDArray, first: NDArray, second: NDArray) -> bool:
    """Whether a value for two samples is made of those for each of them alone.

    The samples may lie along any axis of it, alone or merged with other values. A value that does
    not depend on the samples corresponds too.
    """
    both, first, second = map(np.asarray, (both, first, second))
    if first.shape != second.shape:
        return False
    if both.shape == first.shape:
        return _equal(both, first) and _equal(both, second)
    axis = _doubled(both.shape, first.shape)
    if axis is None:
        return False
    front, extent, rest = first.shape[:axis], first.shape[axis], first.shape[axis + 1 :]
    return any(
        _equal(
            both.reshape(*front, outer, 2, extent // outer, *rest),
            np.stack(
                [one.reshape(*front, outer, extent // outer, *rest) for one in (first, second)],
                axis=axis + 1,
            ),
        )
        for outer in _divisors(extent)
    )


def _doubled(both: tuple[int, ...], one: tuple[int, ...]) -> int | None:
    """The axis that has twice the extent, where all others have the same."""
    if len(both) != len(one):
        return None
    axes = [axis for axis, (two, own) in enumerate(zip(both, one, strict=True)) if two != own]
    fits = len(axes) == 1 and both[axes[0]] == 2 * one[axes[0]]
    return axes[0] if fits else None


def _divisors(number: int) -> Iterator[int]:
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
