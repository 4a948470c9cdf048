"""Elementwise functions by name: an equation, its parameters, and where it is defined.

`Activation` layers of the graph and `Elementwise` neurons of the network are these functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Array = Any
Domain = Literal["all", "not zero", "above zero"]


@dataclass(frozen=True)
class Curve:
    """An elementwise function `f(xp, x, **parameters)`.

    `defaults` holds every parameter, with None for one that must be given. `negative` says whether
    values may be below zero. Outside its `domain` the function is NaN or infinite. A `steep`
    function grows beyond all bounds within the range of a spike's height. One that `jumps` is not
    continuous. Where it is steepest `f(x + e) - f(x)` is of the order `|e|^order`: 1 where slopes
    are bounded, 0 at a pole; a text names the parameter that it is, as far as that is at most 1.
    """

    function: Callable[..., Array]
    defaults: Mapping[str, float | None] = field(default_factory=dict)
    negative: bool = True
    domain: Domain = "all"
    steep: bool = False
    jumps: bool = False
    order: float | str = 1.0

    def order_with(self, parameters: Mapping[str, float]) -> float:
        """The order of its changes where it is steepest, from 0 to 1; 0 where it jumps."""
        if self.jumps:
            return 0.0
        order = self.order
        return min(1.0, max(0.0, parameters[order] if isinstance(order, str) else order))

    def problem(self, parameters: Mapping[str, float]) -> str | None:
        """The fault of a set of parameters, or None."""
        unknown = sorted(set(parameters) - set(self.defaults))
        if unknown:
            return f"has no parameter {unknown}"
        lacking = sorted(n for n, v in self.defaults.items() if v is None and n not in parameters)
        return f"needs a value for {lacking}" if lacking else None

    def __call__(self, xp: Any, x: Array, parameters: Mapping[str, float]) -> Array:
        """The value, parameters that are not given at their defaults."""
        return self.function(xp, x, **{**self.defaults, **parameters})


_registry: dict[str, Curve] = {}
CURVES: Mapping[str, Curve] = MappingProxyType(_registry)
"""Every elementwise function by name (read only)."""

_Function = Callable[..., Array]


def curve(
    name: str,
    negative: bool = True,
    domain: Domain = "all",
    steep: bool = False,
    jumps: bool = False,
    order: float | str = 1.0,
    **defaults: float | None,
) -> Callable[[_Function], _Function]:
    """Decorator: make `f(xp, x, **parameters)` an elementwise function known by its name."""

    def register(function: _Function) -> _Function:
        if name in _registry:
            raise ValueError(f"an elementwise function named {name!r} is registered already")
        _registry[name] = Curve(
            function, MappingProxyType(defaults),
            negative=negative, domain=domain, steep=steep, jumps=jumps, order=order,
        )  # fmt: skip
        return function

    return register


# --- piecewise linear -----------------------------------------------------------------------------


@curve("linear")
def linear(xp: Any, x: Array) -> Array:
    """`x`."""
    return x


@curve("relu", negative=False)
def relu(xp: Any, x: Array) -> Array:
    """`max(x, 0)`."""
    return xp.maximum(x, 0.0)


@curve("relu6", negative=False)
def relu6(xp: Any, x: Array) -> Array:
    """`min(max(x, 0), 6)`."""
    return xp.minimum(xp.maximum(x, 0.0), 6.0)


@curve("leaky_relu", negative_slope=None)
def leaky_relu(xp: Any, x: Array, negative_slope: float) -> Array:
    """`x` where `x >= 0`, else `negative_slope x`."""
    return xp.where(x >= 0, x, negative_slope * x)


@curve("clip", minimum=-1.0, maximum=1.0)
def clip(xp: Any, x: Array, minimum: float, maximum: float) -> Array:
    """`min(max(x, minimum), maximum)`; by default the hard tanh. Bounds may be infinite."""
    return xp.minimum(xp.maximum(x, minimum), maximum)


@curve("hard_sigmoid", negative=False, slope=1.0 / 6.0, offset=0.5)
def hard_sigmoid(xp: Any, x: Array, slope: float, offset: float) -> Array:
    """`min(max(slope x + offset, 0), 1)`."""
    return xp.minimum(xp.maximum(slope * x + offset, 0.0), 1.0)


@curve("abs", negative=False)
def absolute(xp: Any, x: Array) -> Array:
    """`|x|`."""
    return xp.abs(x)


@curve("threshold", jumps=True, threshold=None, value=0.0, negative_slope=0.0, maximum=math.inf)
def threshold(
    xp: Any, x: Array, threshold: float, value: float, negative_slope: float, maximum: float
) -> Array:
    """`min(x, maximum)` where `x > threshold`, else `value + negative_slope (x - threshold)`."""
    return xp.where(x > threshold, xp.minimum(x, maximum), value + negative_slope * (x - threshold))


@curve("hardshrink", jumps=True, threshold=0.5)
def hardshrink(xp: Any, x: Array, threshold: float) -> Array:
    """`x` where `|x| > threshold`, else 0."""
    return xp.where(xp.abs(x) > threshold, x, 0.0 * x)


@curve("rounded_relu", negative=False, jumps=True, threshold=None, levels=None, start=0.5)
def rounded_relu(xp: Any, x: Array, threshold: float, levels: float, start: float) -> Array:
    """`step min(max(floor(x / step + start), 0), levels)`, `step = threshold / levels`.

    It takes `levels + 1` values from 0 to `threshold`. Started at a half it is the activation of
    Bu et al. 2022 (QCFS).
    """
    step = threshold / levels
    return step * xp.minimum(xp.maximum(xp.floor(x / step + start), 0.0), levels)


@curve("round", jumps=True)
def nearest(xp: Any, x: Array) -> Array:
    """The nearest whole number, of two as near the even one."""
    above = xp.floor(x + 0.5)
    return xp.where(above - x == 0.5, 2.0 * xp.floor(0.5 * above), above)


@curve("softshrink", threshold=0.5)
def softshrink(xp: Any, x: Array, threshold: float) -> Array:
    """`sign(x) max(|x| - threshold, 0)`."""
    return xp.sign(x) * xp.maximum(xp.abs(x) - threshold, 0.0)


# --- sigmoid and tanh -----------------------------------------------------------------------------


@curve("sigmoid", negative=False)
def sigmoid(xp: Any, x: Array) -> Array:
    """`1 / (1 + exp(-x))`, as the tanh of half, which never overflows."""
    return 0.5 * (1.0 + xp.tanh(0.5 * x))


@curve("tanh")
def tanh(xp: Any, x: Array) -> Array:
    """`tanh(x)`."""
    return xp.tanh(x)


@curve("softsign")
def softsign(xp: Any, x: Array) -> Array:
    """`x / (1 + |x|)`."""
    return x / (1.0 + xp.abs(x))


@curve("softplus", negative=False)
def softplus(xp: Any, x: Array) -> Array:
    """`ln(1 + exp(x))`."""
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


@curve("log_sigmoid")
def log_sigmoid(xp: Any, x: Array) -> Array:
    """`-ln(1 + exp(-x))`."""
    return xp.minimum(x, 0.0) - xp.log1p(xp.exp(-xp.abs(x)))


@curve("tanhshrink")
def tanhshrink(xp: Any, x: Array) -> Array:
    """`x - tanh(x)`."""
    return x - xp.tanh(x)


@curve("erf")
def erf(xp: Any, x: Array) -> Array:
    """The error function `2/sqrt(pi) int_0^x exp(-u^2) du`."""
    return xp.erf(x)


@curve("atan")
def atan(xp: Any, x: Array) -> Array:
    """`arctan(x)`."""
    return xp.arctan(x)


# --- gated: x times something between 0 and 1 -----------------------------------------------------


@curve("silu", beta=1.0)
def silu(xp: Any, x: Array, beta: float) -> Array:
    """`x sigmoid(beta x)`: swish; with `beta` 1.702 the quick GELU."""
    return x * sigmoid(xp, beta * x)


@curve("gelu")
def gelu(xp: Any, x: Array) -> Array:
    """`x (1 + erf(x / sqrt 2)) / 2` (Hendrycks & Gimpel 2016)."""
    return 0.5 * x * (1.0 + xp.erf(math.sqrt(0.5) * x))


@curve("gelu_tanh")
def gelu_tanh(xp: Any, x: Array) -> Array:
    """`x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2`."""
    return 0.5 * x * (1.0 + xp.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


@curve("hard_swish")
def hard_swish(xp: Any, x: Array) -> Array:
    """`x min(max(x + 3, 0), 6) / 6`."""
    return x * hard_sigmoid(xp, x, 1.0 / 6.0, 0.5)


@curve("mish")
def mish(xp: Any, x: Array) -> Array:
    """`x tanh(ln(1 + exp(x)))` (Misra 2019)."""
    return x * xp.tanh(softplus(xp, x))


# --- exponential units ----------------------------------------------------------------------------


@curve("elu", alpha=1.0)
def elu(xp: Any, x: Array, alpha: float) -> Array:
    """`x` where `x > 0`, else `alpha (exp(x) - 1)`."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0)))


@curve("celu", alpha=1.0)
def celu(xp: Any, x: Array, alpha: float) -> Array:
    """`max(x, 0) + min(0, alpha (exp(x / alpha) - 1))`."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0) / alpha))


@curve("selu", alpha=1.6732632423543772, scale=1.0507009873554805)
def selu(xp: Any, x: Array, alpha: float, scale: float) -> Array:
    """`scale elu(x, alpha)` (Klambauer et al. 2017)."""
    return scale * elu(xp, x, alpha)


# --- arithmetic -----------------------------------------------------------------------------------


@curve("exp", negative=False, steep=True)
def exp(xp: Any, x: Array) -> Array:
    """`exp(x)`."""
    return xp.exp(x)


@curve("sin")
def sin(xp: Any, x: Array) -> Array:
    """`sin(x)`."""
    return xp.sin(x)


@curve("cos")
def cos(xp: Any, x: Array) -> Array:
    """`cos(x)`."""
    return xp.cos(x)


@curve("squareplus", negative=False, b=4.0)
def squareplus(xp: Any, x: Array, b: float) -> Array:
    """`(x + sqrt(x^2 + b)) / 2`."""
    return 0.5 * (x + xp.sqrt(x * x + b))


@curve("sparse_plus", negative=False)
def sparse_plus(xp: Any, x: Array) -> Array:
    """0 below -1, `(x + 1)^2 / 4` to 1, `x` above."""
    inner = xp.minimum(xp.maximum(x, -1.0), 1.0) + 1.0
    return 0.25 * inner * inner + xp.maximum(x - 1.0, 0.0)


@curve("square", negative=False, steep=True)
def square(xp: Any, x: Array) -> Array:
    """`x^2`."""
    return x * x


@curve("sqrt", negative=False, domain="above zero", order=0.5)
def sqrt(xp: Any, x: Array) -> Array:
    """`sqrt(x)`."""
    return xp.sqrt(x)


@curve("log", domain="above zero", order=0.0)
def log(xp: Any, x: Array) -> Array:
    """`ln(x)`."""
    return xp.log(x)


@curve("power", domain="above zero", steep=True, order="exponent", exponent=None)
def power(xp: Any, x: Array, exponent: float) -> Array:
    """`x^exponent`; for a whole exponent of any `x`."""
    return xp.power(x, exponent)


@curve("reciprocal", domain="not zero", steep=True, order=0.0)
def reciprocal(xp: Any, x: Array) -> Array:
    """`1 / x`."""
    return 1.0 / x
