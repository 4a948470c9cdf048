"""Synapses: filters in time, linear ones defined in continuous time and discretised for a step.

A synapse on a connection or probe delays by one step; no synapse (`None`) delays by none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import EqualByValue, frozen, is_number, is_whole, numbers_or_nan
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed
from spikewright.network.filters import (
    METHODS,
    DiscreteFilter,
    Method,
    discretised,
    stacked,
    state_space,
)
from spikewright.network.shapes import (
    Shape,
    above_zero,
    count,
    finite,
    from_zero,
    number,
    warn_of_milliseconds,
)


class Synapse:
    """A filter of the values that a connection delivers, or that a probe records.

    A subclass of your own gives `discretise`, where it is a linear filter, or `make_step`, and
    `make_state` where it keeps state: any function of the values so far, each connection's with a
    state and random numbers of its own. With a `seed` the random numbers are the same in all
    connections.
    """

    seed: int | None = None
    by_windows = False
    """Whether it goes by windows of steps, and so belongs to what is sent."""

    def discretise(self, dt: float) -> DiscreteFilter:
        """The linear filter for steps of `dt` seconds; raises `NetworkError` where it is none."""
        raise NetworkError(
            f"{self!r} is no linear filter: it has a step of its own. Where a linear one is needed "
            "use a Lowpass, Alpha or LinearFilter"
        )

    def make_state(self, shape_in: Shape, shape_out: Shape, dt: float) -> dict[str, NDArray]:
        """The arrays of the state before the first step, by name."""
        return {}

    def make_step(
        self,
        shape_in: Shape,
        shape_out: Shape,
        dt: float,
        rng: np.random.Generator,
        state: dict[str, NDArray],
    ) -> Callable[[float, NDArray], Any]:
        """A function `f(t, x)` that returns the values of `shape_out` for the input of a step.

        `shape_in` and `shape_out` are the shape of what is filtered. It may change the arrays of
        `state` in place and draw from `rng`. `t` is in seconds, `dt` at the first step. A
        connection delivers the value in the next step.
        """
        f = self.discretise(dt)
        f.check_shape(shape_out, f"{self!r}")
        x = np.zeros((f.order, *shape_out))
        return lambda t, u: f.step(x, u)

    @property
    def stepped(self) -> bool:
        """Whether it has a step of its own, which need not be linear."""
        return type(self).make_step is not Synapse.make_step

    @property
    def commutes(self) -> bool:
        """Whether it filters all values alike and linearly: before a linear map, or behind it."""
        return not self.stepped

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
        above_zero(dt, "dt", " s")
        number(y0, "y0")
        if self.stepped:
            return np.moveaxis(self._stepped(values, dt, y0, filtfilt), 0, axis)
        f = self.discretise(dt)
        f.check_shape(values.shape[1:], f"{self!r}")
        state, rest = np.zeros((f.order, *values.shape[1:])), f.steady(y0)
        state[:] = rest if f.varies else rest.reshape(-1, *(1,) * (values.ndim - 1))
        y = np.empty_like(values)
        for t, u in enumerate(values):
            y[t] = f.step(state, u)
        if filtfilt:
            for t in range(len(y) - 1, -1, -1):
                y[t] = f.step(state, y[t])
        return np.moveaxis(y, 0, axis)

    def _stepped(self, values: NDArray, dt: float, y0: float, filtfilt: bool) -> NDArray:
        """Values `(steps, *shape)` through a step of one's own."""
        if y0 != 0 or filtfilt:
            what = f"y0 = {y0!r}" if y0 != 0 else "filtfilt"
            raise NetworkError(f"{self!r} has a step of its own: {what} is for linear filters")
        shape = values.shape[1:]
        state, rng = self.make_state(shape, shape, dt), np.random.default_rng(self.seed or 0)
        step = self.make_step(shape, shape, dt, rng, state)
        rows = [np.asarray(step((i + 1) * dt, u)) for i, u in enumerate(values)]
        return np.array(rows, np.float64).reshape(values.shape)

    def filtfilt(self, x: ArrayLike, dt: float = 0.001, axis: int = 0, y0: float = 0.0) -> NDArray:
        """A signal filtered forwards and then backwards: see `filt`."""
        return self.filt(x, dt, axis, y0, filtfilt=True)


def _signal(x: ArrayLike, axis: int) -> NDArray:
    """Finite numbers with time on their first axis, or `NetworkError`."""
    values = finite(x, "the signal that a synapse filters", truth_values=True)
    if not (is_whole(axis) and -values.ndim <= axis < values.ndim):
        raise NetworkError(f"axis {axis!r} is none of a signal of shape {values.shape}")
    return np.moveaxis(values, axis, 0)


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
            given = finite(getattr(self, name), f"LinearFilter.{name}")
            object.__setattr__(self, name, tuple(np.atleast_1d(given).tolist()))
        if not any(self.den) or len(np.trim_zeros(self.num, "f")) > len(
            np.trim_zeros(self.den, "f")
        ):
            raise NetworkError(
                f"LinearFilter: {self.num} / {self.den} is not a causal transfer function; the "
                "numerator's degree may not exceed the denominator's"
            )
        if self.method not in METHODS:
            raise NetworkError(f"LinearFilter.method must be one of {METHODS}, got {self.method!r}")

    def discretise(self, dt: float) -> DiscreteFilter:
        A, B, C, D = state_space(self.num, self.den)
        if self.analog and len(B):
            A, B, C, D = discretised(A, B, C, D, dt, self.method)
        feedthrough = D if D != 0 or not len(B) else None
        return DiscreteFilter(A, B, C, feedthrough)


class _OfTau(EqualByValue, Synapse):
    """A filter with a time constant, or one for each value."""

    tau: float | NDArray

    def __post_init__(self) -> None:
        if not (is_number(self.tau) and self.tau >= 0):
            tau = numbers_or_nan(self.tau)
            if tau.ndim == 0 or tau.size == 0 or not np.all((tau >= 0) & (tau < np.inf)):
                name = type(self).__name__
                raise NetworkError(f"{name}.tau must be 0 s or more, got {self.tau!r}")
            object.__setattr__(self, "tau", frozen(tau))
        warn_of_milliseconds(self, "tau")

    @property
    def commutes(self) -> bool:
        """Whether all values have one time constant."""
        return np.ndim(self.tau) == 0


@dataclass(frozen=True, eq=False)
class Lowpass(_OfTau):
    """First-order low-pass `1 / (tau s + 1)`; `tau` in seconds, 0 passes its input unchanged.

    An array of time constants has one for each value that is filtered: of a connection those that
    it delivers, behind its transform. It broadcasts to their shape.
    """

    tau: float | NDArray

    def discretise(self, dt: float) -> DiscreteFilter:
        """`y_t = p y_(t-1) + (1 - p) u_t`, `p = exp(-dt / tau)`."""
        if isinstance(self.tau, np.ndarray):
            return _each(Lowpass, self.tau, dt)
        p = float(np.exp(-dt / self.tau)) if self.tau > 0 else 0.0
        q = float(-np.expm1(-dt / self.tau)) if self.tau > 0 else 1.0
        return DiscreteFilter(np.array([[p]]), np.array([q]), np.array([1.0]), None)


@dataclass(frozen=True, eq=False)
class Alpha(_OfTau):
    """Second-order low-pass `1 / (tau s + 1)^2`; `tau` in seconds, or an array as of `Lowpass`."""

    tau: float | NDArray

    def discretise(self, dt: float) -> DiscreteFilter:
        if isinstance(self.tau, np.ndarray):
            return _each(Alpha, self.tau, dt)
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
        from_zero(self.t, "Triangle.t", " s")
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
    by_windows = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", count(self.steps, "WindowMean.steps"))
        given = finite(self.initial, "WindowMean.initial").ravel()
        object.__setattr__(self, "initial", tuple(given.tolist()))

    def discretise(self, dt: float) -> DiscreteFilter:
        """Raises `NetworkError`: the mean depends on the position of a step in its window."""
        raise NetworkError(f"{self!r} is no filter with constant coefficients")


SYNAPSES = MappingProxyType(
    {c.__name__: fixed(c) for c in (LinearFilter, Lowpass, Alpha, Triangle, WindowMean)}
)
"""Every synapse by name."""


def as_synapse(value: Any, where: str) -> Synapse | None:
    """A synapse from what a user gave: a number means `Lowpass`, several one for each value.

    Raises `NetworkError` naming `where` for anything else.
    """
    if isinstance(value, Synapse):
        if type(value).discretise is Synapse.discretise and not value.stepped:
            raise NetworkError(
                f"{where}: {value!r} filters nothing; give its class make_step, or discretise "
                "where it is a linear filter"
            )
        return value
    if value is None:
        return value
    if isinstance(value, list | tuple | np.ndarray) and np.ndim(value):
        try:
            return Lowpass(value)  # type: ignore[arg-type]
        except NetworkError as error:
            raise NetworkError(f"{where}: {error}") from None
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return Lowpass(float(value))
    raise NetworkError(
        f"{where}: a synapse is None, a time constant in seconds or a Synapse, got {value!r}"
    )


def _each(kind: Callable[[float], Synapse], taus: NDArray, dt: float) -> DiscreteFilter:
    """The filters of one kind for each of some time constants, as one that varies."""
    distinct, places = np.unique(taus, return_inverse=True)
    filters = [kind(float(tau)).discretise(dt) for tau in distinct]
    return stacked(filters, places.reshape(taus.shape))
