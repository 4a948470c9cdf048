"""Attention: products of queries and keys, softmax, products with values (Vaswani et al. 2017)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.arithmetic import normalised_exponentials, product, scaled, total
from spikewright.frontends.reading.call import Call, Operand, Unreadable, Value, common_shape
from spikewright.frontends.reading.contraction import Labels, multiplied
from spikewright.graph.layers import Activation, ScaleShift, UpsampleNearest

HIDDEN = -1e4
"""Replaces minus infinity in front of a softmax, in every reader.

Its exponential is zero in double precision, beside any score of ordinary size, like that of the
numbers that frameworks add (-1e9 or -3e4 in Keras). A larger one would cost the sums digits.
"""

LEAST = -1e30
"""Numbers below mean minus infinity: some exporters write the least one of a type."""


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
    scores = multiplied(call, factors, labels, axes.scores, "scores")
    if cap:
        scores = call.chain(
            scores,
            ("scaled", ScaleShift(np.array(1.0 / cap))),
            ("tanh", Activation("tanh")),
            ("", ScaleShift(np.array(cap))),
            part="capped",
        )
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
    weights = softmax(call, scores, over, zero_rows, "weights" if cut is None else "shares")
    if cut is not None:
        weights = product(call, weights, call.expand(cut, weights.shape, "seen"), "weights")
    made = multiplied(call, [weights, value], [axes.scores, axes.value], axes.result, part)
    return made, weights


def _for_all_heads(
    call: Call, x: Operand, labels: Labels, heads: Mapping[Hashable, int], part: str
) -> Operand:
    """Keys or values, repeated along the axes that queries share with them and have longer."""
    times = []
    for label, n in zip(labels, x.shape, strict=True):
        wanted = heads.get(label, n)
        if n > 1 and wanted > 1 and wanted % n:
            raise Unreadable(f"{wanted} heads of queries do not divide into {n} of its {part}s")
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
        raise Unreadable(f"its mask of shape {mask.shape} does not fit scores of {scores.shape}")
    if isinstance(mask, Value):
        if mask.seen is not None:
            return hidden_unless(call, mask.seen, scores)
        if mask.truth:
            raise Unreadable(
                "its mask of truth values is computed from the data, and may hide every key",
                "Add numbers to the scores: 0 where a key is seen, -1e4 elsewhere",
            )
        return total(call, scores, mask, part="masked")
    hidden = np.asarray(mask <= LEAST)
    added = np.where(hidden, 0.0, mask)
    if added.any():
        scores = total(call, scores, added, part="masked")
    if not hidden.any():
        return scores
    return replace(scores, masked=hidden if scores.masked is None else hidden | scores.masked)


def hidden_unless(call: Call, allowed: Value, scores: Value) -> Value:
    """The scores where truth values hold, and `HIDDEN` elsewhere."""
    allowed = call.expand(allowed, scores.shape, "allowed")
    kept = product(call, allowed, scores, "kept")
    other = ScaleShift(scale=np.array(-HIDDEN), shift=np.array(HIDDEN))
    return total(call, kept, call.add(other, allowed, part="hidden"), part="masked")


def softmax(
    call: Call, x: Value, axes: Sequence[int], zero_rows: bool = False, part: str = ""
) -> Value:
    """Softmax over some axes together; minus infinity gets no share.

    Raises `Unreadable` where all along them is minus infinity, unless zeros are meant then.
    """
    hidden, x = x.masked, replace(x, masked=None)
    steps = normalised_exponentials("softmax", x.shape, axes)
    if hidden is None:
        return call.chain(x, *steps, part=part)
    place = f"{part}/" if part else ""
    empty = np.broadcast_to(hidden, x.shape).all(axis=tuple(axes), keepdims=True)
    if empty.any() and not zero_rows:
        raise Unreadable("its mask leaves nothing of some rows", "Let every row see something.")
    x = call.add(ScaleShift(shift=np.where(hidden, HIDDEN, 0.0)), x, part=f"{place}mask")
    if not empty.any():
        return call.chain(x, *steps, part=part)
    made = call.chain(x, *steps, part=f"{place}softmax")
    return scaled(call, made, np.where(empty, 0.0, 1.0), part)


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
