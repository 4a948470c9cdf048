"""Sums, products, quotients, powers and extrema, and functions by the names of the field.

Operands are aligned: their own axes match from the end, and the batch stands where it does in the
first of the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.reading.call import (
    JUMPS,
    ROUNDS,
    Call,
    Operand,
    UnsupportedOp,
    Value,
    common_shape,
    finite,
)
from spikewright.frontends.reading.rounding import Rounds
from spikewright.graph.clipping import FAR, Steps, clip_steps
from spikewright.graph.layers import (
    Activation,
    Add,
    Divide,
    Identity,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    ParametricReLU,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
)


def total(call: Call, *operands: Operand) -> Value:
    """The sum of operands, of which at least one is a value."""
    return combined(call, *((1.0, x) for x in operands))


def combined(call: Call, *terms: tuple[float, Operand], divisor: float = 1.0) -> Value:
    """The sum of factors times operands, over a divisor; at least one operand is a value."""
    values = [(factor, x) for factor, x in terms if isinstance(x, Value)]
    shape = common_shape(*(x for _, x in terms))
    shift, hidden = _constants([(a, x) for a, x in terms if not isinstance(x, Value)], divisor)
    if len(values) == 1:
        ((factor, x),) = values
        return _shifted(call, x, factor / divisor, shift, hidden)
    if hidden is not None:
        raise UnsupportedOp(
            "it adds minus infinity to several values", "Add the mask to their sum."
        )
    whole = divisor == 1 and shift is None
    parts = [_scaled_part(call, factor, finite(x), shape) for factor, x in values]
    made = call.add(Add(), *parts, part="" if whole else "sum")
    scale = None if divisor == 1 else np.array(1.0 / divisor)
    return made if whole else call.add(ScaleShift(scale, shift), made)


def _constants(
    terms: Sequence[tuple[float, NDArray]], divisor: float
) -> tuple[NDArray | None, NDArray | None]:
    """The sum of constants, and where it is minus infinity, which is 0 in the sum; else None."""
    if not terms:
        return None, None
    both = [factor / divisor * np.asarray(x) if factor != divisor else x for factor, x in terms]
    shift = np.asarray(sum(both[1:], both[0]))
    hidden = np.isneginf(shift)
    return (np.where(hidden, 0.0, shift), hidden) if hidden.any() else (shift, None)


def _shifted(
    call: Call, x: Value, factor: float, shift: NDArray | None, hidden: NDArray | None
) -> Value:
    """`factor x + shift`, minus infinity where it is `hidden` or was before."""
    if x.masked is not None and factor <= 0:
        raise UnsupportedOp("it turns around values that are minus infinity")
    masked = x.masked
    if hidden is not None:
        masked = hidden if masked is None else hidden | masked
    shape = x.shape if shift is None else common_shape(x, shift)
    scale = None if factor == 1 else np.array(float(factor))
    layer: Layer = Identity() if scale is None and shift is None else ScaleShift(scale, shift)
    made = call.add(layer, call.expand(x, shape))
    return replace(made, masked=masked)


def _scaled_part(call: Call, factor: float, x: Value, shape: tuple[int, ...]) -> Value:
    x = call.expand(x, shape)
    if factor == 1:
        return x
    part = "negative" if factor == -1 else "scaled"
    return call.add(ScaleShift(np.array(float(factor))), x, part=part)


def scaled(call: Call, x: Value, constant: NDArray) -> Value:
    """`x constant`."""
    shape = common_shape(x, np.asarray(constant))
    x = call.expand(finite(x), shape)
    return call.add(ScaleShift(scale=np.asarray(constant)), x)


def product(call: Call, x: Operand, y: Operand) -> Value:
    """`x y`, of two values, a value and a constant, or a value with itself."""
    if not isinstance(x, Value):
        x, y = y, x
    assert isinstance(x, Value)
    if not isinstance(y, Value):
        return scaled(call, x, y)
    if x.name is not None and x.name == y.name and x.shape == y.shape:
        return call.add(Activation("square"), finite(x))
    return call.add(Multiply(), finite(x), finite(y))


def quotient(call: Call, x: Operand, y: Operand) -> Value:
    """`x / y`, where at least one of them is a value."""
    if not isinstance(y, Value):
        assert isinstance(x, Value)
        if not np.all(y):
            raise UnsupportedOp("it divides by zero", "Divide by other constants")
        return scaled(call, x, 1.0 / np.asarray(y, np.float64))
    if isinstance(x, Value):
        return call.add(Divide(), finite(x), finite(y))
    inverse = call.add(Activation("reciprocal"), finite(y), part="reciprocal")
    return scaled(call, inverse, x)


def powered(call: Call, x: Value, exponent: float) -> Value:
    """`x ** exponent`; the powers 3 to 6 are products, which hold below zero too."""
    known: dict[float, Layer] = {
        0.5: Activation("sqrt"),
        -1.0: Activation("reciprocal"),
        1.0: Identity(),
        2.0: Activation("square"),
    }
    if exponent in (3.0, 4.0, 5.0, 6.0):
        return call.add(Multiply(), *[finite(x)] * int(exponent))
    layer = known.get(exponent, Activation("power", {"exponent": exponent}))
    return call.add(layer, finite(x))


def exponential(call: Call, base: float, x: Value) -> Value:
    """`base ** x`."""
    if not base > 0:
        raise UnsupportedOp(
            f"its base is {base}; a power of a value needs a positive one", "Use a base above 0"
        )
    scale = ScaleShift(np.array(math.log(base)))
    return call.chain(finite(x), ("exponent", scale), ("", Activation("exp")))


def clipped(call: Call, x: Value, low: float, high: float) -> Value:
    """A value limited to an interval, of which either end may be infinite."""
    try:
        steps = clip_steps(low, high)
    except ValueError as error:
        raise UnsupportedOp(str(error), "Give a lower bound below the upper") from None
    return call.chain(finite(x), *steps)


def extremum(call: Call, largest: bool, *operands: Operand) -> Value:
    """The largest, or the smallest, of values and constants; of one value and a number, a bound."""
    values = [finite(x) for x in operands if isinstance(x, Value)]
    constants = [np.asarray(x, np.float64) for x in operands if not isinstance(x, Value)]
    shape = common_shape(*values, *constants)
    if not constants:
        layer: Layer = Maximum() if largest else Minimum()
        return call.add(layer if len(values) > 1 else Identity(), *values)
    bound = constants[0]
    for constant in constants[1:]:
        bound = (np.maximum if largest else np.minimum)(bound, constant)
    if bound.size > 1 and not np.isfinite(bound).all():
        raise UnsupportedOp("its bounds are infinite in places")
    if len(values) == 1 and (bound.size == 1 or np.ptp(bound) == 0):
        x, number = call.expand(values[0], shape), float(bound.flat[0])
        low, high = (number, math.inf) if largest else (-math.inf, number)
        return clipped(call, x, low, high)
    if len(values) == 1 and np.abs(bound).max(initial=0) <= FAR:
        return _bounded(call, call.expand(values[0], shape), bound, largest)
    layer = Maximum() if largest else Minimum()
    values.append(call.constant_like(bound, values[0], "bound"))
    return call.add(layer, *values)


def _bounded(call: Call, x: Value, bound: NDArray, largest: bool) -> Value:
    """`bound + relu(x - bound)`, or `bound - relu(bound - x)`."""
    sign = 1.0 if largest else -1.0
    beyond = combined(call.inside("beyond"), (sign, x), (-sign, bound))
    kept = call.add(Activation("relu"), beyond, part="relu")
    return combined(call, (sign, kept), (1.0, bound))


def chosen(call: Call, condition: NDArray, yes: Operand, no: Operand) -> Value:
    """`yes` where a constant condition holds, else `no`; one of them at least is a value."""
    if isinstance(yes, Value) and isinstance(no, Value):
        parts = ((yes, condition, "yes"), (no, ~condition, "no"))
        both = (scaled(call.inside(part), x, mask.astype(float)) for x, mask, part in parts)
        return total(call, *both)
    x, kept = (yes, condition) if isinstance(yes, Value) else (no, ~condition)
    constant = no if isinstance(yes, Value) else yes
    assert isinstance(x, Value)
    assert not isinstance(constant, Value)
    shift = np.where(kept, 0.0, constant)
    x = call.expand(x, common_shape(x, shift))
    if np.isneginf(constant).all():
        return replace(x, masked=~kept if x.masked is None else ~kept | x.masked)
    if np.isneginf(shift).any():
        raise UnsupportedOp("it chooses minus infinity in places, and other values elsewhere")
    return call.add(ScaleShift(kept.astype(float), shift), finite(x))


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


def soft_capped(cap: float) -> Steps:
    """`cap tanh(x / cap)`, as of scores and logits."""
    inner, outer = ScaleShift(np.array(1.0 / cap)), ScaleShift(np.array(float(cap)))
    return ("scaled", inner), ("tanh", Activation("tanh")), ("", outer)


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
        raise UnsupportedOp(*JUMPS)
    made = call.add(Rounds(name), finite(x))
    if made.name is not None:
        call.builder.rounds(made.name, call.refusal(*ROUNDS))
    return made


def hyperbolic(call: Call, x: Value, sine: bool) -> Value:
    """`(exp(x) - exp(-x)) / 2`, the hyperbolic sine, or their sum, the cosine."""
    up = call.add(Activation("exp"), finite(x), part="up")
    down = call.add(Activation("exp"), call.negated(x), part="down")
    both = combined(call.inside("sum"), (1.0, up), (-1.0 if sine else 1.0, down))
    return scaled(call, both, np.array(0.5))


def length(call: Call, x: Operand, y: Operand) -> Value:
    """`sqrt(x^2 + y^2)`, of two values, or a value and a constant."""
    squares = [
        product(call.inside(name), one, one) if isinstance(one, Value) else np.square(one)
        for name, one in (("first", x), ("second", y))
    ]
    return call.add(Activation("sqrt"), total(call.inside("sum"), *squares))


def log_of_sum(call: Call, x: Operand, y: Operand, base: float = math.e) -> Value:
    """`log(base^x + base^y) = y + softplus(r (x - y)) / r` to that base, with `r = ln(base)`."""
    rate = math.log(base)
    difference = combined(call.inside("difference"), (rate, x), (-rate, y))
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


HIDDEN = -1e4
"""Replaces minus infinity in front of a softmax, in every reader.

Its exponential is zero in double precision, beside any score of ordinary size, like that of the
numbers that frameworks add (-1e9 or -3e4 in Keras). A larger one would cost the sums digits.
"""


LEAST = -1e30
"""Numbers below mean minus infinity: some exporters write the least one of a type."""


def softmax(call: Call, x: Value, axes: Sequence[int], zero_rows: bool = False) -> Value:
    """Softmax over some axes together; minus infinity gets no share.

    Raises `UnsupportedOp` where all along them is minus infinity, unless zeros are meant then.
    """
    hidden, x = x.masked, replace(x, masked=None)
    steps = normalised_exponentials("softmax", x.shape, axes)
    if hidden is None:
        return call.chain(x, *steps)
    empty = np.broadcast_to(hidden, x.shape).all(axis=tuple(axes), keepdims=True)
    if empty.any() and not zero_rows:
        raise UnsupportedOp("its mask leaves nothing of some rows", "Let every row see something.")
    x = call.add(ScaleShift(shift=np.where(hidden, HIDDEN, 0.0)), x, part="mask")
    if not empty.any():
        return call.chain(x, *steps)
    made = call.chain(x, *steps, part="softmax")
    return scaled(call, made, np.where(empty, 0.0, 1.0))
