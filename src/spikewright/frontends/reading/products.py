"""Sums of products as foreign models spell them: equations of einsum, with a batch of one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikewright.frontends.reading.arithmetic import combined
from spikewright.frontends.reading.call import (
    MIXES,
    Call,
    Layout,
    Operand,
    Unreadable,
    Value,
    layout_of,
    sample_shape,
)
from spikewright.frontends.reading.contraction import Labels, multiplied, values_of
from spikewright.graph.layers import Reshape

_SAMPLES = (
    "Keep the batch axis first and apart, in every tensor and in the result (batch_first=True in "
    "PyTorch's attention): samples cannot be mixed in a spiking network"
)


def parsed(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """Labels of operands with these ranks and of the result.

    An ellipsis becomes negative numbers, counted from its end. Without an arrow the result has the
    ellipsis and the letters that stand once, in alphabetical order. Raises `Unreadable` where the
    equation does not fit.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise Unreadable(f"its equation {equation!r} does not fit {len(ranks)} operands")
    labels = [_of_term(equation, *pair) for pair in zip(terms, ranks, strict=True)]
    numbers = sorted({one for some in labels for one in some if isinstance(one, int)})
    if not arrow:
        letters = left.replace(".", "").replace(",", "")
        right = "..." + "".join(sorted(one for one in set(letters) if letters.count(one) == 1))
    front, dots, back = right.partition("...")
    result = (*front, *(numbers if dots else ()), *back)
    known = {one for some in labels for one in some}
    if len(set(result)) < len(result) or not known.issuperset(result):
        raise Unreadable(f"its equation {equation!r} has no such result")
    return labels, result


def _of_term(equation: str, term: str, rank: int) -> Labels:
    front, dots, back = term.partition("...")
    letters = front + back
    extra = rank - len(letters)
    if extra < 0 or (extra and not dots) or (letters and not letters.isalpha()):
        raise Unreadable(f"its equation {equation!r} does not fit {rank} axes of {term!r}")
    return (*front, *range(-extra, 0), *back)


def matrix_labels(*ranks: int) -> tuple[list[Labels], Labels]:
    """Labels of the two operands of a matrix product and of its result, as of NumPy's `matmul`.

    Leading axes are negative numbers; a vector is a row on the left, a column on the right.
    """
    labels: list[Labels] = []
    for rank, own in zip(ranks, (("row", "inner"), ("inner", "column")), strict=True):
        labels.append(("inner",) if rank == 1 else (*range(-rank, -2), *own))
    lead = range(-max(ranks), -2)
    tail = [one for one in ("row", "column") if one in {*labels[0], *labels[1]}]
    return labels, (*lead, *tail)


def tensordot_labels(
    ranks: Sequence[int], first: Sequence[int], second: Sequence[int]
) -> tuple[list[Labels], Labels]:
    """Labels of two operands that are summed over pairs of axes, and of the result."""
    x, y = ([(side, axis) for axis in range(rank)] for side, rank in enumerate(ranks))
    for one, other in zip(first, second, strict=True):
        y[other] = x[one]
    both = {*x} & {*y}
    return [tuple(x), tuple(y)], tuple(label for label in (*x, *y) if label not in both)


def batch_label(values: Sequence[Labels], result: Labels) -> Hashable:
    """The label of the batch, axis 0 of every value.

    Raises `Unreadable` where samples would meet others: the batch is to be one label, once in
    every value and in the result.
    """
    found = {labels[0] for labels in values}
    once = all(labels.count(labels[0]) == 1 for labels in values)
    if len(found) != 1 or not once or not found.issubset(result):
        raise Unreadable("it sums over the samples of a batch, or joins different ones", _SAMPLES)
    return found.pop()


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
