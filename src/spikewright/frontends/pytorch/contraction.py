"""Sums of products over named axes: the common form of matrix products, einsum and attention."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import MIXES, Call, Cannot, Value, count, to_array
from spikewright.frontends.pytorch.layout import BATCH, Layout, of_groups
from spikewright.graph.layers import (
    Affine,
    Broadcast,
    Convolution,
    Layer,
    MatMul,
    Multiply,
    Permute,
    Reshape,
    ScaleShift,
    Sum,
)

Label = Hashable
_SAMPLES = ("samples",)  # the batch axis itself, among labels
Labels = tuple[Label, ...]


@dataclass(frozen=True)
class _Term:
    """A value, its own axes named, the batch axis left out."""

    value: Value
    labels: Labels

    @property
    def sizes(self) -> dict[Label, int]:
        return dict(zip(self.labels, self.value.known_shape, strict=True))


def contract(
    call: Call,
    operands: Sequence[tuple[Any, Labels]],
    result: Labels,
    part: str = "",
) -> Value:
    """The sum of the operands' product over all labels that `result` does not have.

    One or two operands, each with a label for every axis of the program; a label names axes of one
    extent, or of extent one, which are repeated. One operand at least depends on the input; the
    label of its batch axis must be that of the other's, and among the result's.
    """
    for _, labels in operands:
        if len(set(labels)) < len(labels):
            raise Cannot("it takes the diagonal of an operand", "Multiply by a constant mask.")
    values = [call.finite(value) for value, _ in operands if isinstance(value, Value)]
    batches = {labels[value.layout.axis] for value, labels in operands if isinstance(value, Value)}
    if len(batches) > 1 or not batches <= set(result):
        raise Cannot(
            "it sums over the samples, or joins different ones",
            f"{MIXES} Attention and transformer layers take batch_first=True.",
        )
    (batch,) = batches
    if len({_around(value) for value in values}) > 1:
        raise Cannot("the batch axis is merged with different axes in its operands", MIXES)
    own = _around(values[0])
    groups = [_group(label, own) if label == batch else [label] for label in result]
    terms = [_named(call, operand, labels, batch, own) for operand, labels in operands]
    wanted = tuple(label for group in groups for label in group if label != _SAMPLES)
    layout = _layout(groups)
    if len(terms) == 1:
        made = _alone(call, terms[0], wanted, part)
    elif isinstance(terms[0], _Term) and isinstance(terms[1], _Term):
        made = _product(call, terms[0], terms[1], wanted, part)
    else:
        first, second = terms
        term, (array, labels) = (first, second) if isinstance(first, _Term) else (second, first)
        made = _with_constant(call, term, array, labels, wanted, part)
    return Value(made.name, made.shape, layout)


def _around(value: Value) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Extents of the own axes that are merged with the batch, before and after it."""
    layout, shape = value.layout, value.known_shape
    return shape[layout.axis : layout.before], shape[layout.before : layout.before + layout.inner]


def _group(label: Label, own: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Label]:
    return [*[(label, "outer")] * len(own[0]), _SAMPLES, *[(label, "inner")] * len(own[1])]


def _layout(groups: Sequence[Sequence[Label]]) -> Layout:
    return of_groups([[BATCH if label == _SAMPLES else 0 for label in group] for group in groups])


def _named(call: Call, operand: Any, labels: Labels, batch: Label, own: Any) -> Any:
    """A term, or a constant array and its labels, without the batch axis."""
    merged = [label for label in _group(batch, own) if label != _SAMPLES]
    flat = tuple(one for label in labels for one in (merged if label == batch else [label]))
    if isinstance(operand, Value):
        return _Term(Value(operand.name, operand.shape), flat)
    array = to_array(operand)
    if batch in labels:
        like = Value(None, own[0] + own[1], Layout(len(own[0]), bool(own[0]), bool(own[1])))
        array = call.without_batch(array, labels.index(batch), like)
    kept = [axis for axis, n in enumerate(array.shape) if n != 1]
    return array.reshape([array.shape[axis] for axis in kept]), tuple(flat[axis] for axis in kept)


class _Steps:
    """Layers to put behind a value, those that change nothing left out."""

    def __init__(self, shape: Sequence[int], labels: Labels) -> None:
        self.shape, self.labels = tuple(shape), labels
        self.layers: list[tuple[str, Layer | None]] = []

    def order(self, labels: Labels) -> None:
        """Bring the axes into this order."""
        axes = tuple(self.labels.index(label) for label in labels)
        if axes != tuple(range(len(axes))):
            self.layers.append(("order", Permute(axes)))
        self.shape, self.labels = tuple(self.shape[axis] for axis in axes), labels

    def reshape(self, shape: Sequence[int], labels: Labels = ()) -> None:
        if tuple(shape) != self.shape:
            self.layers.append(("shape", Reshape(tuple(shape))))
        self.shape, self.labels = tuple(shape), labels

    def also(self, step: str, layer: Layer, shape: Sequence[int], labels: Labels = ()) -> None:
        self.layers.append((step, layer))
        self.shape, self.labels = tuple(shape), labels


def _run(call: Call, value: Value, steps: _Steps, part: str) -> Value:
    return call.chain(value, *steps.layers, part=part) if steps.layers else value


def _only(term: _Term, used: Sequence[Label]) -> _Steps:
    """Steps that sum a term over the axes that nothing else names."""
    steps = _Steps(term.value.known_shape, term.labels)
    axes = tuple(axis for axis, label in enumerate(term.labels) if label not in used)
    if axes:
        kept = tuple(label for label in term.labels if label in used)
        steps.also("sum", Sum(axes), [term.sizes[label] for label in kept], kept)
    return steps


def _alone(call: Call, term: _Term, wanted: Labels, part: str) -> Value:
    steps = _only(term, wanted)
    steps.order(wanted)
    return call.chain(term.value, *steps.layers, part=part)


def _split(x: Labels, y: Labels, wanted: Labels) -> tuple[Labels, Labels, Labels, Labels]:
    """Labels that both and the result have, that are summed, that x has, that y has alone."""
    both = tuple(label for label in x if label in y and label in wanted)
    summed = tuple(label for label in x if label in y and label not in wanted)
    own = tuple(label for label in x if label not in y)
    other = tuple(label for label in y if label not in x)
    return both, summed, own, other


def _without_ones(term: _Term, other: _Term, wanted: Labels) -> _Steps:
    """Steps that drop axes of extent one which the other operand has longer."""
    steps = _only(term, (*other.labels, *wanted))
    kept = tuple(
        label for label in steps.labels if term.sizes[label] != 1 or other.sizes.get(label, 1) == 1
    )
    steps.reshape([term.sizes[label] for label in kept], kept)
    return steps


def _product(call: Call, x: _Term, y: _Term, wanted: Labels, part: str) -> Value:
    """Two values that depend on the input: one matrix product, or one elementwise."""
    first, second = _without_ones(x, y, wanted), _without_ones(y, x, wanted)
    sizes = {**x.sizes, **y.sizes, **dict(zip(first.labels, first.shape, strict=True))}
    sizes.update(zip(second.labels, second.shape, strict=True))
    lost = [label for label in (*first.labels, *second.labels) if label not in wanted]
    lonely = [label for label in lost if not (label in first.labels and label in second.labels)]
    if lonely:
        raise Cannot("it sums an operand over an axis that the other has not", "Sum it before.")
    both, summed, own, other = _split(first.labels, second.labels, wanted)
    name = f"{part}/" if part else ""
    if not summed:
        return _elementwise(call, (x.value, first), (y.value, second), wanted, sizes, part)
    rows, inner, columns = ([sizes[label] for label in some] for some in (own, summed, other))
    lead = [sizes[label] for label in both]
    transpose_a = first.labels == (*both, *summed, *own)
    first.order((*both, *summed, *own) if transpose_a else (*both, *own, *summed))
    a = [count(inner), count(rows)] if transpose_a else [count(rows), count(inner)]
    first.reshape([*lead, *a])
    transpose_b = second.labels == (*both, *other, *summed)
    second.order((*both, *other, *summed) if transpose_b else (*both, *summed, *other))
    b = [count(columns), count(inner)] if transpose_b else [count(inner), count(columns)]
    second.reshape([*lead, *b])
    after = _Steps([*lead, count(rows), count(columns)], ())
    after.reshape([*lead, *rows, *columns], (*both, *own, *other))
    after.order(wanted)
    made = call.add(
        MatMul(transpose_a, transpose_b),
        _run(call, x.value, first, f"{name}first"),
        _run(call, y.value, second, f"{name}second"),
        part=f"{name}product" if after.layers else part,
    )
    return _run(call, made, after, part)


def _elementwise(
    call: Call, first: Any, second: Any, wanted: Labels, sizes: dict[Label, int], part: str
) -> Value:
    name = f"{part}/" if part else ""
    factors = []
    for step, (value, steps) in (("first", first), ("second", second)):
        steps.order(tuple(label for label in wanted if label in steps.labels))
        steps.reshape([sizes[label] if label in steps.labels else 1 for label in wanted])
        factors.append(_run(call, value, steps, f"{name}{step}"))
    return call.add(Multiply(), *factors, part=part)


def _with_constant(
    call: Call, x: _Term, constant: NDArray, labels: Labels, wanted: Labels, part: str
) -> Value:
    """A value and a constant: a scale, a matrix, or a matrix for each of some axes."""
    gone = tuple(
        axis for axis, one in enumerate(labels) if one not in wanted and one not in x.labels
    )
    constant = constant.sum(axis=gone)
    labels = tuple(label for axis, label in enumerate(labels) if axis not in gone)
    ones = [label for label in x.labels if x.sizes[label] == 1 and label in labels]
    steps = _only(x, (*labels, *wanted))
    if ones:
        kept = tuple(label for label in steps.labels if label not in ones)
        steps.reshape([x.sizes[label] for label in kept], kept)
        lost = tuple(axis for axis, one in enumerate(labels) if one in ones and one not in wanted)
        constant = constant.sum(axis=lost)
        labels = tuple(label for axis, label in enumerate(labels) if axis not in lost)
    sizes = {**x.sizes, **dict(zip(labels, constant.shape, strict=True))}
    both, summed, own, other = _split(steps.labels, labels, wanted)
    array = constant.transpose([labels.index(one) for one in (*both, *other, *summed)])
    if not summed:
        _scale(steps, array, (*both, *other), wanted, sizes)
    else:
        _matrices(steps, array, (both, summed, own, other), sizes)
        present = tuple(label for label in wanted if label in steps.labels)
        steps.order(present)
        steps.reshape([sizes[label] if label in present else 1 for label in wanted], wanted)
    return call.chain(x.value, *steps.layers, part=part)


def _scale(
    steps: _Steps, array: NDArray, labels: Labels, wanted: Labels, sizes: dict[Label, int]
) -> None:
    """Multiply elementwise; a value with fewer axes than the constant is repeated."""
    full = tuple(sizes.get(label, 1) for label in wanted)
    steps.order(tuple(label for label in wanted if label in steps.labels))
    steps.reshape([sizes[label] if label in steps.labels else 1 for label in wanted], wanted)
    if steps.shape != full:
        steps.also("expand", Broadcast(full), full, wanted)
    order = [labels.index(label) for label in wanted if label in labels]
    shape = [sizes[label] if label in labels else 1 for label in wanted]
    steps.also("scale", ScaleShift(array.transpose(order).reshape(shape)), full, wanted)


def _matrices(
    steps: _Steps, array: NDArray, labels: tuple[Labels, ...], sizes: dict[Label, int]
) -> None:
    """One matrix on the last axis, or as many as the shared axes have values."""
    both, summed, own, other = labels
    outer, rows, inner, columns = (
        [sizes[label] for label in some] for some in (both, own, summed, other)
    )
    weight = np.ascontiguousarray(array.reshape(count(outer), count(columns), count(inner)))
    if not both:
        steps.order((*own, *summed))
        steps.reshape([*rows, count(inner)])
        steps.also("matrix", Affine(weight[0]), [*rows, count(columns)])
        steps.reshape([*rows, *columns], (*own, *other))
        return
    groups = count(outer)
    steps.order((*both, *summed, *own))
    steps.reshape([groups * count(inner), count(rows)])
    kernel = weight.reshape(groups * count(columns), count(inner), 1)
    layer = Convolution(kernel, None, (1,), ((0, 0),), (1,), groups)
    steps.also("matrices", layer, [groups * count(columns), count(rows)])
    steps.reshape([*outer, *columns, *rows], (*both, *other, *own))
