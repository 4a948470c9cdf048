"""Rate neurons with any elementwise response by name, and the rectifier with a slope a neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import as_numbers, is_real_number
from spikewright._base.arrays import EqualByValue
from spikewright._base.equations import CURVES, Curve
from spikewright.errors import NetworkError
from spikewright.network.neurons.base import (
    Array,
    ArrayNamespace,
    Clock,
    NeuronType,
    State,
    no_gain_bias,
    register,
)

Parameters = tuple[tuple[str, float], ...]


@register
@dataclass(frozen=True)
class Elementwise(NeuronType):
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

    above_zero = ("amplitude",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.function not in CURVES:
            raise NetworkError(
                f"Elementwise: {self.function!r} is unknown; known are {', '.join(sorted(CURVES))}"
            )
        parameters = _pairs(self.parameters)
        problem = CURVES[self.function].problem(parameters)
        if problem is not None:
            raise NetworkError(f"Elementwise: {self.function!r} {problem}")
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

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> NoReturn:
        no_gain_bias(self)

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        with np.errstate(all="ignore"):  # outside its domain a function is NaN, or infinite
            return self.curve(xp, current, dict(self.parameters))

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        return self.rates(xp, current)


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
class ParametricReLU(EqualByValue, NeuronType):
    """`y = J` where `J >= 0`, else `slope J`; `slope` broadcasts to the population's shape."""

    slope: NDArray
    amplitude: float = 1.0
    negative = True
    above_zero = ("amplitude",)

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            slope = as_numbers(self.slope)
        except (TypeError, ValueError):
            raise NetworkError(
                f"ParametricReLU.slope must be numbers, got {self.slope!r}"
            ) from None
        if not np.all(np.isfinite(slope)):
            raise NetworkError("ParametricReLU.slope holds NaN or infinity")
        slope.setflags(write=False)
        object.__setattr__(self, "slope", slope)

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.where(current >= 0, current, xp.constant(self.slope) * current)

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        return self.rates(xp, current)
