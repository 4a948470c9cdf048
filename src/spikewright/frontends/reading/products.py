"""Sums of products as foreign models spell them, with a batch of one among the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewright.frontends.reading.arithmetic import combined
from spikewright.frontends.reading.call import Call
from spikewright.frontends.reading.contraction import multiplied, values_of
from spikewright.frontends.reading.equation import (
    Labels,
    matrix_labels,
    parsed,
    tensordot_labels,
)
from spikewright.frontends.reading.layout import BATCH_FIRST
from spikewright.frontends.reading.values import Operand, Value


def contracted(
    call: Call,
    operands: Sequence[Any],
    labels: Sequence[Labels],
    result: Labels,
    bias: Any = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    part: str = "",
) -> Value:
    """`alpha` times the product of foreign operands, summed, plus `beta` times a bias.

    Labels name every axis of the foreign model, of which values in the graph lack the first where
    it is a batch of one. The bias, if any, broadcasts against the result.
    """
    values_of(operands)  # raises where there are none
    lacking = {
        own[0]
        for x, own in zip(operands, labels, strict=True)
        if isinstance(x, Value) and x.layout == BATCH_FIRST
    }

    def without(x: Any, own: Labels) -> tuple[Operand, Labels]:
        if isinstance(x, Value):
            return x, own[1:] if x.layout == BATCH_FIRST else own
        array = call.array_of(x)
        kept = [i for i, label in enumerate(own) if label not in lacking or array.shape[i] > 1]
        return array.reshape([array.shape[i] for i in kept]), tuple(own[i] for i in kept)

    given = [without(x, own) for x, own in zip(operands, labels, strict=True)]
    if alpha != 1:
        given.append((np.array(alpha), ()))
    known = {label for _, own in given for label in own}
    wanted = tuple(label for label in result if label in known)
    factors = [x for x, _ in given], [own for _, own in given], wanted
    if bias is None:
        return multiplied(call, *factors, part)
    if not isinstance(bias, Value):
        own = result[len(result) - call.rank_of(bias) :]
        bias = call.array_of(bias)
        bias = bias.reshape([n for n, label in zip(bias.shape, own, strict=True) if label in known])
        if np.isfinite(bias).all():
            return multiplied(call, *factors, part, bias if beta == 1 else beta * bias)
    made = multiplied(call, *factors, f"{part}/product" if part else "product")
    first, second = call.aligned(made, bias) if isinstance(bias, Value) else (made, bias)
    return combined(call, (1.0, first), (beta, second), part=part)


def by_equation(call: Call, equation: str, operands: Sequence[Any], part: str = "") -> Value:
    """A product by an equation of einsum."""
    return contracted(call, operands, *parsed(equation, ranks(call, operands)), part=part)


def matrix_product(call: Call, operands: Sequence[Any], *bias: Any, **factors: Any) -> Value:
    """`x @ y` as NumPy's `matmul` has it; bias and factors as of `contracted`."""
    labels, result = matrix_labels(*ranks(call, operands))
    return contracted(call, operands, labels, result, *bias, **factors)


def over_axes(
    call: Call, operands: Sequence[Any], first: Sequence[int], second: Sequence[int]
) -> Value:
    """A product of two operands that is summed over pairs of axes, as of `tensordot`."""
    return contracted(call, operands, *tensordot_labels(ranks(call, operands), first, second))


def ranks(call: Call, operands: Sequence[Any]) -> list[int]:
    """Numbers of axes in the foreign model."""
    return [call.rank_of(x) for x in operands]
