"""Solvers: weights that decode wanted values from activities of neurons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright._base.optional import require
from spikewright.errors import NetworkError
from spikewright.network.attributes import ClassRegistry
from spikewright.network.cholesky import normal_solution
from spikewright.network.shapes import fixed_numbers, from_zero

SOLVERS = ClassRegistry("solver")
"""Every registered solver, by name (read only)."""


class Solution(NamedTuple):
    """Decoders `(n, outputs)`, and the solver's information (`rmses`: one an output)."""

    decoders: NDArray
    info: dict[str, Any]


class Solver(ABC):
    """Finds decoders `D` with `A D` close to `Y`.

    With `weights` a connection stores the matrix between neurons, not decoders and encoders. A
    solver is `compositional` where the solution of a linear function of `Y` is that function of the
    solution of `Y`; with `weights` the others solve for the input of every receiving neuron.
    """

    weights: bool
    compositional: ClassVar[bool] = True
    from_zero: ClassVar[tuple[str, ...]] = ()
    """Fields that are finite numbers from 0."""

    def __post_init__(self) -> None:
        self._check_weights()
        for name in self.from_zero:
            from_zero(getattr(self, name), f"{type(self).__name__}.{name}")

    def _check_weights(self) -> None:
        """Raise `NetworkError` unless `weights` is a truth value, as a penalty given first is not.

        A truth value of NumPy's becomes Python's.
        """
        if not isinstance(self.weights, bool | np.bool_):
            kind = type(self).__name__
            numbers = [f.name for f in fields(self) if isinstance(f.default, float)]
            hint = f"Did you mean {numbers[0]}={self.weights!r}?" if numbers else ""
            raise NetworkError(
                f"{kind}.weights must be True or False, got {self.weights!r}. {hint}".rstrip()
            )
        object.__setattr__(self, "weights", bool(self.weights))

    @abstractmethod
    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        """Decoders for activities `(m, n)` and targets `(m, outputs)`.

        Raises `NetworkError` where no decoders exist.
        """


register = SOLVERS.register


def rmse(activities: NDArray, decoders: NDArray, targets: NDArray) -> NDArray:
    """Root mean square errors of the decoded values, `(outputs,)`."""
    error = targets - activities @ decoders
    found: NDArray = np.sqrt(np.mean(error * error, axis=0))
    return found


def solution(activities: NDArray, decoders: NDArray, targets: NDArray, **info: Any) -> Solution:
    """Decoders with their errors."""
    return Solution(decoders, {"rmses": rmse(activities, decoders, targets), **info})


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
        if self.values is not None and fixed_numbers(self, "values").ndim != 2:
            raise NetworkError(
                f"NoSolver.values must be (n, outputs), got shape {self.values.shape}"
            )

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        shape = (activities.shape[1], targets.shape[1])
        if self.values is None:
            return Solution(np.zeros(shape), {})
        if self.values.shape != shape:
            raise NetworkError(
                f"NoSolver.values must be {shape}, one row a neuron, got {self.values.shape}"
            )
        return Solution(np.array(self.values), {})


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
