"""Inputs of networks as users give them: values, ids, masks of padded batches, one number a sample.

In a padded batch every second sample is shorter; the rest of it is padding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VALUES, IDS, MASK, LENGTH = "values", "ids", "mask", "length"


class Input(NamedTuple):
    """An input by its unbatched shape and by how its values are drawn.

    Values are normal, ids whole numbers from 1 below `below`, lengths those of sequences of
    `below` steps. A `padded` input is padded at the end of its first axis, or at its beginning if
    it is `left`, with zeros; so is a mask, which is one elsewhere. The padding is `free` if a mask
    says that it is left out, so that anything may stand there. `dtype` is that of its array.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    below: int = 0
    padded: bool = False
    left: bool = False
    free: bool = False

    def drawn(self, batch: int, rng: np.random.Generator) -> NDArray:
        """The array of a batch, `(batch, *shape)`."""
        if self.kind == LENGTH:
            return (self.below - _shorter(batch, self.below)).astype(self.dtype)
        array = self._anything((batch, *self.shape), rng)
        if self.padded:
            array[self.padding(batch)] = 0
        return array

    def refilled(self, array: NDArray, rng: np.random.Generator) -> NDArray:
        """A batch whose last sample stands there once more, with other padding if it is free."""
        made = np.concatenate([array, array[-1:]])
        if self.free:
            other = self.padding(len(array))[-1]
            made[-1, other] = self._anything(made[-1, other].shape, rng)
        return made

    def padding(self, batch: int) -> NDArray:
        """The positions of padding, `(batch, first axis)`."""
        length = self.shape[0]
        at, shorter = np.arange(length), _shorter(batch, length)[:, None]
        return at < shorter if self.left else at >= length - shorter

    def _anything(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray:
        if self.kind == MASK:
            return np.ones(shape, self.dtype)
        if self.kind == IDS:
            return rng.integers(1, self.below, shape).astype(self.dtype)
        return rng.standard_normal(shape, np.float32).astype(self.dtype)


def _shorter(batch: int, length: int) -> NDArray:
    """The positions of padding in each sample: half of every second one's."""
    return (length // 2) * (np.arange(batch) % 2)


def values(*shape: int, padded: bool = False, free: bool = False) -> Input:
    """Normal values."""
    return Input(VALUES, shape, "float32", padded=padded, free=free)


def ids(*shape: int, below: int, dtype: str = "int64") -> Input:
    """Whole numbers without padding; of shape `()` one number a sample."""
    return Input(IDS, shape, dtype, below)


def padded_ids(
    length: int, below: int, left: bool = False, free: bool = False, dtype: str = "int64"
) -> Input:
    """Tokens of a padded batch, its padding 0."""
    return Input(IDS, (length,), dtype, below, padded=True, left=left, free=free)


def mask(length: int, left: bool = False, dtype: str = "int64") -> Input:
    """The mask of a padded batch: one where a sample is, zero in padding."""
    return Input(MASK, (length,), dtype, padded=True, left=left)


def lengths(longest: int) -> Input:
    """The lengths of a padded batch, one number a sample."""
    return Input(LENGTH, (), "int64", longest)
