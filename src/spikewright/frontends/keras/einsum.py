"""Sums of products: einsum, EinsumDense, matrix products and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.keras.activations import activate, is_linear, of_function
from spikewright.frontends.keras.affine import bias_of, kernel_of, unbatched_constant
from spikewright.frontends.keras.registry import Call, Unknown, Unreadable, Value, array, reads
from spikewright.frontends.reading import contraction
from spikewright.frontends.reading.contraction import Factor
from spikewright.frontends.reading.equation import (
    Labels,
    batch_label,
    matrix_labels,
    parsed,
    tensordot_labels,
)


def contract(
    call: Call,
    operands: Sequence[Any],
    labels: Sequence[Labels],
    result: Labels,
    part: str = "",
    bias: NDArray | None = None,
) -> Value:
    """The product of values and constants, summed over labels that the result lacks.

    Labels name the batch, which is first in values; `bias` leaves it out.
    """
    pairs = list(zip(operands, labels, strict=True))
    batch = batch_label([(own, 0) for x, own in pairs if isinstance(x, Value)], result)
    if result[0] != batch:
        raise Unreadable("its result does not have the batch first", "Keep the batch on axis 0")
    if any(isinstance(x, Value) and x.name is None for x in operands):
        raise Unknown
    factors = [
        Factor(own[1:], x.shape, x.name or "") if isinstance(x, Value) else _constant(x, own, batch)
        for x, own in pairs
    ]
    made = contraction.contract(call.node, factors, result[1:], part, bias)
    return Value(made.node, made.shape)


def _constant(x: Any, labels: Labels, batch: object) -> Factor:
    """A constant as a factor of every sample: an axis of the batch has one value."""
    found = array(x)
    if batch in labels:
        axis = labels.index(batch)
        found = unbatched_constant(np.moveaxis(found, axis, 0), (1,) * (found.ndim - 1))
        labels = (*labels[:axis], *labels[axis + 1 :])
    return Factor.of(found, labels)


def by_equation(call: Call, equation: str, *operands: Any, part: str = "") -> Value:
    """An equation that names the batch, on values and constants."""
    return contract(call, operands, *parsed(equation, ranks_of(operands)), part)


def ranks_of(operands: Sequence[Any]) -> list[int]:
    """Numbers of axes, with the batch."""
    return [len(x.shape) + isinstance(x, Value) for x in operands]


def dense(call: Call, layer: Any, value: Value, part: str = "") -> Value:
    """An EinsumDense layer on a value."""
    operands, bias, function = (value, kernel_of(layer)), bias_of(layer), layer.activation
    labels, result = parsed(layer.equation, ranks_of(operands))
    shape = (1,) * (len(result) - 1)
    if bias is not None:
        bias = unbatched_constant(bias, shape)
    if is_linear(function):
        return contract(call, operands, labels, result, part, bias)
    of_function(function, shape)  # to refuse it even where the value is unknown
    inner = f"{part}/linear" if part else "linear"
    linear = contract(call, operands, labels, result, inner, bias)
    return activate(call, function, linear, part)


@reads("EinsumDense")
def einsum_dense(call: Call) -> Value:
    """A dense layer over any axes, by an equation."""
    return dense(call, call.layer, call.inputs[0])


@reads("ops.Einsum")
def einsum(call: Call) -> Value:
    """Any number of operands, tensors or constants."""
    return by_equation(call, call.layer.subscripts, *_given(call.arguments["operands"]))


def _given(operands: Sequence[Any]) -> list[Any]:
    return [x if isinstance(x, Value) else array(x) for x in operands]


@reads("ops.Matmul")
def matrix_product(call: Call) -> Value:
    """`x @ y`, of tensors and constants."""
    operands = _given([call.arguments["x1"], call.arguments["x2"]])
    return contract(call, operands, *matrix_labels(*ranks_of(operands)))


@reads("ops.Dot", "ops.Inner", "ops.Tensordot")
def tensor_product(call: Call) -> Value:
    """A tensor times a constant, summed over given axes of each."""
    operands = _given([call.arguments["x1"], call.arguments["x2"]])
    first, second = ranks_of(operands)
    axes: Any = ([-1], [-1 if call.kind == "ops.Inner" else max(second - 2, 0)])
    if call.kind == "ops.Tensordot":
        axes = call.layer.axes
    if isinstance(axes, int):
        axes = (range(first - axes, first), range(axes))
    over, there = ([a] if isinstance(a, int) else list(a) for a in axes)
    return contract(call, operands, *tensordot_labels((first, second), over, there))
