"""Counts over samples, of which parts of a data set add up to the whole exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Key = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ExactCounts:
    """Arrays with a row a sample, and whole numbers summed over the samples.

    Parts of a data set are joined by appending rows in the order of the samples and adding whole
    numbers: no rounding, so the whole is the same however the data was cut and in whatever order
    the parts were done. Keys name the count and its object: `("correct", output, readout)`,
    `("spikes", layer)`.
    """

    samples: Mapping[Key, NDArray]
    sums: Mapping[Key, NDArray]

    def __len__(self) -> int:
        return len(next(iter(self.samples.values()))) if self.samples else 0


def concatenated(parts: Sequence[ExactCounts]) -> ExactCounts:
    """Parts of a data set, in the order of their samples, as one."""
    if len(parts) == 1:
        return parts[0]
    return ExactCounts(_rows(parts, axis=0), summed(part.sums for part in parts))


def summed(sums: Iterable[Mapping[Key, NDArray]]) -> dict[Key, NDArray]:
    """Whole numbers of several parts, added."""
    total: dict[Key, NDArray] = {}
    for part in sums:
        for key, value in part.items():
            wide = np.asarray(value, np.int64)
            total[key] = total[key] + wide if key in total else wide
    return total


def joined_steps(parts: Sequence[ExactCounts]) -> ExactCounts:
    """Counts of the same samples at several steps, side by side: columns of rows, rows of sums."""
    if len(parts) == 1:
        return parts[0]
    sums = {key: np.concatenate([part.sums[key] for part in parts]) for key in parts[0].sums}
    return ExactCounts(_rows(parts, axis=1), sums)


def _rows(parts: Sequence[ExactCounts], axis: int) -> dict[Key, NDArray]:
    return {
        key: np.concatenate([part.samples[key] for part in parts], axis=axis)
        for key in parts[0].samples
    }
