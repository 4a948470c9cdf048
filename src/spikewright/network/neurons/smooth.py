"""Rate neurons with curved responses, and any by name; `RunningMeanSpiking` makes them spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import EqualByValue, is_real_number
from spikewright._base.equations import CURVES, Curve
from spikewright.errors import NetworkError
from spikewright.network.functions import check_curve
from spikewright.network.neurons.base import RateFunction, check_gain, no_gain_bias, register
from spikewright.network.neurons.namespace import Array, ArrayNamespace
from spikewright.network.shapes import fixed_numbers


@register
@dataclass(frozen=True)
class Sigmoid(RateFunction):
    """`y = 1 / (tau_ref (1 + exp(-J)))`; `tau_ref=1` is the plain logistic function.

    `y` is in Hz, `tau_ref` in seconds.
    """

    tau_ref: float = 0.0025
    amplitude: float = 1.0
    above_zero = ("tau_ref", "amplitude")

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return (0.5 / self.tau_ref) * (1.0 + xp.tanh(0.5 * current))

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        """`gain = L / (1 - c)`, `bias = L - gain`, `L = -ln(1 / (M tau_ref) - 1)`; `M` in Hz."""
        with np.errstate(all="ignore"):
            logit = -np.log(1.0 / (max_rates * self.tau_ref) - 1.0)
            gain = logit / (1.0 - intercepts)
        limits = f"between {0.5 / self.tau_ref:g} and {1 / self.tau_ref:g} Hz"
        check_gain(self, gain, intercepts, f"max rates must lie {limits}, intercepts below 1")
        return gain, logit - gain


@register
@dataclass(frozen=True)
class Tanh(RateFunction):
    """`y = tanh(J) / tau_ref`; `tau_ref=1` is the plain function.

    `y` is in Hz, of either sign; `tau_ref` is in seconds.
    """

    tau_ref: float = 0.0025
    amplitude: float = 1.0
    negative = True
    above_zero = ("tau_ref", "amplitude")

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return (1.0 / self.tau_ref) * xp.tanh(current)

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        """`gain = atanh(M tau_ref) / (1 - c)`, `bias = -c gain`; `M` in Hz."""
        with np.errstate(all="ignore"):
            gain = np.arctanh(max_rates * self.tau_ref) / (1.0 - intercepts)
        limits = f"between 0 and {1 / self.tau_ref:g} Hz"
        check_gain(self, gain, intercepts, f"max rates must lie {limits}, intercepts below 1")
        return gain, -intercepts * gain


@register
@dataclass(frozen=True)
class Softplus(RateFunction):
    """`y = ln(1 + exp(J))`, in Hz."""

    amplitude: float = 1.0

    gain_bias = no_gain_bias

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.maximum(current, 0.0) + xp.log1p(xp.exp(-xp.abs(current)))


@register
@dataclass(frozen=True)
class ClippedReLU(RateFunction):
    """`y = min(max(0, J), max_value)`, in Hz; ReLU6 has `max_value=6`."""

    max_value: float = 6.0
    amplitude: float = 1.0
    above_zero = ("max_value", "amplitude")

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.minimum(xp.maximum(current, 0.0), self.max_value)


Parameters = tuple[tuple[str, float], ...]


@register
@dataclass(frozen=True)
class Elementwise(RateFunction):
    """`y = f(J)` for an elementwise function by name, such as `Elementwise("gelu")`.

    `parameters` are its `(name, value)` pairs; `Elementwise.of("elu", alpha=0.5)` writes them as
    keywords. Raises `NetworkError` for an unknown function or unknown parameters.
    """

    function: str
    parameters: Parameters = ()
    amplitude: float = 1.0

    @classmethod
    def of(cls, function: str, amplitude: float = 1.0, **parameters: float) -> Elementwise:
        """The type with its function's parameters as keywords."""
        return cls(function, tuple(parameters.items()), amplitude)

    def __post_init__(self) -> None:
        super().__post_init__()
        parameters = _pairs(self.parameters)
        check_curve(self.function, parameters)
        object.__setattr__(self, "parameters", tuple(sorted(parameters.items())))

    @property
    def curve(self) -> Curve:
        """The function itself."""
        return CURVES[self.function]

    @property
    def negative(self) -> bool:  # type: ignore[override]
        """Whether the function has negative values."""
        return self.curve.negative

    @property
    def guarded(self) -> bool:
        """Whether the function has a domain or is steep."""
        return self.curve.domain != "all" or self.curve.steep

    gain_bias = no_gain_bias

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        with np.errstate(all="ignore"):  # outside its domain a function is NaN, or infinite
            return self.curve(xp, current, dict(self.parameters))


def _pairs(value: Any) -> dict[str, float]:
    try:
        pairs = dict(value)
    except (TypeError, ValueError):
        pairs = {"": None}
    if not all(isinstance(name, str) and is_real_number(v) for name, v in pairs.items()):
        raise NetworkError(
            f"Elementwise.parameters are (name, number) pairs, got {value!r}; "
            "Elementwise.of takes keywords"
        )
    return pairs


@register
@dataclass(frozen=True, eq=False)
class ParametricReLU(EqualByValue, RateFunction):
    """`y = J` where `J >= 0`, else `slope J`; `slope` broadcasts to the population's shape."""

    slope: NDArray
    amplitude: float = 1.0
    negative = True

    def __post_init__(self) -> None:
        super().__post_init__()
        fixed_numbers(self, "slope")

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.where(current >= 0, current, xp.constant(self.slope) * current)
