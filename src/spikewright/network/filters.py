"""Linear filters in state space, for one step size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.shapes import Shape

Method = Literal["zoh", "bilinear", "euler", "backward_diff"]
METHODS = ("zoh", "bilinear", "euler", "backward_diff")


@dataclass(frozen=True, eq=False)
class DiscreteFilter:
    """A filter for one step size.

    Where `feedthrough` is None: `x_t = A x_(t-1) + B u_t`, `y_t = C x_t`. Else
    `y_t = C x_t + feedthrough u_t`, then `x_(t+1) = A x_t + B u_t`. `A` is `(order, order)`,
    `B` and `C` are `(order,)`. Where it `varies`, each value has coefficients of its own: further
    axes of `A`, `B` and `C` broadcast to the shape of the values.
    """

    A: NDArray
    B: NDArray
    C: NDArray
    feedthrough: float | None

    @property
    def order(self) -> int:
        """Number of state variables."""
        return len(self.B)

    @property
    def varies(self) -> bool:
        """Whether each value has coefficients of its own."""
        return self.A.ndim > 2

    def check_shape(self, shape: Shape, label: str) -> None:
        """Raise `NetworkError` naming `label` unless there is a filter for each value."""
        given = self.A.shape[2:]
        try:
            fits = np.broadcast_shapes(given, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise NetworkError(
                f"{label}: time constants of shape {given} are for as many values, and those that "
                f"it filters are {shape}; give one, or one for each of them"
            )

    def step(self, x: NDArray, u: NDArray) -> NDArray:
        """The output for an input of any shape; the state `x`, `(order, *shape)`, moves on."""
        if self.varies:
            x[:], y = self.by_line(list(x), u, np.zeros_like(u))
            return np.asarray(y)
        if self.order == 1 and self.feedthrough is None:  # the same, without matrices
            np.multiply(x, self.A[0, 0], out=x)
            x[0] += self.B[0] * u
            return np.asarray(self.C[0] * x[0])
        before = x.copy()
        x[:] = np.tensordot(self.A, x, 1) + np.multiply.outer(self.B, u)
        if self.feedthrough is None:
            return np.asarray(np.tensordot(self.C, x, 1))
        return np.asarray(np.tensordot(self.C, before, 1) + self.feedthrough * u)

    def by_line(self, x: Sequence[Any], u: Any, zero: Any) -> tuple[list[Any], Any]:
        """The states after an input `u`, and the output, line by line in a fixed order.

        States are arrays of any library; entries of 0 are left out. Sums of the output begin with
        `zero`.
        """
        after = [
            sum((a * x[j] for j, a in enumerate(row) if np.any(a)), start=b * u)
            for row, b in zip(self.A, self.B, strict=True)
        ]
        seen = after if self.feedthrough is None else x
        output = sum((c * value for c, value in zip(self.C, seen, strict=True)), start=zero)
        return after, output if self.feedthrough is None else output + self.feedthrough * u

    def steady(self, value: float) -> NDArray:
        """The state `(order,)` of the constant input whose steady output is `value`.

        Where the filter varies it has the coefficients' further axes too. Raises `NetworkError`
        where no constant input does.
        """
        if self.varies:
            rest = np.eye(self.order) - np.moveaxis(self.A, (0, 1), (-2, -1))
            into = np.moveaxis(self.B, 0, -1)[..., None]
            state = np.moveaxis(np.linalg.solve(rest, into)[..., 0], -1, 0)
            return np.asarray(state * (value / (self.C * state).sum(0)))
        rest = np.eye(self.order) - self.A
        if value == 0 or not self.order:
            return np.zeros(self.order)
        with np.errstate(all="ignore"):
            singular = np.linalg.cond(rest) > 1e12
            reached = np.zeros(self.order) if singular else np.linalg.solve(rest, self.B)
            gain = self.C @ reached + (self.feedthrough or 0.0)
        if abs(gain) < 1e-12:
            raise NetworkError(f"no constant input keeps its output at y0 = {value!r}; use y0=0")
        return np.asarray(reached * (value / gain))


def stacked(filters: Sequence[DiscreteFilter], places: NDArray) -> DiscreteFilter:
    """One filter that varies: each value has the filter of its number in `places`.

    All of them are without feedthrough. Those of lower order have states that stay 0.
    """
    order = max(f.order for f in filters)
    A = np.zeros((order, order, len(filters)))
    B, C = np.zeros((order, len(filters))), np.zeros((order, len(filters)))
    for i, f in enumerate(filters):
        A[: f.order, : f.order, i], B[: f.order, i], C[: f.order, i] = f.A, f.B, f.C
    return DiscreteFilter(A[..., places], B[..., places], C[..., places], None)


def state_space(
    numerator: tuple[float, ...], denominator: tuple[float, ...]
) -> tuple[NDArray, NDArray, NDArray, float]:
    """Controllable canonical form of a transfer function."""
    num = np.trim_zeros(np.asarray(numerator, np.float64), "f")
    den = np.trim_zeros(np.asarray(denominator, np.float64), "f")
    order = len(den) - 1
    num = np.concatenate([np.zeros(order + 1 - len(num)), num]) / den[0]
    den = den / den[0]
    A = np.zeros((order, order))
    if order:
        A[0], A[1:, :-1] = -den[1:], np.eye(order - 1)
    B = np.eye(order)[0] if order else np.zeros(0)
    return A, B, num[1:] - num[0] * den[1:], float(num[0])


def discretised(
    A: NDArray, B: NDArray, C: NDArray, D: float, dt: float, method: Method
) -> tuple[NDArray, NDArray, NDArray, float]:
    """The matrices of a filter in continuous time, for steps of `dt` seconds."""
    order = len(B)
    if method == "zoh":
        block = np.zeros((order + 1, order + 1))
        block[:order, :order], block[:order, order] = A * dt, B * dt
        power = _matrix_exponential(block)
        return power[:order, :order], power[:order, order], C, D
    alpha = {"bilinear": 0.5, "euler": 0.0, "backward_diff": 1.0}[method]
    inverse = np.linalg.inv(np.eye(order) - alpha * dt * A)
    Ad = inverse @ (np.eye(order) + (1 - alpha) * dt * A)
    Bd = inverse @ B * dt
    Cd = C @ inverse
    return Ad, Bd, Cd, float(D + alpha * (C @ Bd))


def _matrix_exponential(M: NDArray) -> NDArray:
    """Scaling and squaring with a Taylor series to machine precision (small matrices only)."""
    squarings = max(0, int(np.ceil(np.log2(max(np.abs(M).sum(axis=1).max(), 1e-300)))) + 4)
    scaled = M / 2.0**squarings
    term = total = np.eye(len(M))
    for k in range(1, 20):
        term = term @ scaled / k
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total
