"""Matrix products: of values with constant weights, and with each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.contraction import Labels, contract
from spikewright.frontends.pytorch.readers.arithmetic import combine, times
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import Affine, ScaleShift, Sum, UnitNormalization


def rank_of(operand: Any) -> int:
    """Number of axes in the program."""
    return operand.rank if isinstance(operand, Value) else operand.dim()


@reads("aten.linear.default")
def _linear(call: Call) -> Value:
    x, weight, bias = call["input"], call["weight"], call["bias"]
    constant = not isinstance(weight, Value) and not isinstance(bias, Value)
    if isinstance(x, Value) and constant and x.layout.axis < x.rank - 1:
        layer = Affine(call.array("weight"), call.optional_array("bias"))
        return call.add(layer, call.finite(x))
    lead = tuple(range(rank_of(x) - 1))
    out = ("out",) if rank_of(weight) == 2 else ()
    operands = [(x, (*lead, "in")), (weight, (*out, "in"))]
    product = contract(call, operands, (*lead, *out), part="" if bias is None else "product")
    return product if bias is None else combine(call, product, 1, bias, 1)


def matrix_labels(first: Any, second: Any) -> list[tuple[Any, Labels]]:
    """Operands of a matrix product, and the labels of their axes: leading ones are numbered."""
    labelled = []
    for operand, (row, column) in ((first, ("row", "inner")), (second, ("inner", "column"))):
        rank = rank_of(operand)
        lead = tuple(range(-rank, -2))
        own: Labels = ("inner",) if rank == 1 else (*lead, row, column)
        labelled.append((operand, own))
    return labelled


def matrix_product(call: Call, first: Any, second: Any, part: str = "") -> Value:
    """`first @ second`, as `torch.matmul` understands it."""
    operands = matrix_labels(first, second)
    named = {label for _, labels in operands for label in labels}
    lead = sorted((label for label in named if isinstance(label, int)), key=int)
    tail = [label for label in ("row", "column") if label in named]
    return contract(call, operands, (*lead, *tail), part)


@reads("aten.mm.default", "aten.matmul.default", "aten.bmm.default", "aten.mv.default")  # fmt: skip
def _product(call: Call) -> Value:
    first, second = call.arguments.values()
    if isinstance(first, Value) and isinstance(second, torch.Tensor) and second.dim() == 2 and (
        first.layout.axis < first.rank - 1
    ):  # fmt: skip
        return call.add(Affine(_transposed(call, second)), call.finite(first))
    return matrix_product(call, first, second)


def _transposed(call: Call, weight: torch.Tensor) -> NDArray:
    return np.ascontiguousarray(weight.detach().cpu().to(torch.float64).numpy().T)


@reads("aten.addmm.default")
def _affine(call: Call) -> Value:
    x, weight, bias = call["mat1"], call["mat2"], call["self"]
    plain = isinstance(x, Value) and isinstance(weight, torch.Tensor)
    if plain and isinstance(bias, torch.Tensor) and not x.layout.axis:
        matrix = np.ascontiguousarray(call.array("mat2").T) * call["alpha"]
        shift = call.array("self")
        if shift.ndim == 2 and len(shift) > 1:
            raise Cannot(f"its bias of shape {shift.shape} differs from sample to sample")
        shift = np.broadcast_to(shift.reshape(shift.shape[-1:]), len(matrix)) * call["beta"]
        return call.add(Affine(matrix, shift), call.finite(x))
    return _sum_of_products(call, matrix_product(call, x, weight, "product"))


@reads("aten.baddbmm.default")
def _batched_affine(call: Call) -> Value:
    product = matrix_product(call, call["batch1"], call["batch2"], "product")
    return _sum_of_products(call, product)


def _sum_of_products(call: Call, product: Value) -> Value:
    if call["beta"] == 0:
        return call.add(ScaleShift(np.asarray(float(call["alpha"]))), product)
    return combine(call, product, call["alpha"], call["self"], call["beta"])


@reads("aten.einsum.default")
def _einsum(call: Call) -> Value:
    operands = list(call["tensors"])
    labels, result = _parsed(call["equation"], [rank_of(operand) for operand in operands])
    labelled = list(zip(operands, labels, strict=True))
    while len(labelled) > 2:
        (first, a), (second, b), *rest = labelled
        later = {label for _, more in rest for label in more} | set(result)
        between = tuple(dict.fromkeys(label for label in (*a, *b) if label in later))
        if not isinstance(first, Value) and not isinstance(second, Value):
            labelled = [*rest, (first, a), (second, b)]  # those that depend on the input first
            continue
        made = contract(call, labelled[:2], between, part=f"step{len(rest)}")
        labelled = [(made, between), *rest]
    return contract(call, labelled, result)


def _parsed(equation: str, ranks: list[int]) -> tuple[list[Labels], Labels]:
    """Labels of every operand and of the result; `...` becomes numbers, aligned at its end."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    labels: list[Labels] = []
    for term, rank in zip(terms, ranks, strict=True):
        front, dots, back = term.partition("...")
        extra = rank - len(front) - len(back) if dots else 0
        labels.append((*front, *range(-extra, 0), *back))
    numbers = sorted({one for some in labels for one in some if isinstance(one, int)})
    if not arrow:
        letters = "".join(terms).replace(".", "")
        right = "..." + "".join(sorted(one for one in set(letters) if letters.count(one) == 1))
    front, dots, back = right.partition("...")
    return labels, (*front, *(numbers if dots else ()), *back)


@reads("aten.tensordot.default")
def _over_axes(call: Call) -> Value:
    first, second = call["self"], call["other"]
    labels = [
        [(which, axis) for axis in range(rank_of(x))] for which, x in enumerate((first, second))
    ]
    pairs = zip(call["dims_self"], call["dims_other"], strict=True)
    for one, other in pairs:
        labels[1][other] = labels[0][one]
    result = [label for label in labels[0] if label not in labels[1]]
    result += [label for label in labels[1] if label not in labels[0]]
    operands = [(first, tuple(labels[0])), (second, tuple(labels[1]))]
    return contract(call, operands, tuple(result))


@reads("aten.cosine_similarity.default")
def _cosine(call: Call) -> Value:
    """The product of unit vectors, summed."""
    units = []
    for name in ("x1", "x2"):
        x = call[name]
        if not isinstance(x, Value):
            raise Cannot("one of its operands is a constant", "Use F.normalize and a product.")
        axis = call.axis(x, call["dim"])
        units.append(call.add(UnitNormalization((axis,), call["eps"]), x, part=name))
    product = times(call, units[0], units[1], "product")
    axis = call.axis(product, call["dim"])
    return call.reduce(product, (axis,), False, ("", Sum((axis,))))
