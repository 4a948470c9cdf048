"""Sums, products, quotients, extrema, choices, and putting values side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import MIXES, Call, Cannot, Value, to_array
from spikewright.frontends.pytorch.layout import BATCH_FIRST, JOINED
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import (
    Activation,
    Add,
    Concatenate,
    Divide,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    Reshape,
    ScaleShift,
    Shape,
    UnitNormalization,
)


@reads("aten.add.Tensor", "aten.add.Scalar")
def _add(call: Call) -> Value:
    return combine(call, call["self"], 1, call["other"], call["alpha"])


@reads("aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor")
def _subtract(call: Call) -> Value:
    return combine(call, call["self"], 1, call["other"], -call["alpha"])


@reads("aten.rsub.Tensor", "aten.rsub.Scalar")
def _subtract_from(call: Call) -> Value:
    return combine(call, call["self"], -call["alpha"], call["other"], 1)


@reads("aten.neg.default", "aten.negative.default")
def _negative(call: Call) -> Value:
    return call.add(ScaleShift(scale=np.asarray(-1.0)), call.value("self"))


@reads("aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor")
def _multiply(call: Call) -> Value:
    return times(call, call["self"], call["other"])


@reads("aten.square.default")
def _square(call: Call) -> Value:
    return call.add(Activation("square"), call.value("self"))


def times(call: Call, x: Any, y: Any, part: str = "") -> Value:
    """`x y`, where at least one of them depends on the input."""
    if not isinstance(x, Value):
        x, y = y, x
    x = call.finite(x)
    if not isinstance(y, Value):
        return _scaled(call, x, y, part)
    if x.name is not None and x == y:
        return call.add(Activation("square"), x, part=part)
    return call.add(Multiply(), *call.aligned(x, call.finite(y)), part=part)


def _scaled(call: Call, x: Value, constant: Any, part: str = "") -> Value:
    x, scale = _with_constant(call, x, constant)
    return call.add(ScaleShift(scale=scale), x, part=part)


def _with_constant(call: Call, x: Value, constant: Any) -> tuple[Value, NDArray]:
    """A value and a constant that broadcasts to it; the value is repeated where it must be."""
    rank = constant.dim() if isinstance(constant, torch.Tensor) else 0
    x = call.lift(x, rank)
    array = call.against(constant, x)
    return call.expand(x, _broadcast(x.known_shape, array.shape)), array


def _broadcast(*shapes: Shape) -> Shape:
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        raise Cannot(f"shapes {', '.join(map(str, shapes))} do not broadcast") from None


@reads("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor", "aten.divide.Tensor")
def _divide(call: Call) -> Value:
    x, y = call["self"], call["other"]
    if not isinstance(y, Value):
        return _scaled(call, call.value("self"), _inverse(call, y))
    y = call.finite(y)
    if not isinstance(x, Value):
        inverse = call.add(Activation("reciprocal"), y, part="reciprocal")
        return _scaled(call, inverse, x)
    norm = call.notes.get(("norm", y.name))
    if norm is not None and norm[0] == call.finite(x):
        return call.add(UnitNormalization(*norm[1:]), x)
    return call.add(Divide(), *call.aligned(call.finite(x), y))


def _inverse(call: Call, divisor: Any) -> Any:
    if isinstance(divisor, torch.SymInt | torch.SymFloat):
        raise Cannot("it divides by the size of the batch", MIXES)
    array = to_array(divisor).astype(np.float64)
    if not array.all():
        raise Cannot("it divides by zero")
    return torch.from_numpy(np.asarray(1.0 / array))


@reads("aten.reciprocal.default")
def _reciprocal(call: Call) -> Value:
    return call.add(Activation("reciprocal"), call.value("self"))


@reads("aten.addcmul.default", "aten.addcdiv.default")
def _add_product(call: Call) -> Value:
    first, second = call["tensor1"], call["tensor2"]
    if not isinstance(first, Value) and not isinstance(second, Value):
        both = first * second if "addcmul" in call.target else first / second
        return combine(call, call["self"], 1, both, call["value"])
    if "addcmul" in call.target:
        product = times(call, first, second, "product")
    elif isinstance(second, Value):
        product = call.add(Divide(), *call.aligned(call.value("tensor1"), second), part="quotient")
    else:
        product = _scaled(call, call.value("tensor1"), _inverse(call, second), "quotient")
    return combine(call, product, call["value"], call["self"], 1)


def combine(call: Call, x: Any, a: float, y: Any, b: float, part: str = "") -> Value:
    """`a x + b y`, where at least one of them depends on the input."""
    if any(isinstance(factor, torch.SymInt | torch.SymFloat) for factor in (a, b)):
        raise Cannot("its factor depends on the size of the batch", MIXES)
    if not isinstance(x, Value):
        x, a, y, b = y, b, x, a
    if isinstance(y, Value):
        x, y = call.aligned(call.finite(x), call.finite(y))
        shape = _broadcast(x.known_shape, y.known_shape)
        name = f"{part}/" if part else ""
        terms = _term(call, x, a, shape, f"{name}first"), _term(call, y, b, shape, f"{name}second")
        return call.add(Add(), *terms, part=part)
    if x.masked is not None and a <= 0:
        raise Cannot("it turns around values that are minus infinity")
    x, shift = _with_constant(call, x, y)
    shift = b * shift
    infinite = np.isneginf(shift)
    shift = np.where(infinite, 0, shift)
    made = call.add(ScaleShift(None if a == 1 else np.asarray(float(a)), shift), x, part=part)
    hidden = x.masked
    if infinite.any():
        hidden = infinite if hidden is None else infinite | hidden
    return Value(made.name, made.shape, made.layout, hidden)


def _term(call: Call, x: Value, factor: float, shape: Shape, part: str) -> Value:
    x = call.expand(x, shape)
    return x if factor == 1 else call.add(ScaleShift(np.asarray(float(factor))), x, part=part)


def masked(call: Call, x: Value, mask: torch.Tensor) -> Value:
    """The value, minus infinity where a constant mask is True."""
    x, hidden = _with_constant(call, x, mask)
    hidden = hidden.astype(bool)
    if x.masked is not None:
        hidden = hidden | x.masked
    return Value(x.name, x.shape, x.layout, hidden)


@reads("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def _masked_fill(call: Call) -> Value:
    return _chosen(call, call["mask"], call["value"], call["self"])


@reads("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf")
def _where(call: Call) -> Value:
    return _chosen(call, call["condition"], call["self"], call["other"])


def _chosen(call: Call, condition: Any, yes: Any, no: Any) -> Value:
    """`yes` where a constant condition holds, else `no`."""
    if isinstance(condition, Value):
        raise Cannot(
            "its condition depends on the input",
            "Write it with functions such as relu, clamp, maximum or minimum.",
        )
    if not isinstance(condition, torch.Tensor):
        raise Cannot("its condition depends on the size of the batch", MIXES)
    if not isinstance(no, Value):
        yes, no, condition = no, yes, ~condition
    if isinstance(yes, Value):
        kept = _scaled(call, call.finite(no), (~condition).double(), "no")
        other = _scaled(call, call.finite(yes), condition.double(), "yes")
        return combine(call, kept, 1, other, 1)
    constant = torch.as_tensor(yes, dtype=torch.float64)
    if bool((constant == -np.inf).all()):
        return masked(call, no, condition)
    kept = _scaled(call, call.finite(no), (~condition).double(), "kept")
    return combine(call, kept, 1, torch.where(condition, constant, 0.0), 1)


_EXTREMA: dict[str, type[Layer]] = {"maximum": Maximum, "minimum": Minimum}


@reads("aten.maximum.default", "aten.minimum.default", "aten.max.other", "aten.min.other")
def _extremum(call: Call) -> Value:
    layer = _EXTREMA["maximum" if "max" in call.target else "minimum"]
    return extremum(call, layer, call["self"], call["other"])


def extremum(call: Call, layer: type[Layer], x: Any, y: Any, part: str = "") -> Value:
    """The larger or the smaller of two, where at least one depends on the input."""
    if not isinstance(x, Value):
        x, y = y, x
    x = call.finite(x)
    if isinstance(y, Value):
        return call.add(layer(), *call.aligned(x, call.finite(y)), part=part)
    x, array = _with_constant(call, x, y)
    if not np.isfinite(array).all():
        raise Cannot("its bounds are infinite in places")
    if array.size and (array == array.flat[0]).all():
        bound = "minimum" if layer is Maximum else "maximum"
        other = {"minimum": "maximum", "maximum": "minimum"}[bound]
        far = np.inf if bound == "minimum" else -np.inf
        return call.add(Activation("clip", {bound: float(array.flat[0]), other: far}), x, part=part)
    return call.add(layer(), x, call.constant(array, x, f"{part}/bound" if part else "bound"),
                    part=part)  # fmt: skip


@reads("aten.cat.default", "aten.concat.default", "aten.concatenate.default")
def _concatenate(call: Call) -> Value:
    first = _first(call)
    dim = call["dim"] % first.rank
    if dim == first.layout.axis and all(_alike(item, first) for item in call["tensors"]):
        return _joined(call, call["tensors"])
    axis = call.axis(first, dim)
    parts = []
    for index, item in enumerate(call["tensors"]):
        if isinstance(item, torch.Tensor) and item.numel() == 0:
            continue
        parts.append(_beside(call, item, first, axis, str(index)))
    return call.add(Concatenate(axis), *parts)


def _alike(item: Any, first: Value) -> bool:
    """Whether this is a value of the first one's shape, samples first and apart."""
    return isinstance(item, Value) and item.layout == BATCH_FIRST and item.shape == first.shape


def _joined(call: Call, values: Sequence[Value]) -> Value:
    """Several batches one after the other: side by side along an axis of their own."""
    parts = [
        call.add(Reshape((1, *x.known_shape)), call.finite(x), part=str(i))
        for i, x in enumerate(values)
    ]
    made = call.add(Concatenate(0), *parts)
    return Value(made.name, made.shape, JOINED)


@reads("aten.stack.default")
def _stack(call: Call) -> Value:
    first = _first(call)
    dim = call["dim"] % (first.rank + 1)
    groups = first.layout.groups(len(first.known_shape))
    axis = sum(len(group) for group in groups[:dim]) - (dim > first.layout.axis)
    parts = []
    for index, item in enumerate(call["tensors"]):
        value = _beside(call, item, first, None, f"{index}/constant")
        shape = value.known_shape
        parts.append(call.add(Reshape((*shape[:axis], 1, *shape[axis:])), value, part=str(index)))
    made = call.add(Concatenate(axis), *parts)
    before = dim <= first.layout.axis
    return Value(made.name, made.shape, first.layout.moved(1) if before else first.layout)


def _first(call: Call) -> Value:
    return next(item for item in call["tensors"] if isinstance(item, Value))


def _beside(call: Call, item: Any, like: Value, axis: int | None, part: str) -> Value:
    """A value to join; a constant becomes one, of the other's extents but along `axis`."""
    if isinstance(item, Value):
        return call.finite(item)
    array = call.against(item, like)
    extents = list(like.known_shape)
    if axis is not None:
        extents[axis] = array.shape[axis]
    return call.constant(np.broadcast_to(array, extents).copy(), like, part)
