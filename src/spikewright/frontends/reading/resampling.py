"""Axes of another extent, by a matrix along each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.call import Call
from spikewright.frontends.reading.values import Value, finite
from spikewright.graph.layers import Identity, Interpolate, Take, UpsampleNearest


def resampled(call: Call, x: Value, matrices: Mapping[int, NDArray], part: str = "") -> Value:
    """`matrices` `(after, before)` along axes: copies or choices of values where they are that."""
    sources = {axis: np.argmax(matrix, axis=1) for axis, matrix in matrices.items()}
    if not all(np.array_equal(np.eye(m.shape[1])[sources[a]], m) for a, m in matrices.items()):
        changed = {
            axis: matrix
            for axis, matrix in matrices.items()
            if not np.array_equal(matrix, np.eye(matrix.shape[1]))
        }
        layer = Interpolate(tuple(changed.values()), tuple(changed))
        return call.add(layer, finite(x), part=part)
    factors = [1] * len(x.shape)
    for axis, source in sources.items():
        factors[axis] = max(len(source) // x.shape[axis], 1)
    if all(_repeats(source, x.shape[axis], factors[axis]) for axis, source in sources.items()):
        grown = max(factors, default=1) > 1
        return call.add(UpsampleNearest(tuple(factors)) if grown else Identity(), x, part=part)
    steps = (
        (f"axis {axis}", Take(source, axis))
        for axis, source in sources.items()
        if not _repeats(source, x.shape[axis], 1)
    )
    return call.chain(finite(x), *steps, part=part)


def _repeats(source: NDArray, extent: int, factor: int) -> bool:
    """Whether positions are those of every value, `factor` times each."""
    return np.array_equal(source, np.repeat(np.arange(extent), factor))
