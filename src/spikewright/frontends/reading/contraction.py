"""Sums of products over named axes: einsum, matrix products, tensordot and attention are spellings.

A product with constants is one linear layer: factors, a matrix, or a matrix for each of some axes.
A product of two values is one `MatMul`, or one `Multiply` where nothing is summed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.call import (
    Call,
    Operand,
    UnsupportedInput,
    UnsupportedOp,
    Value,
    finite,
)
from spikewright.frontends.unrolling.cells import AddNode
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

Labels = tuple[Hashable, ...]
"""A label for every axis: axes of one label go together, and an axis of extent one is repeated."""


def multiplied(
    call: Call,
    operands: Sequence[Operand],
    labels: Sequence[Labels],
    result: Labels,
    bias: NDArray | None = None,
) -> Value:
    """The sum of the product of operands over the labels that `result` does not have.

    Labels and shapes are those of the graph. Constants that share a label are multiplied first,
    the rest from left to right. `bias` broadcasts against the result and is added. Raises
    `UnsupportedOp` where nothing is a value, or axes of one label differ.
    """
    values = [finite(value) for value in values_of(operands)]
    if any(value.name is None for value in values):
        raise UnsupportedInput
    factors = [
        Factor(own, x.shape, (str(x.name),)) if isinstance(x, Value) else Factor.of(x, own)
        for x, own in zip(operands, labels, strict=True)
    ]
    made = contract(call.node, factors, result, bias)
    return values[0].becomes(made.nodes[0], made.shape)


def values_of(operands: Sequence[Any]) -> list[Value]:
    """The operands that are no constants; raises `UnsupportedOp` where there are none."""
    values = [x for x in operands if isinstance(x, Value)]
    if not values:
        raise UnsupportedOp("none of its operands depends on the input", "Compute it beforehand")
    return values


@dataclass(eq=False)
class Factor:
    """A factor of a product, with a label for every axis: a value or a constant.

    A value is what layers make of graph nodes, each behind the one before. They are added when the
    value is read, so that the last one can have the name of the result.
    """

    labels: Labels
    shape: Shape
    nodes: tuple[str, ...] = ()
    constant: NDArray | None = None
    layers: list[tuple[str, Layer]] = field(default_factory=list)

    @classmethod
    def of(cls, constant: NDArray | float, labels: Labels = ()) -> Factor:
        """A constant as a factor."""
        array = np.asarray(constant)
        return cls(labels, array.shape, constant=array)

    def extents(self) -> dict[Hashable, int]:
        """The extent of every label."""
        return dict(zip(self.labels, self.shape, strict=True))

    def then(self, step: str, layer: Layer, labels: Labels) -> None:
        """Put a layer behind, whose result has these labels."""
        if self.constant is not None:
            self.constant = _evaluated(layer, self.constant)
        else:
            self.layers.append((step, layer))
        self.shape, self.labels = layer.output_shape(self.shape), labels

    def reshape(self, shape: Iterable[int], labels: Labels = ()) -> None:
        """The same values in another shape."""
        wanted = tuple(shape)
        if wanted != self.shape:
            self.then("shape", Reshape(wanted), labels)
        self.labels = labels

    def order(self, labels: Labels) -> None:
        """The axes in another order."""
        if labels != self.labels:
            axes = tuple(self.labels.index(label) for label in labels)
            self.then("order", Permute(axes), labels)

    def keep(self, wanted: Iterable[Hashable]) -> None:
        """Sum over all axes but these."""
        kept = tuple(label for label in self.labels if label in {*wanted})
        gone = tuple(i for i, label in enumerate(self.labels) if label not in kept)
        if gone:
            self.then("sum", Sum(gone), kept)

    def narrow(self, other: Factor) -> None:
        """Drop axes of extent one that the other factor has longer."""
        wide = other.extents()
        kept = {label: n for label, n in self.extents().items() if n > 1 or wide.get(label, 1) == 1}
        self.reshape(kept.values(), tuple(kept))

    def spread(self, labels: Labels) -> None:
        """Exactly these axes: those that are missing have extent one."""
        self.order(tuple(label for label in labels if label in self.labels))
        own = self.extents()
        self.reshape((own.get(label, 1) for label in labels), labels)

    def matrix(self, both: Labels, rows: Labels, columns: Labels) -> bool:
        """Matrices `(*both, rows, columns)`; transposed ones, if these need no permutation."""
        turned = bool(rows and columns) and self.labels == (*both, *columns, *rows)
        first, second = (columns, rows) if turned else (rows, columns)
        self.order((*both, *first, *second))
        lead = len(both)
        middle = lead + len(first)
        shape = self.shape
        self.reshape((*shape[:lead], math.prod(shape[lead:middle]), math.prod(shape[middle:])))
        return turned

    def shift(self, bias: NDArray | None) -> None:
        """Add a bias, in the last layer where that is elementwise."""
        if bias is None:
            return
        step, last = self.layers[-1] if self.layers else ("", None)
        if isinstance(last, ScaleShift):
            self.layers[-1] = (step, replace(last, shift=bias))
        else:
            self.then("shift", ScaleShift(shift=bias), self.labels)

    def added(self, add: AddNode, part: str) -> str:
        """Add the layers to the graph, the last one under this part's name; returns its node."""
        nodes = self.nodes
        for index, (step, layer) in enumerate(self.layers):
            last = index == len(self.layers) - 1
            nodes = (add(layer, *nodes, part=part if last else _joined(part, step)),)
        (node,) = nodes
        return node


def contract(
    add: AddNode,
    factors: Sequence[Factor],
    result: Labels,
    bias: NDArray | None = None,
) -> Factor:
    """The contraction of factors, of which one is a value, as a value that one node has."""
    extents = _extents(factors)
    _check_bias(bias, tuple(extents[label] for label in result))
    waiting = [_without_diagonals(factor) for factor in factors]
    while len(waiting) > 1:
        x, y = _next(waiting)
        waiting = [one for one in waiting if one is not x and one is not y]
        later = {*result, *(label for one in waiting for label in one.labels)}
        both = dict.fromkeys((*x.labels, *y.labels))
        wanted = tuple(label for label in both if label in later) if waiting else result
        step = f"step{len(waiting)}" if waiting else ""
        product = _Product(x, y, wanted, None if waiting else bias)
        waiting.insert(0, product.factor(add, step))
    (made,) = waiting
    if len(factors) == 1:
        made.keep(result)
        made.order(result)
        made.shift(bias)
    if not made.layers:
        made.then("", Identity(), result)
    return Factor(result, made.shape, (made.added(add, ""),))


def _joined(*parts: str) -> str:
    return "/".join(filter(None, parts))


def _evaluated(layer: Layer, *arrays: NDArray) -> NDArray:
    """A layer's value of constants, computed in double precision."""
    exact = isinstance(layer, Permute | Reshape)
    given = (array if exact else array.astype(np.float64) for array in arrays)
    return layer.evaluate(*(array[None] for array in given))[0]


def _extents(factors: Iterable[Factor]) -> dict[Hashable, int]:
    """The extent of every label: axes of extent one are repeated."""
    extents: dict[Hashable, int] = {}
    for factor in factors:
        for label, n in zip(factor.labels, factor.shape, strict=True):
            known = extents.get(label, 1)
            if 1 not in (n, known) and n != known:
                raise UnsupportedOp(f"it multiplies along axes of {known} and {n} values")
            extents[label] = max(known, n)
    return extents


def _check_bias(bias: NDArray | None, shape: Shape) -> None:
    if bias is None:
        return
    try:
        np.broadcast_to(bias, shape)
    except ValueError:
        raise UnsupportedOp(
            f"its bias of shape {bias.shape} does not fit a result of shape {shape}"
        ) from None


def _next(waiting: Sequence[Factor]) -> tuple[Factor, Factor]:
    """The next two factors: constants that share a label, or the first value and its neighbour."""
    constants = [one for one in waiting if one.constant is not None]
    for x, y in combinations(constants, 2):
        if not x.labels or not y.labels or {*x.labels} & {*y.labels}:
            return x, y
    head = next(one for one in waiting if one.constant is None)
    return head, next(one for one in waiting if one is not head)


def _without_diagonals(factor: Factor) -> Factor:
    """The values whose indices along axes of one label are equal."""
    labels = tuple(dict.fromkeys(factor.labels))
    if len(labels) == len(factor.labels):
        return factor
    axes = [[i for i, one in enumerate(factor.labels) if one == label] for label in labels]
    extents = [{factor.shape[axis] for axis in some} for some in axes]
    if any(len(some) > 1 for some in extents):
        raise UnsupportedOp(f"it takes the diagonal of axes of {factor.shape} values")
    sizes = [(n, n ** len(some)) for (n,), some in zip(extents, axes, strict=True)]
    flat = tuple(wide for _, wide in sizes)
    steps = [slice(None, None, max((wide - 1) // max(n - 1, 1), 1)) for n, wide in sizes]
    factor.then("order", Permute(tuple(axis for some in axes for axis in some)), ())
    factor.reshape(flat)
    factor.then("diagonal", Slice.along(flat, dict(enumerate(steps))), labels)
    return factor


class _Product:
    """The product of two factors, summed over labels that are not wanted.

    `both` are labels of both factors and the result, `summed` of both alone, `own` of the first
    factor and `other` of the second. `bias` is what still has to be added.
    """

    def __init__(self, x: Factor, y: Factor, wanted: Labels, bias: NDArray | None) -> None:
        x.narrow(y)
        y.narrow(x)
        x.keep({*y.labels, *wanted})
        y.keep({*x.labels, *wanted})
        self._x, self._y, self._wanted, self._bias = x, y, wanted, bias
        shared = [label for label in x.labels if label in y.labels]
        self._both = tuple(label for label in shared if label in wanted)
        self._summed = tuple(label for label in shared if label not in wanted)
        self._own = tuple(label for label in x.labels if label not in shared)
        self._other = tuple(label for label in y.labels if label not in shared)
        self._extents = {**x.extents(), **y.extents()}

    def _size(self, labels: Labels) -> Shape:
        return tuple(self._extents[label] for label in labels)

    def factor(self, add: AddNode, part: str) -> Factor:
        """The product as layers behind the nodes that it reads."""
        alike = (self._x.constant is None) == (self._y.constant is None)
        if not self._summed:
            made = self._elementwise(add, part, alike)
        elif alike:
            made = self._matrix_product(add, part)
        else:
            made = self._groups_of_matrices() if self._both else self._matrix()
        made.order(self._wanted)
        made.shift(self._bias)
        return made

    def _joint(self, add: AddNode, layer: Layer, labels: Labels, part: str) -> Factor:
        """A layer of two constants, or of two values."""
        x, y = self._x, self._y
        shape = layer.output_shape(x.shape, y.shape)
        if x.constant is not None and y.constant is not None:
            return Factor(labels, shape, constant=_evaluated(layer, x.constant, y.constant))
        nodes = x.added(add, _joined(part, "first")), y.added(add, _joined(part, "second"))
        return Factor(labels, shape, nodes, layers=[("product", layer)])

    def _elementwise(self, add: AddNode, part: str, alike: bool) -> Factor:
        x, y, wanted = self._x, self._y, self._wanted
        x.spread(wanted)
        y.spread(wanted)
        if alike:
            return self._joint(add, Multiply(), wanted, part)
        if x.shape != self._size(wanted):
            x.then("repeated", Broadcast(self._size(wanted)), wanted)
        x.then("scale", ScaleShift(y.constant), wanted)
        return x

    def _matrix_product(self, add: AddNode, part: str) -> Factor:
        """One product of matrices for each value of the labels in both and in the result."""
        turned_x = self._x.matrix(self._both, self._own, self._summed)
        turned_y = self._y.matrix(self._both, self._summed, self._other)
        labels = (*self._both, *self._own, *self._other)
        made = self._joint(add, MatMul(turned_x, turned_y), (), part)
        made.reshape(self._size(labels), labels)
        return made

    def _weight(self, *labels: Labels) -> NDArray:
        """The constant, with one axis for each group of labels."""
        self._y.order(tuple(label for some in labels for label in some))
        shape = [math.prod(self._size(some)) for some in labels]
        return np.ascontiguousarray(self._y.constant).reshape(shape)

    def _matrix(self) -> Factor:
        """A matrix on the last axis, whose layer adds the bias where it can."""
        x, rows, columns = self._x, self._size(self._own), self._size(self._other)
        weight, labels = self._weight(self._other, self._summed), (*self._own, *self._other)
        bias = None
        if self._bias is not None and self._bias.ndim <= len(columns) and self._wanted == labels:
            bias, self._bias = np.broadcast_to(self._bias, columns).reshape(-1), None
        x.order((*self._own, *self._summed))
        x.reshape((*rows, weight.shape[1]))
        x.then("matrix", Affine(weight, bias), ())
        x.reshape((*rows, *columns), labels)
        return x

    def _groups_of_matrices(self) -> Factor:
        """As many matrices as the shared axes have values: a convolution in so many groups."""
        x, weight = self._x, self._weight(self._both, self._other, self._summed)
        groups, columns, taps = weight.shape
        x.order((*self._both, *self._summed, *self._own))
        x.reshape((groups * taps, math.prod(self._size(self._own))))
        kernel = weight.reshape(groups * columns, taps, 1)
        x.then("matrices", Convolution(kernel, None, (1,), ((0, 0),), (1,), groups), ())
        labels = (*self._both, *self._other, *self._own)
        x.reshape(self._size(labels), labels)
        return x
