"""Solvers that leave many decoders at zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright._base.optional import require
from spikewright.errors import NetworkError
from spikewright.network.solvers.base import Solution, Solver, register, solution
from spikewright.network.solvers.least_squares import LstsqL2


@register
@dataclass(frozen=True)
class LstsqL1(Solver):
    """Elastic net: least squares with penalties `l1 max A` on `|D|` and `l2 max A^2` on `D^2`.

    Needs scikit-learn.
    """

    weights: bool = False
    l1: float = 1e-4
    l2: float = 1e-6
    max_iter: int = 1000
    compositional: ClassVar[bool] = False
    from_zero = ("l1", "l2")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.l1 + self.l2 == 0 or not (is_whole(self.max_iter) and self.max_iter > 0):
            raise NetworkError(
                f"LstsqL1: l1 + l2 and max_iter must be above 0, got {self.l1!r}, {self.l2!r}, "
                f"{self.max_iter!r}"
            )

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        most = float(activities.max())
        first, second = self.l1 * most, self.l2 * most**2
        model = require("sklearn.linear_model").ElasticNet(
            alpha=first + second,
            l1_ratio=first / (first + second),
            fit_intercept=False,
            max_iter=self.max_iter,
        )
        model.fit(activities, targets)
        decoders = np.array(model.coef_, np.float64).reshape(targets.shape[1], -1).T
        return solution(activities, decoders, targets, iterations=model.n_iter_)


@register
@dataclass(frozen=True)
class LstsqDrop(Solver):
    """Solves, sets the smallest `drop` of all decoders to zero, and solves again for the rest."""

    weights: bool = False
    drop: float = 0.25
    solver1: Solver = field(default_factory=lambda: LstsqL2(reg=0.001))
    solver2: Solver = field(default_factory=lambda: LstsqL2(reg=0.1))
    compositional: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.drop) and 0 <= self.drop < 1):
            raise NetworkError(f"LstsqDrop.drop must lie in [0, 1), got {self.drop!r}")
        for name in ("solver1", "solver2"):
            if not isinstance(getattr(self, name), Solver):
                raise NetworkError(
                    f"LstsqDrop.{name} must be a solver, got {getattr(self, name)!r}"
                )

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        decoders, first = self.solver1.solve(activities, targets, rng)
        sizes = np.sort(np.abs(decoders), axis=None)
        least = sizes[round(self.drop * decoders.size)]
        kept = np.abs(decoders) >= least
        decoders = np.zeros_like(decoders)
        for j in range(targets.shape[1]):
            rows = kept[:, j]
            part = activities[:, rows]
            if np.any(part):
                decoders[rows, j] = self.solver2.solve(part, targets[:, [j]], rng).decoders[:, 0]
        return solution(activities, decoders, targets, first=first)
