"""Functions of one value, by the names that the field gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.reading.arithmetic import combined, product, scaled, total
from spikewright.frontends.reading.call import Call
from spikewright.frontends.reading.reasons import JUMPS, ROUNDS
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.rounding import Rounds
from spikewright.frontends.reading.values import Operand, Value, finite
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Activation,
    Layer,
    ParametricReLU,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
)


def _one(name: str, **parameters: float) -> Steps:
    return (("", Activation(name, parameters)),)


def _chain(*layers: Layer) -> Callable[[], Steps]:
    parts = [str(layer.kind).lower() for layer in layers[:-1]]
    return lambda: tuple(zip((*parts, ""), layers, strict=True))


def _scale(factor: float, shift: float = 0.0) -> ScaleShift:
    return ScaleShift(np.array(factor), np.array(shift) if shift else None)


def _threshold(threshold: float, value: float = 0.0) -> Steps:
    if threshold == value == 0:
        return _one("relu")
    return _one("threshold", threshold=threshold, value=value)


_COMPOSED: Mapping[str, Callable[..., Steps]] = MappingProxyType(
    {
        "negative": _chain(_scale(-1.0)),
        "exp2": _chain(_scale(math.log(2.0)), Activation("exp")),
        "expm1": _chain(Activation("exp"), _scale(1.0, -1.0)),
        "log1p": _chain(_scale(1.0, 1.0), Activation("log")),
        "log2": _chain(Activation("log"), _scale(1.0 / math.log(2.0))),
        "log10": _chain(Activation("log"), _scale(1.0 / math.log(10.0))),
        "rsqrt": lambda: _one("power", exponent=-0.5),
        "sparse_sigmoid": lambda: _one("hard_sigmoid", slope=0.5, offset=0.5),
        "threshold": _threshold,
    }
)
"""Functions that are no one curve of the graph, or a curve with fixed parameters."""


def function(name: str, **parameters: float) -> Steps:
    """A function as layers one after another, each with a name for its part."""
    composed = _COMPOSED.get(name)
    given = {key: float(value) for key, value in parameters.items()}
    return _one(name, **given) if composed is None else composed(**given)


def normalised_exponentials(name: str, shape: Shape, axes: Sequence[int]) -> Steps:
    """Softmax or its logarithm; several axes are made one for as long as it takes."""
    wide = [axis for axis in axes if shape[axis] > 1] or list(axes[:1])
    if len(wide) == 1:
        return _one(name, axis=wide[0])
    rest = [i for i in range(len(shape)) if i not in axes]
    order = (*rest, *sorted(axes))
    moved = tuple(shape[i] for i in order)
    merged = (*moved[: len(rest)], math.prod(moved[len(rest) :]))
    return (
        ("moved", Permute(order)),
        ("merged", Reshape(merged)),
        (name, Activation(name)),
        ("split", Reshape(moved)),
        ("", Permute(tuple(int(i) for i in np.argsort(order)))),
    )


def parametric_relu(call: Call, x: Value, slope: NDArray) -> Value:
    """`x` where positive, elsewhere times a slope that broadcasts against a sample."""
    if slope.size and (slope == slope.flat[0]).all():
        return call.chain(finite(x), *function("leaky_relu", negative_slope=slope.flat[0]))
    return call.add(ParametricReLU(slope), finite(x))


def rounded(call: Call, x: Value, name: str) -> Value:
    """`floor`, `ceil`, `round` or `trunc`, which is refused unless it makes an activation's steps.

    Where layers that cannot be read are called, so is this one.
    """
    if is_asked_for():
        raise Unreadable(*JUMPS)
    made = call.add(Rounds(name), finite(x))
    if made.name is not None:
        call.builder.rounds(made.name, call.refusal(*ROUNDS))
    return made


def hyperbolic(call: Call, x: Value, sine: bool) -> Value:
    """`(exp(x) - exp(-x)) / 2`, the hyperbolic sine, or their sum, the cosine."""
    up = call.add(Activation("exp"), finite(x), part="up")
    down = call.add(Activation("exp"), call.negated(x), part="down")
    both = combined(call, (1.0, up), (-1.0 if sine else 1.0, down), part="sum")
    return scaled(call, both, np.array(0.5))


def length(call: Call, x: Operand, y: Operand) -> Value:
    """`sqrt(x^2 + y^2)`, of two values, or a value and a constant."""
    squares = [
        product(call, one, one, name) if isinstance(one, Value) else np.square(one)
        for name, one in (("first", x), ("second", y))
    ]
    return call.add(Activation("sqrt"), total(call, *squares, part="sum"))


def log_of_sum(call: Call, x: Operand, y: Operand, base: float = math.e) -> Value:
    """`log(base^x + base^y) = y + softplus(r (x - y)) / r` to that base, with `r = ln(base)`."""
    rate = math.log(base)
    difference = combined(call, (rate, x), (-rate, y), part="difference")
    above = call.add(Activation("softplus"), difference, part="above")
    return combined(call, (1.0 / rate, above), (1.0, y))


def gated(call: Call, x: Value, axis: int) -> Value:
    """One half of an axis times the sigmoid of the other (GLU, Dauphin et al. 2017)."""
    half = x.shape[axis] // 2
    kept, gate = (
        call.add(Slice.along(x.shape, {axis: part}), finite(x), part=name)
        for name, part in (("half", slice(0, half)), ("other_half", slice(half, None)))
    )
    return product(call, kept, call.add(Activation("sigmoid"), gate, part="gate"))
