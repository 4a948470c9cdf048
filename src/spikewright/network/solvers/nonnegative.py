"""Least squares with decoders that are never negative; they need SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.network.solvers.base import Solution, Solver, register, solution
from spikewright.network.solvers.least_squares import Penalised, nonzero_sigma


def _columns(matrix: NDArray, targets: NDArray) -> NDArray:
    optimize = require("scipy.optimize")
    return np.stack([optimize.nnls(matrix, y)[0] for y in targets.T], axis=1)


def _penalised(activities: NDArray, targets: NDArray, sigma: NDArray | float) -> NDArray:
    """NNLS on the normal equations `A'A + m sigma^2 I`, `A' max(Y, 0)`."""
    gram = activities.T @ activities
    gram[np.diag_indices(len(gram))] += len(activities) * np.asarray(sigma) ** 2
    return _columns(gram, activities.T @ np.maximum(targets, 0.0))


@register
@dataclass(frozen=True)
class Nnls(Solver):
    """Non-negative least squares (Lawson & Hanson 1974)."""

    weights: bool = False
    compositional: ClassVar[bool] = False

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        return solution(activities, _columns(activities, targets), targets)


@register
@dataclass(frozen=True)
class NnlsL2(Penalised):
    """`Nnls` on normal equations with the penalty of `LstsqL2`; targets below 0 count as 0."""

    compositional: ClassVar[bool] = False

    def decoders(self, activities: NDArray, targets: NDArray) -> NDArray:
        return _penalised(activities, targets, self.sigma(activities))


@register
@dataclass(frozen=True)
class NnlsL2nz(Penalised):
    """`NnlsL2` with the penalty of `LstsqL2nz`."""

    compositional: ClassVar[bool] = False

    def decoders(self, activities: NDArray, targets: NDArray) -> NDArray:
        return _penalised(activities, targets, nonzero_sigma(self.reg, activities))
