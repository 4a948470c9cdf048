"""The arguments of neuron equations: array functions, the integrator among them, and the time.

An engine supplies the namespace `xp`: NumPy itself, or a look-alike over another library, so that
no engine writes an equation again. Besides elementwise functions it offers one primitive,
`xp.integrate`, the soft-reset integrator that all rate-coded spiking types share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NumpyFunctions

Array = Any  # an array of whatever library the engine computes with

TOLERANCE = 2.0**-16
"""Share of a spike by which an integrator may fire early.

It absorbs the rounding of sums whose exact value is a whole number of spikes; charge is conserved,
because the remainder (then minutely negative) is carried.
"""


def integrate(
    voltage: Any,
    charge: Any,
    threshold: Any,
    *,
    least: Any = 0.0,
    rounding: Literal["down", "truncate"] = "down",
    floor: float | None = None,
    cap: float | Any | None = None,
    xp: Any = np,
) -> tuple[Any, Any]:
    """Counts and the voltage that is left (see `Integrate`); `xp` has the array functions."""
    voltage = voltage + charge
    spikes = voltage / threshold
    if rounding == "down":
        counts = xp.floor(spikes + TOLERANCE)
    else:
        counts = xp.sign(spikes) * xp.floor(xp.abs(spikes) + TOLERANCE)
    if least is not None:
        counts = xp.maximum(counts, least)
    if cap is not None:
        counts = xp.minimum(counts, cap)
    voltage = voltage - counts * threshold
    if floor is not None:
        voltage = xp.maximum(voltage, -floor * threshold)
    return counts, voltage


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
        cap: float | Array | None = None,
    ) -> tuple[Array, Array]: ...


class ArrayNamespace(Protocol):
    """The array functions that equations may use.

    `constant` makes an array of the engine's kind from a NumPy array that does not change.
    `greater` and `greater_equal` decide whether a neuron fires: where gradients are wanted, what
    `where` chooses by their answer has that of a surrogate. All other comparisons are operators.
    """

    integrate: Integrate
    greater: Callable[[Array, float], Array]
    greater_equal: Callable[[Array, float], Array]
    constant: Callable[[NDArray], Array]
    exp: Callable[..., Array]
    expm1: Callable[..., Array]
    log: Callable[..., Array]
    log1p: Callable[..., Array]
    power: Callable[..., Array]
    sin: Callable[..., Array]
    cos: Callable[..., Array]
    arctan: Callable[..., Array]
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
    """Time as a neuron type's equation sees it.

    `step` counts from 1, `dt` is in seconds, `threshold = 1 / (s dt)` (scalar or per neuron).
    `uniform(i)` is the i-th array of this step's uniform draws, one per neuron, equal in every
    engine and for every sample.
    """

    step: int
    dt: float
    threshold: Array
    uniform: Callable[[int], Array]

    def within(self, steps: int) -> Any:
        """1 in the first so many steps, and 0 after them.

        An equation asks for it, or for `listed`, in place of comparing `step`, which may stand for
        any number.
        """
        return 1.0 if self.step <= steps else 0.0

    def listed(self, values: Sequence[float], last: float) -> Any:
        """The value of this step in a list for the first steps, and `last` after them."""
        return values[self.step - 1] if self.step <= len(values) else last


def no_draws(index: int) -> Array:
    """Raise, in the place of a clock's `uniform`: neurons that draw were refused before."""
    raise AssertionError("neurons that draw random numbers are refused before")


class _WithIntegrator(NumpyFunctions):
    """NumPy and the integrator."""

    integrate = staticmethod(integrate)


NUMPY_NEURONS: Any = _WithIntegrator()
"""NumPy as the namespace of neuron equations and rate functions."""


def each_of(xp: ArrayNamespace, value: float | NDArray) -> Any:
    """A parameter as equations take it: the number, or one for each neuron."""
    return xp.constant(value) if isinstance(value, np.ndarray) else value


def integrated(
    xp: ArrayNamespace, state: dict[str, Array], charge: Array, clock: Clock, **bounds: Any
) -> Array:
    """The counts of a step that adds a charge to the voltage, with the bounds of `Integrate`."""
    counts, state["voltage"] = xp.integrate(state["voltage"], charge, clock.threshold, **bounds)
    return counts


def either_sign(cap: int | None) -> dict[str, Any]:
    """Bounds of `integrate` for spikes of either sign, at most `cap` of them."""
    return {"least": None if cap is None else -float(cap), "cap": cap}
