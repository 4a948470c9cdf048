"""Synapses: linear filters in time, defined in continuous time and discretised for a step.

A synapse on a connection or probe delays by one step; no synapse (`None`) delays by none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed
from spikewright.network.shapes import as_real
from spikewright.network.units import warn_of_milliseconds

Method = Literal["zoh", "bilinear", "euler", "backward_diff"]
_METHODS = ("zoh", "bilinear", "euler", "backward_diff")


@dataclass(frozen=True, eq=False)
class DiscreteFilter:
    """A filter for one step size.

    Where `feedthrough` is None: `x_t = A x_(t-1) + B u_t`, `y_t = C x_t`. Else
    `y_t = C x_t + feedthrough u_t`, then `x_(t+1) = A x_t + B u_t`. `A` is `(order, order)`,
    `B` and `C` are `(order,)`.
    """

    A: NDArray
    B: NDArray
    C: NDArray
    feedthrough: float | None

    @property
    def order(self) -> int:
        """Number of state variables."""
        return len(self.B)

    def step(self, x: NDArray, u: NDArray) -> NDArray:
        """The output for an input of any shape; the state `x`, `(order, *shape)`, moves on."""
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
            sum((a * x[j] for j, a in enumerate(row) if a != 0.0), start=b * u)
            for row, b in zip(self.A, self.B, strict=True)
        ]
        seen = after if self.feedthrough is None else x
        output = sum((c * value for c, value in zip(self.C, seen, strict=True)), start=zero)
        return after, output if self.feedthrough is None else output + self.feedthrough * u

    def steady(self, value: float) -> NDArray:
        """The state `(order,)` of the constant input whose steady output is `value`.

        Raises `NetworkError` where no constant input does.
        """
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


class Synapse(ABC):
    """A linear filter."""

    @abstractmethod
    def discretise(self, dt: float) -> DiscreteFilter:
        """The filter for steps of `dt` seconds."""

    def filt(
        self,
        x: ArrayLike,
        dt: float = 0.001,
        axis: int = 0,
        y0: float = 0.0,
        filtfilt: bool = False,
    ) -> NDArray:
        """A signal filtered over time, which lies along `axis`; the result has the same shape.

        Steps are of `dt` seconds. A step's input reaches that step's output: the delay of one step
        is a connection's. Before the first step the output is at rest at `y0`. With `filtfilt` the
        result is filtered once more, backwards, so that it does not lag. Raises `NetworkError`
        unless `x` are finite numbers, and where no constant input keeps the output at `y0`.
        """
        values = _signal(x, axis)
        if not (is_number(dt) and dt > 0):
            raise NetworkError(f"dt must be above 0 s, got {dt!r}")
        if not is_number(y0):
            raise NetworkError(f"y0 must be a finite number, got {y0!r}")
        f = self.discretise(dt)
        state = np.multiply.outer(f.steady(y0), np.ones(values.shape[1:]))
        y = np.empty_like(values)
        for t, u in enumerate(values):
            y[t] = f.step(state, u)
        if filtfilt:
            for t in range(len(y) - 1, -1, -1):
                y[t] = f.step(state, y[t])
        return np.moveaxis(y, 0, axis)

    def filtfilt(self, x: ArrayLike, dt: float = 0.001, axis: int = 0, y0: float = 0.0) -> NDArray:
        """A signal filtered forwards and then backwards: see `filt`."""
        return self.filt(x, dt, axis, y0, filtfilt=True)


def _signal(x: ArrayLike, axis: int) -> NDArray:
    """Finite numbers with time on their first axis, or `NetworkError`."""
    try:
        values = as_real(x)
    except (TypeError, ValueError):
        values = np.full((), np.nan)
    if values.ndim == 0 or not np.isfinite(values).all():
        raise NetworkError(f"a synapse filters finite numbers over time, got {x!r}")
    if not (is_whole(axis) and -values.ndim <= axis < values.ndim):
        raise NetworkError(f"axis {axis!r} is none of a signal of shape {values.shape}")
    return np.moveaxis(values, axis, 0).copy()


@dataclass(frozen=True)
class LinearFilter(Synapse):
    """The transfer function `num(s) / den(s)`, highest power first.

    `method` is "zoh" (exact for input held constant within a step), "bilinear", "euler" or
    "backward_diff"; with `analog=False` the coefficients are those of the discrete filter already.
    """

    num: tuple[float, ...]
    den: tuple[float, ...]
    analog: bool = True
    method: Method = "zoh"

    def __post_init__(self) -> None:
        for name in ("num", "den"):
            given = getattr(self, name)
            values = tuple(np.atleast_1d(given).tolist())
            if not all(map(is_number, values)):
                raise NetworkError(f"LinearFilter.{name} must be finite numbers, got {given!r}")
            object.__setattr__(self, name, tuple(map(float, values)))
        if not any(self.den) or len(np.trim_zeros(self.num, "f")) > len(
            np.trim_zeros(self.den, "f")
        ):
            raise NetworkError(
                f"LinearFilter: {self.num} / {self.den} is not a causal transfer function; the "
                "numerator's degree may not exceed the denominator's"
            )
        if self.method not in _METHODS:
            raise NetworkError(
                f"LinearFilter.method must be one of {_METHODS}, got {self.method!r}"
            )

    def discretise(self, dt: float) -> DiscreteFilter:
        A, B, C, D = _state_space(self.num, self.den)
        if self.analog and len(B):
            A, B, C, D = _discretised(A, B, C, D, dt, self.method)
        feedthrough = D if D != 0 or not len(B) else None
        return DiscreteFilter(A, B, C, feedthrough)


@dataclass(frozen=True)
class Lowpass(Synapse):
    """First-order low-pass `1 / (tau s + 1)`; `tau` in seconds, 0 passes its input unchanged."""

    tau: float

    def __post_init__(self) -> None:
        _check_tau(self, self.tau)
        warn_of_milliseconds(self, "tau")

    def discretise(self, dt: float) -> DiscreteFilter:
        """`y_t = p y_(t-1) + (1 - p) u_t`, `p = exp(-dt / tau)`."""
        p = float(np.exp(-dt / self.tau)) if self.tau > 0 else 0.0
        q = float(-np.expm1(-dt / self.tau)) if self.tau > 0 else 1.0
        return DiscreteFilter(np.array([[p]]), np.array([q]), np.array([1.0]), None)


@dataclass(frozen=True)
class Alpha(Synapse):
    """Second-order low-pass `1 / (tau s + 1)^2`; `tau` in seconds."""

    tau: float

    def __post_init__(self) -> None:
        _check_tau(self, self.tau)
        warn_of_milliseconds(self, "tau")

    def discretise(self, dt: float) -> DiscreteFilter:
        if self.tau == 0:
            return Lowpass(0.0).discretise(dt)
        den = (self.tau**2, 2 * self.tau, 1.0)
        return LinearFilter((1.0,), den).discretise(dt)


@dataclass(frozen=True)
class Triangle(Synapse):
    """A mean of the last `t` seconds, its weights falling linearly from the newest value to 0.

    `n = round(t / dt) + 1` taps in proportion `n, n - 1, ..., 1`, of sum 1.
    """

    t: float

    def __post_init__(self) -> None:
        if not (is_number(self.t) and self.t >= 0):
            raise NetworkError(f"Triangle.t must be 0 s or more, got {self.t!r}")
        warn_of_milliseconds(self, "t")

    def discretise(self, dt: float) -> DiscreteFilter:
        count = round(self.t / dt) + 1
        taps = np.arange(count, 0, -1, dtype=np.float64)
        numerator = tuple((taps / taps.sum()).tolist())
        return LinearFilter(numerator, (1.0, *(0.0,) * (count - 1)), analog=False).discretise(dt)


@dataclass(frozen=True)
class WindowMean(Synapse):
    """The mean of every `steps` steps, passed on in the `steps` steps after them.

    The windows follow each other from the first step on. In the first one it passes on `initial`,
    the values in order, or zeros where it is empty. It has no constant coefficients: it counts
    steps, whatever their length in seconds.
    """

    steps: int
    initial: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (is_whole(self.steps) and self.steps >= 1):
            raise NetworkError(
                f"WindowMean.steps must be a whole number from 1, got {self.steps!r}"
            )
        given = np.ravel(np.asarray(self.initial)).tolist()
        if not all(map(is_number, given)):
            raise NetworkError(f"WindowMean.initial must be finite numbers, got {self.initial!r}")
        object.__setattr__(self, "steps", int(self.steps))
        object.__setattr__(self, "initial", tuple(map(float, given)))

    def discretise(self, dt: float) -> DiscreteFilter:
        """Raises `NetworkError`: the mean depends on the position of a step in its window."""
        raise NetworkError(f"{self!r} is no filter with constant coefficients")


SYNAPSES = MappingProxyType(
    {c.__name__: fixed(c) for c in (LinearFilter, Lowpass, Alpha, Triangle, WindowMean)}
)
"""Every synapse by name."""


def as_synapse(value: Any, where: str) -> Synapse | None:
    """A synapse from what a user gave: a number means `Lowpass`.

    Raises `NetworkError` naming `where` for anything else.
    """
    if value is None or isinstance(value, Synapse):
        return value
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return Lowpass(float(value))
    raise NetworkError(
        f"{where}: a synapse is None, a time constant in seconds or a Synapse, got {value!r}"
    )


def _check_tau(owner: Synapse, tau: float) -> None:
    if not (is_number(tau) and tau >= 0):
        raise NetworkError(f"{type(owner).__name__}.tau must be 0 s or more, got {tau!r}")


def _state_space(
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


def _discretised(
    A: NDArray, B: NDArray, C: NDArray, D: float, dt: float, method: Method
) -> tuple[NDArray, NDArray, NDArray, float]:
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
