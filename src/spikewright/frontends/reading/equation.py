"""Equations of einsum: the labels of every axis of the operands and of the result."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from spikewright.frontends.reading.refusal import Unreadable

Labels = tuple[Hashable, ...]
"""A label for every axis: axes of one label go together, and an axis of extent one is repeated."""

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
