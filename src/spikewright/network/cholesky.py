"""Regularised normal equations by Cholesky factors, shared by connections of one population."""

from __future__ import annotations

import weakref
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64
SMALL = 128
"""Up to so many unknowns plain elimination is faster than a factor and two substitutions."""


class _KeptFactor(NamedTuple):
    """The factor for one penalty of activities that are still in use and never written to."""

    activities: weakref.ref[NDArray]
    penalty: bytes
    factor: NDArray


_kept: dict[int, _KeptFactor] = {}  # by the identity of the activities


def normal_solution(activities: NDArray, targets: NDArray, penalty: NDArray) -> NDArray:
    """`(A'A + diag(penalty))^-1 A'Y`, `(n, outputs)`.

    Raises `LinAlgError` where the matrix is singular.
    """
    wanted = activities.T @ targets
    if len(penalty) <= SMALL or not np.all(penalty > 0):
        return np.linalg.solve(_gram(activities, penalty), wanted)
    try:
        return substituted(_factor(activities, penalty), wanted)
    except np.linalg.LinAlgError:  # a penalty too small to matter
        return np.linalg.solve(_gram(activities, penalty), wanted)


def _gram(activities: NDArray, penalty: NDArray) -> NDArray:
    gram: NDArray = activities.T @ activities
    gram[np.diag_indices(len(gram))] += penalty
    return gram


def _factor(activities: NDArray, penalty: NDArray) -> NDArray:
    """The lower factor; that of the same activities is used again."""
    key, name = id(activities), penalty.tobytes()
    kept = _kept.get(key)
    if kept is not None and kept.activities() is activities and kept.penalty == name:
        return kept.factor
    factor = np.linalg.cholesky(_gram(activities, penalty))
    if not activities.flags.writeable:
        gone = weakref.ref(activities, lambda _: _kept.pop(key, None))
        _kept[key] = _KeptFactor(gone, name, factor)
    return factor


def substituted(lower: NDArray, values: NDArray) -> NDArray:
    """`(L L')^-1 values`, block by block."""
    x, n = np.array(values), len(lower)
    for start in range(0, n, _BLOCK):
        end = min(start + _BLOCK, n)
        x[start:end] = np.linalg.solve(lower[start:end, start:end], x[start:end])
        x[end:] -= lower[end:, start:end] @ x[start:end]
    for start in reversed(range(0, n, _BLOCK)):
        end = min(start + _BLOCK, n)
        x[start:end] = np.linalg.solve(lower[start:end, start:end].T, x[start:end])
        x[:start] -= lower[start:end, :start].T @ x[start:end]
    return x
