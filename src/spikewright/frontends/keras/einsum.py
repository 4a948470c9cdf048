"""Sums of products over named axes: einsum, EinsumDense, and their special cases.

Axes are named by labels, any hashable values, and leave the batch out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.keras.activations import activate, is_linear, of_function
from spikewright.frontends.keras.affine import bias_of, kernel_of, unbatched_constant
from spikewright.frontends.keras.arithmetic import require_known
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.graph.layers import (
    Affine,
    Broadcast,
    Layer,
    MatMul,
    Multiply,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Sum,
)

Labels = Sequence[Hashable]


def _extents(*pairs: tuple[Labels, Shape]) -> dict[Hashable, int]:
    """Extent of every label; raises `Unreadable` where two of one label differ."""
    extents: dict[Hashable, int] = {}
    for labels, shape in pairs:
        if len(labels) != len(shape):
            raise Unreadable(f"its equation names {len(labels)} axes of a tensor of shape {shape}")
        if len(set(labels)) != len(labels):
            raise Unreadable(
                "its equation names an axis twice, which takes a diagonal",
                "Write it without a diagonal",
            )
        for label, n in zip(labels, shape, strict=True):
            if extents.setdefault(label, n) != n:
                raise Unreadable(f"axes of {extents[label]} and {n} values do not match")
    return extents


class _Steps:
    """Unary layers behind a value, each only if it changes something."""

    def __init__(self, call: Call, value: Value, labels: Labels) -> None:
        self._call, self._value = call, value
        self._pending: list[tuple[str, Layer]] = []
        self.labels = list(labels)
        self._shape = value.shape

    @property
    def shape(self) -> Shape:
        """Shape of the value so far."""
        return self._shape

    def then(self, part: str, layer: Layer) -> None:
        """Add a layer."""
        self._pending.append((part, layer))
        self._shape = layer.output_shape(self._shape)

    def reshape(self, shape: Shape, part: str = "reshaped") -> None:
        """The same values in another shape."""
        if shape != self._shape:
            self.then(part, Reshape(shape))

    def order(self, labels: Labels) -> None:
        """The axes in another order."""
        if list(labels) != self.labels:
            self.then("permuted", Permute(tuple(self.labels.index(label) for label in labels)))
            self.labels = list(labels)

    def keep(self, wanted: set[Hashable]) -> None:
        """Sum over all axes but these."""
        gone = tuple(i for i, label in enumerate(self.labels) if label not in wanted)
        if gone:
            self.then("sum", Sum(gone))
            self.labels = [label for label in self.labels if label in wanted]

    def value(self, last: str) -> Value:
        """Add the layers, the last one under this part's name."""
        value = self._value
        for index, (part, layer) in enumerate(self._pending):
            final = index == len(self._pending) - 1
            name = last if final else (f"{last}/{part}" if last else part)
            value = self._call.value(layer, value, part=name)
        self._pending = []
        return value


def contract_constant(
    call: Call,
    x: Value,
    x_labels: Labels,
    constant: NDArray,
    labels: Labels,
    out: Labels,
    bias: NDArray | None = None,
    part: str = "",
) -> Value:
    """The product of a value and a constant, summed over the labels that `out` lacks.

    `bias` is added to the result and broadcasts against it.
    """
    require_known(x)
    extents = _extents((x_labels, x.shape), (labels, constant.shape))
    lone = [i for i, label in enumerate(labels) if label not in x_labels and label not in out]
    constant = constant.sum(axis=tuple(lone))
    labels = [label for label in labels if label in x_labels or label in out]
    steps = _Steps(call, x, x_labels)
    steps.keep({*labels, *out})
    shared = [label for label in labels if label in x_labels and label in out]
    summed = [label for label in labels if label not in out]
    new = [label for label in labels if label not in x_labels]
    free = [label for label in steps.labels if label not in labels]
    fused = None
    if shared:
        _scale_and_sum(steps, extents, constant, labels, [*free, *shared], summed, new)
    else:
        if bias is not None and [*free, *new] == list(out) and bias.ndim <= len(new):
            fused = np.broadcast_to(bias, tuple(extents[label] for label in new)).ravel()
        _affine(steps, extents, constant, labels, free, summed, new, fused)
    steps.order(out)
    if bias is not None and fused is None:
        steps.then("biased", ScaleShift(shift=bias))
    if not steps._pending:
        steps.then("same", Reshape(steps.shape))
    return steps.value(part)


def _affine(
    steps: _Steps,
    extents: dict[Hashable, int],
    constant: NDArray,
    labels: Labels,
    free: Labels,
    summed: Labels,
    new: Labels,
    bias: NDArray | None,
) -> None:
    """The contraction as one matrix that acts on the last axis."""
    steps.order([*free, *summed])
    kept = tuple(extents[label] for label in free)
    steps.reshape((*kept, math.prod(extents[label] for label in summed)))
    order = [list(labels).index(label) for label in (*new, *summed)]
    rows = math.prod(extents[label] for label in new)
    steps.then("product", Affine(constant.transpose(order).reshape(rows, -1), bias))
    steps.reshape((*kept, *(extents[label] for label in new)), "unfolded")
    steps.labels = [*free, *new]


def _scale_and_sum(
    steps: _Steps,
    extents: dict[Hashable, int],
    constant: NDArray,
    labels: Labels,
    kept: Labels,
    summed: Labels,
    new: Labels,
) -> None:
    """The contraction as elementwise factors and a sum: `kept` are labels of value and result."""
    steps.order([*kept, *summed])
    full = [*kept, *summed, *new]
    shape = tuple(extents[label] for label in full)
    steps.reshape((*steps.shape, *(1,) * len(new)), "expanded")
    if steps.shape != shape:
        steps.then("broadcast", Broadcast(shape))
    present = [label for label in full if label in labels]
    factor = constant.transpose([list(labels).index(label) for label in present])
    layout = tuple(extents[label] if label in labels else 1 for label in full)
    steps.then("scaled", ScaleShift(scale=factor.reshape(layout)))
    steps.labels = full
    steps.keep({*kept, *new})


def contract(
    call: Call,
    x: Value,
    x_labels: Labels,
    y: Value,
    y_labels: Labels,
    out: Labels,
    part: str = "",
) -> Value:
    """The product of two values, summed over the labels that `out` lacks."""
    require_known(x, y)
    extents = _extents((x_labels, x.shape), (y_labels, y.shape))
    prefix = f"{part}/" if part else ""
    left, right = _Steps(call, x, x_labels), _Steps(call, y, y_labels)
    left.keep({*y_labels, *out})
    right.keep({*x_labels, *out})
    shared = [label for label in left.labels if label in right.labels and label in out]
    summed = [label for label in left.labels if label in right.labels and label not in out]
    first = [label for label in left.labels if label not in right.labels]
    second = [label for label in right.labels if label not in left.labels]

    def size(labels: Labels) -> Shape:
        return tuple(extents[label] for label in labels)

    left.order([*shared, *first, *summed])
    right.order([*shared, *summed, *second])
    batch = size(shared)
    product: Layer
    if summed:
        left.reshape((*batch, math.prod(size(first)), math.prod(size(summed))))
        right.reshape((*batch, math.prod(size(summed)), math.prod(size(second))))
        product = MatMul()
    else:
        left.reshape((*batch, math.prod(size(first)), 1))
        right.reshape((*batch, 1, math.prod(size(second))))
        product = Multiply()
    values = left.value(f"{prefix}first"), right.value(f"{prefix}second")
    result = [*shared, *first, *second]
    same = size(result) == (*batch, math.prod(size(first)), math.prod(size(second)))
    last = same and list(out) == result
    made = call.value(product, *values, part=part if last else f"{prefix}product")
    tail = _Steps(call, made, result)
    tail.reshape(size(result))
    tail.order(out)
    return tail.value(part)


def parse(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """Labels of every operand and of the result, an ellipsis as as many labels as it stands for."""
    given, arrow, result = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(ranks):
        raise Unreadable(f"its equation {equation!r} has {len(terms)} operands, not {len(ranks)}")
    wide = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    most = max((n for n, term in zip(wide, terms, strict=True) if "..." in term), default=0)
    labels = [_expanded(term, n, most) for term, n in zip(terms, wide, strict=True)]
    if arrow:
        return labels, _expanded(result, most, most)
    letters = sorted({c for term in terms for c in term if c != "." and given.count(c) == 1})
    return labels, [*_expanded("...", most, most), *letters]


def _expanded(term: str, count: int, most: int) -> list[str]:
    before, dots, after = term.partition("...")
    rest = [f"...{i}" for i in range(most - count, most)] if dots else []
    return [*before, *rest, *after]


def unbatched_labels(
    values: Sequence[list[str]], others: Sequence[list[str]], out: list[str]
) -> None:
    """Drop the batch's label, the first of every value and of the result, from all of them.

    Raises `Unreadable` where the batch is anything but an axis of its own.
    """
    first = {labels[0] if labels else "" for labels in (*values, out)}
    batch = next(iter(first))
    if len(first) != 1 or not batch or any(batch in labels for labels in others):
        raise Unreadable(
            "its equation treats the batch as an axis like others",
            "Keep the batch first in every tensor and in the result, and out of constants",
        )
    for labels in (*values, out):
        del labels[0]


def dense(call: Call, layer: object, value: Value, part: str = "") -> Value:
    """An EinsumDense layer on a value."""
    kernel, bias = kernel_of(layer), bias_of(layer)
    equation: str = layer.equation  # type: ignore[attr-defined]
    (x, weight), out = parse(equation, (len(value.shape) + 1, kernel.ndim))
    unbatched_labels([x], [weight], out)
    if bias is not None:
        bias = unbatched_constant(bias, (1,) * len(out))
    function = layer.activation  # type: ignore[attr-defined]
    if is_linear(function):
        return contract_constant(call, value, x, kernel, weight, out, bias, part)
    of_function(function, (1,) * len(out))  # to refuse it even where the value is unknown
    inner = f"{part}/linear" if part else "linear"
    linear = contract_constant(call, value, x, kernel, weight, out, bias, inner)
    return activate(call, function, linear, part)


@reads("EinsumDense")
def einsum_dense(call: Call) -> Value:
    """A dense layer over any axes, by an equation."""
    return dense(call, call.layer, call.inputs[0])


@reads("ops.Einsum")
def einsum(call: Call) -> Value:
    """One or two operands, the second a tensor or a constant."""
    given = list(call.arguments["operands"])
    arrays = [x if isinstance(x, Value) else array(x) for x in given]
    ranks = [len(x.shape) + isinstance(x, Value) for x in arrays]
    labels, out = parse(call.layer.subscripts, ranks)
    pairs = list(zip(arrays, labels, strict=True))
    values = [(x, own) for x, own in pairs if isinstance(x, Value)]
    constants = [(x, own) for x, own in pairs if not isinstance(x, Value)]
    unbatched_labels([own for _, own in values], [own for _, own in constants], out)
    if len(pairs) == 1:
        return contract_constant(call, *values[0], np.array(1.0), [], out)
    if len(pairs) > 2:
        raise Unreadable(f"it multiplies {len(pairs)} tensors at once", "Multiply two at a time")
    if constants:
        return contract_constant(call, *values[0], *constants[0], out)
    return contract(call, *values[0], *values[1], out)


@reads("ops.Matmul", "ops.Dot")
def matrix_product(call: Call) -> Value:
    """`x @ y` of two tensors with as many axes, or of a tensor and a constant."""
    x, y = call.arguments["x1"], call.arguments["x2"]
    if isinstance(x, Value) and isinstance(y, Value):
        if call.kind == "ops.Dot" or len(x.shape) != len(y.shape) or len(x.shape) < 2:
            raise Unreadable(
                f"it multiplies tensors of shapes {x.shape} and {y.shape} across samples of the "
                f"batch",
                "Give both as many axes, three or more with the batch, and use matmul",
            )
        return call.value(MatMul(), x, y)
    value = x if isinstance(x, Value) else y
    constant = array(y if value is x else x)
    rank = len(value.shape)
    own: list[Hashable] = list(range(-rank, 0))
    if value is x and constant.ndim <= 2:
        labels: list[Hashable] = [-1, "new"][: constant.ndim]
        return contract_constant(call, value, own, constant, labels, [*own[:-1], *labels[1:]])
    if value is y and constant.ndim <= 2 and rank >= 2 and call.kind == "ops.Matmul":
        labels = ["new", -2][-constant.ndim :]
        return contract_constant(call, value, own, constant, labels, [*own[:-2], *labels[:-1], -1])
    raise Unreadable(
        f"it multiplies a tensor of shape {value.shape} with a constant of shape {constant.shape}",
        "Use keras.ops.einsum, which names the axes",
    )


@reads("ops.Tensordot")
def tensor_product(call: Call) -> Value:
    """A tensor times a constant, summed over given axes of each."""
    x, y = call.arguments["x1"], call.arguments["x2"]
    if not isinstance(x, Value) or isinstance(y, Value):
        raise Unreadable(
            "it multiplies every sample of the batch with every other",
            "Use keras.ops.einsum with the batch first in every tensor",
        )
    constant, rank = array(y), len(x.shape) + 1
    axes = call.layer.axes
    if isinstance(axes, int):
        axes = (list(range(rank - axes, rank)), list(range(axes)))
    over, there = ([a] if isinstance(a, int) else list(a) for a in axes)
    own: list[Hashable] = [("x", i) for i in range(rank)]
    labels: list[Hashable] = [("y", i) for i in range(constant.ndim)]
    for i, j in zip(over, there, strict=True):
        if i % rank == 0:
            raise Unreadable("it sums over the batch", "Sum over other axes than 0")
        labels[j] = own[i]
    out = [a for a in own[1:] if a not in labels] + [a for a in labels if a not in own]
    return contract_constant(call, x, own[1:], constant, labels, out)
