"""Sums of products as foreign models spell them, with a batch of one among the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikewright.frontends.reading.arithmetic import combined
from spikewright.frontends.reading.call import MIXES, Call
from spikewright.frontends.reading.contraction import multiplied, values_of
from spikewright.frontends.reading.equation import (
    Labels,
    matrix_labels,
    parsed,
    tensordot_labels,
)
from spikewright.frontends.reading.layout import Layout, layout_of, sample_shape
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Operand, Value
from spikewright.graph.layers import Reshape


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
    given = _without_batch(call, operands, labels, result)
    extents = {label: n for x, own in given for label, n in zip(own, x.shape, strict=True)}
    if alpha != 1:
        given.append((np.array(alpha), ()))
    wanted = tuple(label for label in result if label in extents)
    full = tuple(extents.get(label, 1) for label in result)
    moved = sample_shape(full) != tuple(extents[label] for label in wanted)
    own = "/".join(filter(None, [part, "product"])) if moved else part
    factors: _Factors = [x for x, _ in given], [one for _, one in given], wanted
    if bias is None:
        made = multiplied(call, *factors, own)
    else:
        kept = [label in extents for label in result]
        made = _plus(call, factors, _bias_of(call, bias, kept), beta, own)
    if moved:
        made = call.add(Reshape(sample_shape(full)), made, part=part)
    return replace(made, layout=layout_of(full))


def _without_batch(
    call: Call, operands: Sequence[Any], labels: Sequence[Labels], result: Labels
) -> list[tuple[Operand, Labels]]:
    """Operands as the graph has them, constants without the axes that values lack."""
    values_of(operands)  # raises where there are none
    pairs = list(zip(operands, labels, strict=True))
    lacking = {
        own[0] for x, own in pairs if isinstance(x, Value) and x.layout is Layout.BATCH_FIRST
    }
    found, known = list[tuple[Operand, Labels]](), dict[Any, int]()
    for x, own in pairs:
        full = x if isinstance(x, Value) else call.array_of(x)
        extents = full.layout.full(full.shape) if isinstance(full, Value) else full.shape
        first = isinstance(full, Value) and full.layout is Layout.BATCH_FIRST
        _check_sums(own, extents, result, known, first)
        if isinstance(full, Value):
            found.append((full, own[full.rank - len(full.shape) :]))
            continue
        kept = [i for i, label in enumerate(own) if label not in lacking or extents[i] > 1]
        found.append((full.reshape([extents[i] for i in kept]), tuple(own[i] for i in kept)))
    return found


def _check_sums(
    own: Labels, extents: Sequence[int], result: Labels, known: dict[Any, int], batch_first: bool
) -> None:
    """Refuse a sum along an axis of extent one and a longer one: the first may be the batch's.

    `known` are the extents of such axes in operands before, to which these are added. Where the
    batch is known to be the first axis, the others are the sample's own, and repeated.
    """
    for axis, (label, extent) in enumerate(zip(own, extents, strict=True)):
        if (label in result and own.count(label) == 1) or (batch_first and axis and extent == 1):
            continue  # it is repeated along the longer one
        both = {known.setdefault(label, extent), extent}
        if len(both) > 1 and 1 in both:
            raise Unreadable(f"it sums over a batch of one sample and {max(both)} values", MIXES)


def _bias_of(call: Call, bias: Any, kept: Sequence[bool]) -> Operand:
    """A bias without the axes of the result that the graph's lacks."""
    if isinstance(bias, Value):
        return bias
    array = call.array_of(bias)
    beside = kept[len(kept) - array.ndim :]
    return array.reshape([n for n, keep in zip(array.shape, beside, strict=True) if keep])


_Factors = tuple[list[Operand], list[Labels], Labels]
"""Operands, their labels, and those of the result."""


def _plus(call: Call, factors: _Factors, bias: Operand, beta: float, part: str) -> Value:
    """A product plus `beta` times a bias."""
    if not isinstance(bias, Value) and np.isfinite(bias).all():
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
