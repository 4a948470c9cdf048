"""Einsum, where it is a sum, a permutation or a product of two operands."""

from __future__ import annotations

import math
import string
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.layout import UNBATCHED, Layout
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable, View
from spikewright.graph.layers import Affine, MatMul, Permute, Reshape, Shape, Sum


@dataclass
class Term:
    """An operand: a graph node whose axes have these letters, or a constant."""

    letters: str
    name: str = ""
    value: NDArray | None = None


@reads("Einsum")
def einsum(node: OnnxNode) -> Signal:
    """One or two operands, each letter at most once in each, the batch summed over in none."""
    equation = str(node.attributes.get("equation", "")).replace(" ", "")
    if not 1 <= len(node.inputs) <= 2:
        raise Unreadable(f"it has {len(node.inputs)} operands; one or two can be read")
    ranks = [_rank(node, index) for index in range(len(node.inputs))]
    terms, output = _parse(equation, ranks)
    operands, output, layout = _without_batch(node, terms, output)
    sizes = _sizes(node, operands)
    operands = [
        _summed(node, t, "".join(o.letters for o in operands if o is not t) + output, i)
        for i, t in enumerate(operands)
    ]
    if len(operands) == 1:
        (term,) = operands
        return Signal(_arranged(node, term.name, term.letters, output), layout)
    return Signal(_product(node, operands[0], operands[1], output, sizes), layout)


def _rank(node: OnnxNode, index: int) -> int:
    if node.is_constant(index):
        return node.parameter(index).ndim
    return node.view(index).rank


def _parse(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result, an ellipsis written out."""
    left, arrow, output = equation.partition("->")
    terms = left.split(",")
    free = [c for c in string.ascii_letters if c not in equation]
    widest = 0
    if len(terms) != len(ranks):
        raise Unreadable(f"its equation {equation!r} does not fit {len(ranks)} operands")
    for position, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        if "..." in term:
            width = rank - len(term.replace("...", ""))
            widest = max(widest, width)
            letters = "".join(free[:8][8 - width :]) if 0 <= width <= 8 else ""
            terms[position] = term.replace("...", letters)
        if len(terms[position]) != rank or (not terms[position].isalpha() and rank):
            raise Unreadable(f"its equation {equation!r} does not fit {rank} axes of {term!r}")
    ellipsis = "".join(free[:8][8 - widest :]) if widest else ""
    if not arrow:
        joined = "".join(terms)
        once = (c for c in set(joined) - set(ellipsis) if joined.count(c) == 1)
        output = ellipsis + "".join(sorted(once))
    output = output.replace("...", ellipsis)
    for letters in (*terms, output):
        if len(set(letters)) < len(letters):
            raise Unreadable(f"its equation {equation!r} repeats a letter within one operand")
    return terms, output


def _without_batch(node: OnnxNode, terms: list[str], output: str) -> tuple[list[Term], str, Layout]:
    """Operands of one sample, the result's letters and where it has the batch."""
    views = {i: node.view(i) for i in range(len(terms)) if not node.is_constant(i)}
    letters = {
        i: (terms[i][v.layout.axis], v.layout.shared) if v.layout.axis is not None else None
        for i, v in views.items()
    }
    apart = set(letters.values())
    kept = all(
        found is not None
        and found[0] in output
        and not found[1]
        and all(found[0] not in terms[i] for i in range(len(terms)) if i not in views)
        for found in apart
    )
    if len(apart) != 1 or not kept:
        views = {i: node.unbatched(i) for i in views}
        return [_term(node, i, views, term) for i, term in enumerate(terms)], output, UNBATCHED
    ((batch, _),) = apart  # type: ignore[misc]
    operands = [
        _term(node, i, views, term.replace(batch, "") if i in views else term)
        for i, term in enumerate(terms)
    ]
    return operands, output.replace(batch, ""), Layout(output.index(batch))


def _term(node: OnnxNode, index: int, views: dict[int, View], letters: str) -> Term:
    if index in views:
        return Term(letters, views[index].name)
    return Term(letters, value=np.asarray(node.parameter(index), np.float64))


def _shape(node: OnnxNode, term: Term) -> Shape:
    return node.shape_of(term.name) if term.value is None else term.value.shape


def _sizes(node: OnnxNode, operands: list[Term]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term in operands:
        for letter, n in zip(term.letters, _shape(node, term), strict=True):
            if sizes.setdefault(letter, n) != n:
                raise Unreadable(f"its axes {letter!r} have extents {sizes[letter]} and {n}")
    return sizes


def _summed(node: OnnxNode, term: Term, elsewhere: str, index: int) -> Term:
    """The operand without letters that stand nowhere else."""
    axes = tuple(i for i, letter in enumerate(term.letters) if letter not in elsewhere)
    if not axes:
        return term
    letters = "".join(letter for letter in term.letters if letter in elsewhere)
    if term.value is not None:
        return Term(letters, value=term.value.sum(axis=axes))
    return Term(letters, node.add(Sum(axes), term.name, part=f"sum {index}"))


def _arranged(node: OnnxNode, name: str, letters: str, wanted: str, part: str = "") -> str:
    return node.add(Permute(tuple(letters.index(c) for c in wanted)), name, part=part)


def _product(node: OnnxNode, a: Term, b: Term, output: str, sizes: dict[str, int]) -> str:
    """A product of matrices, one for each value of the letters that both operands keep."""
    both = [c for c in a.letters if c in b.letters]
    batch = "".join(c for c in both if c in output)
    inner = "".join(c for c in both if c not in output)
    if a.value is not None:
        a, b = b, a
    rows = "".join(c for c in a.letters if c not in both)
    columns = "".join(c for c in b.letters if c not in both)

    def extent(letters: str) -> int:
        return math.prod(sizes[c] for c in letters)

    lead = tuple(sizes[c] for c in batch)
    left = _matrix(node, a, batch + rows + inner, (*lead, extent(rows), extent(inner)), "left")
    if b.value is not None and not batch:
        order = [b.letters.index(c) for c in columns + inner]
        weight = b.value.transpose(order).reshape(extent(columns), extent(inner))
        product = node.add(Affine(np.ascontiguousarray(weight)), left, part="product")
    else:
        shape = (*lead, extent(inner), extent(columns))
        right = _matrix(node, b, batch + inner + columns, shape, "right")
        product = node.add(MatMul(), left, right, part="product")
    made = batch + rows + columns
    split = node.add(Reshape(tuple(sizes[c] for c in made)), product, part="split")
    return _arranged(node, split, made, output)


def _matrix(node: OnnxNode, term: Term, letters: str, shape: Shape, part: str) -> str:
    """An operand with its axes in an order, joined to a matrix."""
    if term.value is not None:
        order = [term.letters.index(c) for c in letters]
        return node.add_constant(term.value.transpose(order).reshape(shape), f"{part} constant")
    name = _arranged(node, term.name, term.letters, letters, f"{part} turned")
    return node.add(Reshape(shape), name, part=f"{part} matrix")
