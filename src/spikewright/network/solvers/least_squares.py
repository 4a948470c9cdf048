"""Least squares, plain and regularised, in closed form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import numbers_or_nan
from spikewright.errors import NetworkError
from spikewright.network.solvers.base import Solution, Solver, register, solution
from spikewright.network.solvers.cholesky import normal_solution


def regularised(activities: NDArray, targets: NDArray, sigma: NDArray | float) -> NDArray:
    """`(A'A + m sigma^2 I)^-1 A'Y`, `(n, outputs)`; `sigma` is one number or one a neuron.

    With fewer points than neurons it solves the equivalent `A (m sigma^2)^-1 A' + I`, `(m, m)`.
    """
    m, n = activities.shape
    penalty = m * np.broadcast_to(np.asarray(sigma, np.float64) ** 2, n)
    if m < n and np.all(penalty > 0):
        scaled = activities / penalty
        gram = scaled @ activities.T
        gram[np.diag_indices(m)] += 1.0
        return scaled.T @ np.linalg.solve(gram, targets)
    try:
        return normal_solution(activities, targets, penalty)
    except np.linalg.LinAlgError:
        raise NetworkError(
            "the activities determine no decoders (their Gram matrix is singular): use a solver "
            "with regularisation, such as LstsqL2()"
        ) from None


def nonzero_sigma(reg: float, activities: NDArray) -> NDArray:
    """`reg max|A| sqrt(fraction of points where a neuron is active)`, one a neuron.

    Silent neurons get the largest, which leaves their decoders at zero.
    """
    share = np.count_nonzero(activities, axis=0) / len(activities)
    sigma = reg * np.abs(activities).max() * np.sqrt(share)
    return np.where(sigma > 0, sigma, sigma.max())


@dataclass(frozen=True)
class Penalised(Solver):
    """A solver with an L2 penalty `m sigma^2`, `sigma = reg max A`."""

    weights: bool = False
    reg: float = 0.1
    from_zero = ("reg",)

    def sigma(self, activities: NDArray) -> NDArray | float:
        """One number, or one a neuron."""
        return self.reg * float(activities.max())

    @abstractmethod
    def decoders(self, activities: NDArray, targets: NDArray) -> NDArray:
        """`(n, outputs)`."""

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        return solution(activities, self.decoders(activities, targets), targets)


@register
@dataclass(frozen=True)
class LstsqL2(Penalised):
    """Least squares with an L2 penalty: `(A'A + m sigma^2 I)^-1 A'Y`, `sigma = reg max A`."""

    def decoders(self, activities: NDArray, targets: NDArray) -> NDArray:
        return regularised(activities, targets, self.sigma(activities))


@register
@dataclass(frozen=True)
class LstsqL2nz(Penalised):
    """`LstsqL2` with a penalty a neuron, smaller for neurons active at fewer points."""

    def decoders(self, activities: NDArray, targets: NDArray) -> NDArray:
        return regularised(activities, targets, nonzero_sigma(self.reg, activities))


@register
@dataclass(frozen=True)
class Lstsq(Solver):
    """Plain least squares; singular values below `rcond` times the largest count as zero."""

    weights: bool = False
    rcond: float = 0.01
    from_zero = ("rcond",)

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        found = np.linalg.lstsq(activities, targets, rcond=self.rcond)
        decoders, _, rank, values = found
        return solution(activities, decoders, targets, rank=int(rank), singular_values=values)


@register
@dataclass(frozen=True)
class LstsqNoise(Solver):
    """Least squares on activities with Gaussian noise of `noise` times their maximum."""

    weights: bool = False
    noise: float = 0.1
    from_zero = ("noise",)

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        spread = self.noise * np.abs(activities).max()
        noisy = activities + rng.normal(0.0, spread, activities.shape)
        return solution(activities, _plain(noisy, targets), targets)


@register
@dataclass(frozen=True)
class LstsqMultNoise(Solver):
    """Least squares on activities with Gaussian noise of `noise` times each."""

    weights: bool = False
    noise: float = 0.1
    from_zero = ("noise",)

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        noisy = activities * (1.0 + rng.normal(0.0, self.noise, activities.shape))
        return solution(activities, _plain(noisy, targets), targets)


def _plain(activities: NDArray, targets: NDArray) -> NDArray:
    """Least squares; neurons that are silent everywhere get zeros."""
    active = np.any(activities != 0, axis=0)
    decoders = np.zeros((activities.shape[1], targets.shape[1]))
    decoders[active] = regularised(activities[:, active], targets, 0.0)
    return decoders


@register
@dataclass(frozen=True, eq=False)
class NoSolver(Solver):
    """Decoders as given, `(n, outputs)`; None: zeros."""

    values: NDArray | None = None
    weights: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.values is None:
            return
        values = numbers_or_nan(self.values)
        if values.ndim != 2 or not np.all(np.isfinite(values)):
            raise NetworkError(
                f"NoSolver.values must be (n, outputs) finite numbers, got shape {values.shape}"
            )
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        shape = (activities.shape[1], targets.shape[1])
        if self.values is None:
            return Solution(np.zeros(shape), {})
        if self.values.shape != shape:
            raise NetworkError(
                f"NoSolver.values must be {shape}, one row a neuron, got {self.values.shape}"
            )
        return Solution(np.array(self.values), {})
