"""Sums of products as foreign models spell them, with a batch of one: einsum, matmul, attention.

Attention is products of queries and keys, softmax, and products with values (Vaswani et al. 2017).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.arithmetic import (
    HIDDEN,
    LEAST,
    combined,
    product,
    soft_capped,
    softmax,
    total,
)
from spikewright.frontends.reading.call import (
    MIXES,
    Call,
    Layout,
    Operand,
    UnsupportedOp,
    Value,
    common_shape,
    layout_of,
    sample_shape,
)
from spikewright.frontends.reading.contraction import Labels, multiplied, values_of
from spikewright.graph.layers import Reshape, ScaleShift, UpsampleNearest

_SAMPLES = (
    "Keep the batch axis first and apart, in every tensor and in the result (batch_first=True in "
    "PyTorch's attention): samples cannot be mixed in a spiking network"
)


def parsed(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """Labels of operands with these ranks and of the result.

    An ellipsis becomes negative numbers, counted from its end. Without an arrow the result has the
    ellipsis and the letters that stand once, in alphabetical order. Raises `UnsupportedOp` where
    the equation does not fit.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise UnsupportedOp(f"its equation {equation!r} does not fit {len(ranks)} operands")
    labels = [_of_term(equation, *pair) for pair in zip(terms, ranks, strict=True)]
    numbers = sorted({one for some in labels for one in some if isinstance(one, int)})
    if not arrow:
        letters = left.replace(".", "").replace(",", "")
        right = "..." + "".join(sorted(one for one in set(letters) if letters.count(one) == 1))
    front, dots, back = right.partition("...")
    result = (*front, *(numbers if dots else ()), *back)
    known = {one for some in labels for one in some}
    if len(set(result)) < len(result) or not known.issuperset(result):
        raise UnsupportedOp(f"its equation {equation!r} has no such result")
    return labels, result


def _of_term(equation: str, term: str, rank: int) -> Labels:
    front, dots, back = term.partition("...")
    letters = front + back
    extra = rank - len(letters)
    if extra < 0 or (extra and not dots) or (letters and not letters.isalpha()):
        raise UnsupportedOp(f"its equation {equation!r} does not fit {rank} axes of {term!r}")
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

    Raises `UnsupportedOp` where samples would meet others: the batch is to be one label, once in
    every value and in the result.
    """
    found = {labels[0] for labels in values}
    once = all(labels.count(labels[0]) == 1 for labels in values)
    if len(found) != 1 or not once or not found.issubset(result):
        raise UnsupportedOp(
            "it sums over the samples of a batch, or joins different ones", _SAMPLES
        )
    return found.pop()


def contracted(
    call: Call,
    operands: Sequence[Any],
    labels: Sequence[Labels],
    result: Labels,
    bias: Any = None,
    alpha: float = 1.0,
    beta: float = 1.0,
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
    own = call.inside("product") if moved else call
    factors: _Factors = [x for x, _ in given], [one for _, one in given], wanted
    if bias is None:
        made = multiplied(own, *factors)
    else:
        kept = [label in extents for label in result]
        made = _plus(own, factors, _bias_of(call, bias, kept), beta)
    if moved:
        made = call.add(Reshape(sample_shape(full)), made)
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
            raise UnsupportedOp(f"it sums over a batch of one sample and {max(both)} values", MIXES)


def _bias_of(call: Call, bias: Any, kept: Sequence[bool]) -> Operand:
    """A bias without the axes of the result that the graph's lacks."""
    if isinstance(bias, Value):
        return bias
    array = call.array_of(bias)
    beside = kept[len(kept) - array.ndim :]
    return array.reshape([n for n, keep in zip(array.shape, beside, strict=True) if keep])


_Factors = tuple[list[Operand], list[Labels], Labels]
"""Operands, their labels, and those of the result."""


def _plus(call: Call, factors: _Factors, bias: Operand, beta: float) -> Value:
    """A product plus `beta` times a bias."""
    if not isinstance(bias, Value) and np.isfinite(bias).all():
        return multiplied(call, *factors, bias if beta == 1 else beta * bias)
    made = multiplied(call.inside("product"), *factors)
    first, second = call.aligned(made, bias) if isinstance(bias, Value) else (made, bias)
    return combined(call, (1.0, first), (beta, second))


def by_equation(call: Call, equation: str, operands: Sequence[Any]) -> Value:
    """A product by an equation of einsum."""
    return contracted(call, operands, *parsed(equation, ranks(call, operands)))


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


@dataclass(frozen=True)
class Axes:
    """Labels of the axes of queries, keys, values, scores and the result, the batch left out.

    The axes of the scores that the result lacks are those of the keys; they come last.
    """

    query: Labels
    key: Labels
    value: Labels
    scores: Labels
    result: Labels

    @classmethod
    def of_rank(cls, rank: int) -> Axes:
        """Axes `(..., length, width)`: the others come first everywhere."""
        lead = tuple(range(-rank, -2))
        return cls(*((*lead, *own) for own in ("rw", "cw", "cv", "rc", "rv")))


HEADS_INSIDE = Axes(*map(tuple, ("rhw", "chw", "chv", "hrc", "rhv")))
"""Axes `(length, heads, width)`; those of the scores are `(heads, queries, keys)`."""


def attend(
    call: Call,
    query: Operand,
    key: Operand,
    value: Operand,
    axes: Axes,
    scale: float,
    masks: Sequence[Operand] = (),
    cap: float = 0.0,
    zero_rows: bool = False,
    part: str = "",
    allowed: Value | None = None,
) -> tuple[Value, Value]:
    """The attention's result, and its weights: `softmax(scale Q K^T + masks) V`.

    `masks` are added to the scores, and minus infinity hides keys. Where the truth values `allowed`
    do not hold keys are hidden too. With a `cap` that is not zero the scores are
    `cap tanh(scores / cap)` before. Keys and values with fewer heads than queries are repeated
    (Ainslie et al. 2023). A query that sees no key gives zeros where `zero_rows` is set; else it is
    refused, or weighs all keys alike where that depends on the data.
    """
    heads = {
        label: n
        for label, n in zip(axes.query, query.shape, strict=True)
        if label in axes.key and label in axes.scores
    }
    key, value = (
        _for_all_heads(call, x, own, heads, name)
        for x, own, name in ((key, axes.key, "key"), (value, axes.value, "value"))
    )
    factors, labels = [query, key], [axes.query, axes.key]
    if scale != 1:
        factors, labels = [*factors, np.array(scale)], [*labels, ()]
    scores = multiplied(call.inside("scores"), factors, labels, axes.scores)
    if cap:
        scores = call.chain(scores, *soft_capped(cap), part="capped")
    return weighed(
        call, scores, value, axes=axes, masks=masks, zero_rows=zero_rows, part=part, allowed=allowed
    )


def weighed(
    call: Call,
    scores: Value,
    value: Operand,
    axes: Axes,
    masks: Sequence[Operand] = (),
    zero_rows: bool = False,
    part: str = "",
    allowed: Value | None = None,
) -> tuple[Value, Value]:
    """The values weighed by the softmax of masked scores, and the weights."""
    if allowed is not None:
        scores = hidden_unless(call, allowed, scores)
    for mask in sorted(masks, key=lambda mask: not isinstance(mask, Value)):
        scores = masked(call, scores, mask)
    over = [i for i, label in enumerate(axes.scores) if label not in axes.result]
    cut = allowed if zero_rows else None
    weights = softmax(call.inside("weights" if cut is None else "shares"), scores, over, zero_rows)
    if cut is not None:
        weights = product(call.inside("weights"), weights, call.expand(cut, weights.shape, "seen"))
    made = multiplied(call.inside(part), [weights, value], [axes.scores, axes.value], axes.result)
    return made, weights


def _for_all_heads(
    call: Call, x: Operand, labels: Labels, heads: Mapping[Hashable, int], part: str
) -> Operand:
    """Keys or values, repeated along the axes that queries share with them and have longer."""
    times = []
    for label, n in zip(labels, x.shape, strict=True):
        wanted = heads.get(label, n)
        if n > 1 and wanted > 1 and wanted % n:
            raise UnsupportedOp(f"{wanted} heads of queries do not divide into {n} of its {part}s")
        times.append(max(wanted // n, 1) if n > 1 else 1)
    if max(times, default=1) == 1:
        return x
    if isinstance(x, Value):
        return call.add(UpsampleNearest(tuple(times)), x, part=f"shared_{part}")
    for axis, n in enumerate(times):
        x = np.repeat(x, n, axis)
    return x


def masked(call: Call, scores: Value, mask: Operand) -> Value:
    """Scores and a mask that is added to them; where it is minus infinity, so are they."""
    if common_shape(scores, mask) != scores.shape:
        raise UnsupportedOp(f"its mask of shape {mask.shape} does not fit scores of {scores.shape}")
    if isinstance(mask, Value):
        if mask.seen is not None:
            both = total(call.inside("added"), scores, replace(mask, seen=None))
            return hidden_unless(call, mask.seen, both)
        if mask.truth:
            raise UnsupportedOp(
                "its mask of truth values is computed from the data, and may hide every key",
                "Add numbers to the scores: 0 where a key is seen, -1e4 elsewhere",
            )
        return total(call.inside("masked"), scores, mask)
    hidden = np.asarray(mask <= LEAST)
    added = np.where(hidden, 0.0, mask)
    if added.any():
        scores = total(call.inside("masked"), scores, added)
    if not hidden.any():
        return scores
    return replace(scores, masked=hidden if scores.masked is None else hidden | scores.masked)


def hidden_unless(call: Call, allowed: Value, scores: Operand) -> Value:
    """The scores where truth values hold, and `HIDDEN` elsewhere."""
    allowed = call.expand(allowed, common_shape(allowed, scores), "allowed")
    hidden = call.add(ScaleShift(np.array(-HIDDEN), np.array(HIDDEN)), allowed, part="hidden")
    if not isinstance(scores, Value) and not np.any(scores):
        return hidden
    kept = product(call.inside("kept"), allowed, scores)
    return total(call.inside("masked"), kept, hidden)


def hiding(allowed: NDArray) -> NDArray:
    """The mask that is added for truth values: zero where True, else minus infinity."""
    return np.where(allowed, 0.0, -np.inf)


def band(rows: int, columns: int, before: int | None = None, after: int | None = None) -> NDArray:
    """The mask `(rows, columns)` under which a query sees keys so far before and after itself.

    None is no limit. A causal mask has `after=0`.
    """
    distance = np.arange(columns) - np.arange(rows)[:, None]
    allowed = np.ones((rows, columns), bool)
    if before is not None:
        allowed &= distance >= -before
    if after is not None:
        allowed &= distance <= after
    return hiding(allowed)
