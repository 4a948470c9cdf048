"""What a neuron type is: one equation, written once, that every engine interprets.

Equations take their array functions from `xp`, a namespace that an engine supplies (NumPy itself,
or a look-alike over another library), so that no engine writes an equation again. Besides
elementwise functions it offers one primitive, `xp.integrate`, the soft-reset integrator that all
rate-coded spiking types share (see `Integrate`).

Units: a current `J` is what reaches a neuron, gain and bias applied. Rates are in Hz. The
integrator adds up `J` itself and compares it with a *threshold* `1 / (s dt)`, `s` being the
firing-rate scale: multiplying every step by `s dt` would round at every step, and round
`J = 1, dt = 0.1` to a spike one step late.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._equations import NUMPY
from spikewright.errors import NetworkError
from spikewright.network.shapes import is_number, is_whole

Array = Any  # an array of whatever library the engine computes with
State = dict[str, Array]
Scaling = Literal["gain", "integrator", "skewed", "refused"]

TOLERANCE = 2.0**-16
"""Share of a spike by which an integrator may fire early.

It absorbs the rounding of sums whose exact value is a whole number of spikes; charge is conserved,
because the remainder (then minutely negative) is carried.
"""

_registry: dict[str, type[NeuronType]] = {}
NEURON_TYPES = MappingProxyType(_registry)
"""Every registered neuron type, by name (read only)."""


class Integrate(Protocol):
    """The soft-reset integrator, `v += charge; k = floor(v / threshold); v -= k threshold`.

    Returns `(counts, v)`. `least` (whole numbers, one or an array; None: none) and `cap` bound the
    counts from below and above, so that `v` may stay below zero or above the threshold;
    `rounding="truncate"` counts towards zero instead of down. `floor` bounds `v` from below. An
    engine may overwrite `voltage`. `TOLERANCE` applies to the division.
    """

    def __call__(
        self,
        voltage: Array,
        charge: Array,
        threshold: Array,
        *,
        least: Array | None = 0.0,
        rounding: Literal["down", "truncate"] = "down",
        floor: float | None = None,
        cap: int | None = None,
    ) -> tuple[Array, Array]: ...


class ArrayNamespace(Protocol):
    """The array functions that equations may use.

    `constant` makes an array of the engine's kind from a NumPy array that does not change.
    """

    integrate: Integrate
    constant: Callable[[NDArray], Array]
    exp: Callable[..., Array]
    expm1: Callable[..., Array]
    log: Callable[..., Array]
    log1p: Callable[..., Array]
    power: Callable[..., Array]
    sin: Callable[..., Array]
    cos: Callable[..., Array]
    tanh: Callable[..., Array]
    erf: Callable[..., Array]
    sqrt: Callable[..., Array]
    floor: Callable[..., Array]
    sign: Callable[..., Array]
    abs: Callable[..., Array]
    isfinite: Callable[..., Array]
    where: Callable[..., Array]
    maximum: Callable[..., Array]
    minimum: Callable[..., Array]
    zeros_like: Callable[..., Array]


@dataclass(frozen=True)
class Clock:
    """What a neuron may know about time.

    `step` counts from 1, `dt` is in seconds, `threshold = 1 / (s dt)` (scalar or per neuron), and
    `uniform(i)` is the i-th array of this step's uniform draws, one per neuron, the same in every
    engine and for every sample.
    """

    step: int
    dt: float
    threshold: Array
    uniform: Callable[[int], Array]


class NeuronType(ABC):
    """A neuron type: frozen parameters, a rate function and a step.

    Class attributes: `spiking` types emit counts of spikes, the others a rate; `negative` says
    whether outputs may be below zero; `scaling` says what a firing-rate scale acts on: the gain
    (exact where `f(s J) = s f(J)`), the integrator behind a rate function (exact for any), the gain
    all the same (skewed, where a user asked for that), or nothing (refused: the spiking is the
    neuron's own dynamics).
    """

    spiking: ClassVar[bool] = False
    negative: ClassVar[bool] = False
    scaling: Scaling = "integrator"
    stochastic: ClassVar[bool] = False
    amplitude: float

    @property
    def most_spikes(self) -> int | None:
        """The most spikes of a neuron in one step, of either sign; None: nothing bounds it."""
        return None

    @property
    def guarded(self) -> bool:
        """Whether the rate function is not defined, or grows out of bounds, at some currents."""
        return False

    def initial_state(self) -> Mapping[str, float]:
        """State variables and their values before the first step, without the voltage."""
        return {}

    @property
    def has_voltage(self) -> bool:
        """Whether the type keeps a `voltage`, in spikes, which starts at the initial voltage."""
        return self.spiking

    def voltage_unit(self, threshold: Array) -> Array:
        """What the state `voltage` is measured in, per spike."""
        return 1.0

    @abstractmethod
    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        """Rate in Hz at a constant current, without amplitude or scale."""

    @abstractmethod
    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        """Advance `state` (in place) by one step.

        Returns counts of spikes (spiking types) or rates in Hz, without amplitude.
        """

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        """Gain and bias for which the rate at `x = 1` is `max_rates`, and starts at `intercepts`.

        Raises `NetworkError` where no gain above zero does that.
        """
        raise NetworkError(
            f"{type(self).__name__} has no gain and bias formula: give gain= and bias="
        )

    def max_rates(self, gain: NDArray, bias: NDArray) -> NDArray:
        """Rate in Hz at `x = 1`, for `J = gain x + bias`."""
        return np.asarray(self.rates(NUMPY_RATES, np.asarray(gain + bias, np.float64)))


NUMPY_RATES: Any = NUMPY
"""NumPy as the namespace of rate functions, which need no integrator."""

T = TypeVar("T", bound=type[NeuronType])


def register(cls: T) -> T:
    """Class decorator: make a neuron type known to files, engines' tests and documentation."""
    if cls.__name__ in _registry:
        raise ValueError(f"a neuron type named {cls.__name__!r} is registered already")
    _registry[cls.__name__] = cls
    return cls


def check_positive(owner: object, **values: float) -> None:
    """Raise `NetworkError` unless every value is a finite number above zero."""
    for name, value in values.items():
        if not (is_number(value) and value > 0):
            raise NetworkError(f"{type(owner).__name__}.{name} must be above 0, got {value!r}")


def check_cap(owner: object, cap: int | None) -> None:
    """Raise `NetworkError` unless a cap on spikes is None or a whole number above 0."""
    if cap is not None and not (is_whole(cap) and cap >= 1):
        raise NetworkError(
            f"{type(owner).__name__}.max_spikes_per_step must be a whole number above 0, "
            f"got {cap!r}"
        )


def check_gain(owner: NeuronType, gain: NDArray, intercepts: NDArray, why: str) -> None:
    """Raise `NetworkError` unless every derived gain is finite and above 0, intercepts below 1."""
    bad = ~(np.isfinite(gain) & (gain > 0) & (intercepts < 1.0))
    if np.any(bad):
        raise NetworkError(
            f"{type(owner).__name__}: {int(bad.sum())} of {bad.size} neurons have no gain above 0 "
            f"for the given max_rates and intercepts: {why}"
        )
