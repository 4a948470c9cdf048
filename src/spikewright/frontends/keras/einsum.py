"""Sums of products: einsum, EinsumDense, matrix products and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikewright.frontends.keras.activations import activate, is_linear, of_function
from spikewright.frontends.keras.quantized import bias_of, kernel_of, note_inputs
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.frontends.reading.equation import (
    Labels,
    batch_label,
    matrix_labels,
    parsed,
    tensordot_labels,
)
from spikewright.frontends.reading.products import contracted, ranks


def dense(call: Call, layer: Any, value: Value, part: str = "") -> Value:
    """An EinsumDense layer on a value."""
    note_inputs(call.builder, layer, call.source)
    operands, bias, function = (value, kernel_of(layer)), bias_of(layer), layer.activation
    labels, result = parsed(layer.equation, ranks(call, operands))
    plain = is_linear(function)
    if not plain:
        of_function(function, (1,) * (len(result) - 1))  # to refuse it even of an unknown value
    linear = part if plain else f"{part}/linear" if part else "linear"
    made = _contracted(call, operands, labels, result, bias, linear)
    return made if plain else activate(call, function, made, part)


@reads("EinsumDense")
def einsum_dense(call: Call) -> Value:
    """A dense layer over any axes, by an equation."""
    return dense(call, call.layer, call.inputs[0])


@reads("ops.Einsum")
def einsum(call: Call) -> Value:
    """Any number of operands, tensors or constants."""
    operands = _given(call.arguments["operands"])
    return _contracted(call, operands, *parsed(call.layer.subscripts, ranks(call, operands)))


def _contracted(
    call: Call,
    operands: Sequence[Any],
    labels: Sequence[Labels],
    result: Labels,
    bias: Any = None,
    part: str = "",
) -> Value:
    """A product of which axis 0 of every tensor is the batch; refuses one that joins samples."""
    pairs = list(zip(operands, labels, strict=True))
    batch = batch_label([own for x, own in pairs if isinstance(x, Value)], result)
    if result[0] != batch:
        raise Unreadable("its result does not have the batch first", "Keep the batch on axis 0")
    for x, own in pairs:
        if not isinstance(x, Value) and batch in own and x.shape[own.index(batch)] != 1:
            raise Unreadable(
                f"its constant of shape {x.shape} differs from sample to sample",
                "Use a constant without a batch axis",
            )
    return contracted(call, operands, labels, result, bias, part=part)


def _given(operands: Sequence[Any]) -> list[Any]:
    return [x if isinstance(x, Value) else array(x) for x in operands]


def _both(call: Call) -> list[Any]:
    return _given([call.arguments["x1"], call.arguments["x2"]])


@reads("ops.Matmul")
def product(call: Call) -> Value:
    """`x @ y`, of tensors and constants."""
    operands = _both(call)
    return _contracted(call, operands, *matrix_labels(*ranks(call, operands)))


@reads("ops.Dot", "ops.Inner", "ops.Tensordot")
def tensor_product(call: Call) -> Value:
    """A tensor times a constant, summed over given axes of each."""
    operands = _both(call)
    first, second = ranks(call, operands)
    axes: Any = ([-1], [-1 if call.kind == "ops.Inner" else max(second - 2, 0)])
    if call.kind == "ops.Tensordot":
        axes = call.layer.axes
    if isinstance(axes, int):
        axes = (range(first - axes, first), range(axes))
    over, there = ([a] if isinstance(a, int) else list(a) for a in axes)
    return _contracted(call, operands, *tensordot_labels((first, second), over, there))
