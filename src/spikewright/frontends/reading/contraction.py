"""Sums of products over named axes: einsum, matrix products, tensordot and attention are spellings.

A product with constants is one linear layer: factors, a matrix, or a matrix for each of some axes.
A product of two values is one `MatMul`, or one `Multiply` where nothing is summed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.equation import Labels
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.unrolling.cells import Adder
from spikewright.graph.layers import (
    Affine,
    Broadcast,
    Convolution,
    Identity,
    Layer,
    MatMul,
    Multiply,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
    Sum,
)

Extents = dict[Hashable, int]


@dataclass(frozen=True, eq=False)
class Factor:
    """A factor of a product: the value of a graph's node, or a constant, and labels of its axes.

    Shapes leave the batch out.
    """

    labels: Labels
    shape: Shape
    node: str = ""
    constant: NDArray | None = None

    @classmethod
    def of(cls, constant: NDArray | float, labels: Labels = ()) -> Factor:
        """A constant as a factor."""
        array = np.asarray(constant)
        return cls(labels, array.shape, constant=array)


def contract(
    add: Adder,
    factors: Sequence[Factor],
    result: Labels,
    part: str = "",
    bias: NDArray | None = None,
) -> Factor:
    """The sum of the product of all factors over the labels that `result` does not have.

    One factor at least is a node's value. Constants that share a label are multiplied first; the
    rest is multiplied from left to right. `bias` broadcasts against the result and is added.
    Raises `Unreadable` where axes of one label differ in extent, or the bias does not fit.
    """
    extents = _extents(factors)
    _check_bias(bias, _size(extents, result))
    factors = [
        _diagonal(add, factor, _joined(part, f"diagonal{index}"))
        for index, factor in enumerate(factors)
    ]
    factors = _folded(factors, result)
    head = next(factor for factor in factors if factor.constant is None)
    rest = [factor for factor in factors if factor is not head]
    for index, other in enumerate(rest):
        later = _union(result, *(one.labels for one in rest[index + 1 :]))
        both = dict.fromkeys((*head.labels, *other.labels))
        last = index == len(rest) - 1
        wanted = result if last else tuple(label for label in both if label in later)
        step = part if last else _joined(part, f"step{index}")
        head = _product(add, head, other, wanted, step, bias if last else None)
    if rest:
        return head
    steps = _Steps(head)
    steps.keep(result)
    steps.order(result)
    return steps.shifted(bias).run(add, part)


def _joined(*parts: str) -> str:
    return "/".join(filter(None, parts))


def _union(*groups: Iterable[Hashable]) -> set[Hashable]:
    return {label for group in groups for label in group}


def _extents(factors: Iterable[Factor]) -> Extents:
    """The extent of every label: axes of extent one are repeated."""
    extents: Extents = {}
    for factor in factors:
        for label, n in zip(factor.labels, factor.shape, strict=True):
            known = extents.get(label, 1)
            if 1 not in (n, known) and n != known:
                raise Unreadable(f"it multiplies along axes of {known} and {n} values")
            extents[label] = max(known, n)
    return extents


def _check_bias(bias: NDArray | None, shape: Shape) -> None:
    if bias is None:
        return
    given = bias.shape
    missing = len(shape) - len(given)
    if missing < 0 or any(
        n not in (1, wide) for n, wide in zip(given, shape[missing:], strict=True)
    ):
        raise Unreadable(f"its bias of shape {given} does not fit a result of shape {shape}")


def _diagonal(add: Adder, factor: Factor, part: str) -> Factor:
    """The values whose indices along axes of one label are equal."""
    labels = tuple(dict.fromkeys(factor.labels))
    if len(labels) == len(factor.labels):
        return factor
    for label in labels:
        if len({n for n, one in zip(factor.shape, factor.labels, strict=True) if one == label}) > 1:
            raise Unreadable(f"it takes the diagonal of axes of {factor.shape} values")
    if factor.constant is not None:
        return Factor.of(_einsum([factor], labels), labels)
    axes = [[i for i, one in enumerate(factor.labels) if one == label] for label in labels]
    shape = tuple(factor.shape[some[0]] for some in axes)
    wide = tuple(n ** len(some) for n, some in zip(shape, axes, strict=True))
    steps = _Steps(factor)
    steps.then("order", Permute(tuple(axis for some in axes for axis in some)))
    steps.then("flat", Reshape(wide))
    apart = [(w - 1) // max(n - 1, 1) for n, w in zip(shape, wide, strict=True)]
    chosen = {i: slice(None, None, max(step, 1)) for i, step in enumerate(apart)}
    steps.then("diagonal", Slice.along(wide, chosen))
    steps.labels = labels
    return steps.run(add, part)


def _folded(factors: Sequence[Factor], result: Labels) -> list[Factor]:
    """The factors, those constants multiplied that share a label with another constant."""
    folded: list[Factor] = []
    waiting = list(factors)
    while waiting:
        first, *waiting = waiting
        partner = next((one for one in waiting if _foldable(first, one)), None)
        if partner is None:
            folded.append(first)
            continue
        waiting = [one for one in waiting if one is not partner]
        elsewhere = _union(result, *(one.labels for one in (*folded, *waiting)))
        labels = dict.fromkeys((*first.labels, *partner.labels))
        kept = tuple(label for label in labels if label in elsewhere)
        waiting.insert(0, Factor.of(_einsum([first, partner], kept), kept))
    return folded


def _foldable(first: Factor, second: Factor) -> bool:
    constants = first.constant is not None and second.constant is not None
    scalar = not first.labels or not second.labels
    return constants and (scalar or not {*first.labels}.isdisjoint(second.labels))


def _einsum(factors: Sequence[Factor], result: Labels) -> NDArray:
    """The contraction of constants, in double precision."""
    numbers = {label: i for i, label in enumerate(_union(*(one.labels for one in factors)))}
    operands: list[object] = []
    for factor in factors:
        operands += [factor.constant, [numbers[label] for label in factor.labels]]
    out = [numbers[label] for label in result]
    return np.asarray(np.einsum(*operands, out, dtype=np.float64))  # type: ignore[call-overload]


class _Steps:
    """Layers behind a value, those that change nothing left out, and the labels of its axes."""

    def __init__(self, factor: Factor) -> None:
        self._node = factor.node
        self._layers: list[tuple[str, Layer]] = []
        self.labels, self.shape = factor.labels, factor.shape

    def then(self, step: str, layer: Layer) -> None:
        """Add a layer."""
        self._layers.append((step, layer))
        self.shape = layer.output_shape(self.shape)

    def reshape(self, shape: Shape, labels: Labels = ()) -> None:
        """The same values in another shape."""
        if shape != self.shape:
            self.then("shape", Reshape(shape))
        self.labels = labels

    def order(self, labels: Labels) -> None:
        """The axes in another order."""
        if labels != self.labels:
            self.then("order", Permute(tuple(self.labels.index(label) for label in labels)))
        self.labels = labels

    def narrow(self, extents: Extents) -> None:
        """Drop axes of extent one that are longer elsewhere."""
        pairs = list(zip(self.labels, self.shape, strict=True))
        kept = [(label, n) for label, n in pairs if n == extents[label]]
        self.reshape(tuple(n for _, n in kept), tuple(label for label, _ in kept))

    def keep(self, wanted: Iterable[Hashable]) -> None:
        """Sum over all axes but these."""
        wanted = set(wanted)
        gone = tuple(i for i, label in enumerate(self.labels) if label not in wanted)
        if gone:
            self.then("sum", Sum(gone))
        self.labels = tuple(label for label in self.labels if label in wanted)

    def spread(self, labels: Labels, extents: Extents | None = None) -> None:
        """Axes with these labels, those that are missing of extent one, or repeated to extents."""
        self.order(tuple(label for label in labels if label in self.labels))
        own = dict(zip(self.labels, self.shape, strict=True))
        self.reshape(tuple(own.get(label, 1) for label in labels), labels)
        full = tuple((extents or {}).get(label, 1) for label in labels)
        if extents is not None and full != self.shape:
            self.then("repeated", Broadcast(full))

    def shifted(self, bias: NDArray | None) -> _Steps:
        """Add a bias, in the last layer where that is elementwise."""
        if bias is None:
            return self
        last = self._layers[-1] if self._layers else None
        if last is not None and isinstance(last[1], ScaleShift):
            self._layers[-1] = (last[0], replace(last[1], shift=bias))
        else:
            self.then("shift", ScaleShift(shift=bias))
        return self

    def value(self, add: Adder, part: str) -> str:
        """Add the layers, the last one under this part's name; returns the last node."""
        node = self._node
        for index, (step, layer) in enumerate(self._layers):
            last = index == len(self._layers) - 1
            node = add(layer, node, part=part if last else _joined(part, step))
        return node

    def run(self, add: Adder, part: str) -> Factor:
        """The value as a result: an `Identity` names it where nothing changes."""
        if not self._layers:
            self.then("", Identity())
        return Factor(self.labels, self.shape, self.value(add, part))


def _size(extents: Extents, labels: Labels) -> Shape:
    return tuple(extents[label] for label in labels)


def _product(
    add: Adder, x: Factor, y: Factor, wanted: Labels, part: str, bias: NDArray | None
) -> Factor:
    """The product of a value and a value or a constant, summed over labels not wanted."""
    extents = _extents((x, y))
    first = _Steps(x)
    first.narrow(extents)
    if y.constant is not None:
        constant = _narrowed(y, extents, {*first.labels, *wanted})
        first.keep({*constant.labels, *wanted})
        return _by_constant(first, constant, wanted, extents, bias).run(add, part)
    second = _Steps(y)
    second.narrow(extents)
    first.keep({*second.labels, *wanted})
    second.keep({*first.labels, *wanted})
    made = (_multiplied if _split(first, second.labels, wanted).summed else _elementwise)(
        add, first, second, wanted, extents, part if bias is None else _joined(part, "product")
    )
    return made if bias is None else _Steps(made).shifted(bias).run(add, part)


def _narrowed(factor: Factor, extents: Extents, wanted: set[Hashable]) -> Factor:
    """A constant without axes of extent one that are longer elsewhere, summed where not wanted."""
    pairs = list(zip(factor.labels, factor.shape, strict=True))
    long = [(label, n) for label, n in pairs if n == extents[label]]
    labels = tuple(label for label, _ in long)
    array = np.reshape(np.asarray(factor.constant), [n for _, n in long])
    kept = tuple(label for label in labels if label in wanted)
    if kept != labels:
        array = _einsum([Factor.of(array, labels)], kept)
    return Factor.of(array, kept)


@dataclass(frozen=True)
class _Split:
    """Labels of both factors and the result, of both alone, of the first and of the second one."""

    both: Labels
    summed: Labels
    own: Labels
    other: Labels


def _split(x: _Steps, y: Labels, wanted: Labels) -> _Split:
    return _Split(
        tuple(label for label in x.labels if label in y and label in wanted),
        tuple(label for label in x.labels if label in y and label not in wanted),
        tuple(label for label in x.labels if label not in y),
        tuple(label for label in y if label not in x.labels),
    )


def _elementwise(
    add: Adder, first: _Steps, second: _Steps, wanted: Labels, extents: Extents, part: str
) -> Factor:
    """A product of two values of which nothing is summed."""
    for steps in (first, second):
        steps.spread(wanted)
    nodes = [s.value(add, _joined(part, n)) for s, n in ((first, "first"), (second, "second"))]
    return Factor(wanted, _size(extents, wanted), add(Multiply(), *nodes, part=part))


def _multiplied(
    add: Adder, first: _Steps, second: _Steps, wanted: Labels, extents: Extents, part: str
) -> Factor:
    """A product of matrices, one for each value of the labels that both factors and result have."""
    split = _split(first, second.labels, wanted)
    turned_a = _matrix(first, split.both, split.own, split.summed, extents)
    turned_b = _matrix(second, split.both, split.summed, split.other, extents)
    lead = _size(extents, split.both)
    rows, columns = _size(extents, split.own), _size(extents, split.other)
    steps = _Steps(Factor((), (*lead, math.prod(rows), math.prod(columns))))
    steps.reshape((*lead, *rows, *columns), (*split.both, *split.own, *split.other))
    steps.order(wanted)
    nodes = [s.value(add, _joined(part, n)) for s, n in ((first, "first"), (second, "second"))]
    product = part if not steps._layers else _joined(part, "product")
    steps._node = add(MatMul(turned_a, turned_b), *nodes, part=product)
    return Factor(wanted, steps.shape, steps.value(add, part))


def _matrix(steps: _Steps, both: Labels, rows: Labels, columns: Labels, extents: Extents) -> bool:
    """Make matrices `(..., rows, columns)` of a value, or transposed ones if it has these."""
    turned = bool(rows and columns) and steps.labels == (*both, *columns, *rows)
    first, second = (columns, rows) if turned else (rows, columns)
    steps.order((*both, *first, *second))
    sizes = (math.prod(_size(extents, some)) for some in (first, second))
    steps.reshape((*_size(extents, both), *sizes))
    return turned


def _by_constant(
    steps: _Steps, constant: Factor, wanted: Labels, extents: Extents, bias: NDArray | None
) -> _Steps:
    """A value times a constant: factors, a matrix, or a matrix for each of some axes."""
    split = _split(steps, constant.labels, wanted)
    array = np.asarray(constant.constant)
    if not split.summed:
        steps.spread(wanted, extents)
        present = [label for label in wanted if label in constant.labels]
        scale = array.transpose([constant.labels.index(label) for label in present])
        shape = [extents[label] if label in present else 1 for label in wanted]
        steps.then("scale", ScaleShift(scale.reshape(shape)))
        return steps.shifted(bias)
    axes = [constant.labels.index(label) for label in (*split.both, *split.other, *split.summed)]
    weight = np.ascontiguousarray(array.transpose(axes))
    if split.both:
        _matrices(steps, weight, split, extents)
    else:
        bias = _one_matrix(steps, weight, split, wanted, extents, bias)
    steps.order(wanted)
    return steps.shifted(bias)


def _one_matrix(
    steps: _Steps,
    weight: NDArray,
    split: _Split,
    wanted: Labels,
    extents: Extents,
    bias: NDArray | None,
) -> NDArray | None:
    """A matrix on the last axis; returns the bias, or None where the matrix's layer adds it."""
    rows, columns = _size(extents, split.own), _size(extents, split.other)
    steps.order((*split.own, *split.summed))
    steps.reshape((*rows, math.prod(_size(extents, split.summed))))
    shift = None
    if bias is not None and bias.ndim <= len(columns) and wanted == (*split.own, *split.other):
        shift, bias = np.broadcast_to(bias, columns).reshape(-1), None
    steps.then("matrix", Affine(weight.reshape(math.prod(columns), -1), shift))
    steps.reshape((*rows, *columns), (*split.own, *split.other))
    return bias


def _matrices(steps: _Steps, weight: NDArray, split: _Split, extents: Extents) -> None:
    """As many matrices as the shared axes have values: a convolution in so many groups."""
    outer, rows, inner, columns = (
        _size(extents, some) for some in (split.both, split.own, split.summed, split.other)
    )
    groups, taps = math.prod(outer), math.prod(inner)
    steps.order((*split.both, *split.summed, *split.own))
    steps.reshape((groups * taps, math.prod(rows)))
    kernel = weight.reshape(groups * math.prod(columns), taps, 1)
    steps.then("matrices", Convolution(kernel, None, (1,), ((0, 0),), (1,), groups))
    steps.reshape((*outer, *columns, *rows), (*split.both, *split.other, *split.own))
