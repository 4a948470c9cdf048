"""The contraction that all readers share, against NumPy's einsum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.frontends.reading.call import UnsupportedOp
from spikewright.frontends.reading.contraction import Factor, contract
from spikewright.frontends.reading.products import (
    batch_label,
    matrix_labels,
    parsed,
    tensordot_labels,
)
from spikewright.frontends.source import GraphBuilder
from spikewright.graph import Graph, evaluate
from spikewright.graph.layers import Add, Affine, Convolution, MatMul, Multiply, ScaleShift, Slice

EXTENTS = dict(zip("ijklm", (2, 3, 1, 4, 2), strict=True))
PRODUCTS = (Affine, Convolution, MatMul, Multiply, ScaleShift)


def _values(shapes: Sequence[tuple[int, ...]], seed: int = 0) -> list[NDArray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def _read(
    equation: str, values: Sequence[NDArray], constant: Sequence[bool], bias: NDArray | None = None
) -> Graph:
    """The graph of an equation whose operands are constants or inputs `x0`, `x1`, ..."""
    labels, result = parsed(equation, [value.ndim for value in values])
    builder = GraphBuilder()
    factors = []
    for index, (value, fixed, own) in enumerate(zip(values, constant, labels, strict=True)):
        if fixed:
            factors.append(Factor.of(value, own))
        else:
            factors.append(Factor(own, value.shape, (builder.input(f"x{index}", value.shape),)))

    def add(layer, *names, part=""):  # type: ignore[no-untyped-def]
        name = builder.add(f"it/{part}" if part else "it", layer, *names)
        assert name is not None
        return name

    made = contract(add, factors, result, bias=bias)
    assert made.labels == result
    assert made.nodes == ("it",)
    assert builder.shapes["it"] == made.shape
    return builder.build({"it": "it"})


def _check(
    equation: str,
    values: Sequence[NDArray],
    constant: Sequence[bool],
    bias: NDArray | None = None,
) -> Graph:
    """Two samples through the graph are NumPy's einsum of each."""
    graph = _read(equation, values, constant, bias)
    other = _values([value.shape for value in values], seed=1)
    feed = {
        f"x{i}": np.stack(pair)
        for i, pair in enumerate(zip(values, other, strict=True))
        if not constant[i]
    }
    found = evaluate(graph, feed)["it"]
    for index, sample in enumerate((values, other)):
        operands = [values[i] if fixed else sample[i] for i, fixed in enumerate(constant)]
        expected = np.einsum(equation, *operands) + (0 if bias is None else bias)
        np.testing.assert_allclose(found[index], expected, rtol=1e-9, atol=1e-12)
    return graph


@st.composite
def _equations(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]], list[bool]]:
    """An equation of one to four operands, letters repeated or not, and which are constants."""
    count = draw(st.integers(1, 4))
    letters = st.lists(st.sampled_from("ijklm"), min_size=0, max_size=3)
    terms = ["".join(draw(letters)) for _ in range(count)]
    named = sorted({*"".join(terms)})
    chosen = draw(st.sets(st.sampled_from(named)).map(sorted)) if named else []
    result = "".join(draw(st.permutations(chosen)))
    shapes = [tuple(EXTENTS[one] for one in term) for term in terms]
    constant = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    constant[draw(st.integers(0, count - 1))] = False
    return f"{','.join(terms)}->{result}", shapes, constant


@settings(max_examples=80, deadline=None)
@given(_equations())
def test_any_equation(case: tuple[str, list[tuple[int, ...]], list[bool]]) -> None:
    """Any number of operands, diagonals, sums and orders, each operand constant or not."""
    equation, shapes, constant = case
    graph = _check(equation, _values(shapes), constant)
    if sum(not fixed for fixed in constant) == 1:
        assert not any(isinstance(node.layer, MatMul | Multiply) for node in graph)


@settings(max_examples=30, deadline=None)
@given(
    wide=st.lists(st.sampled_from([1, 3]), min_size=4, max_size=4),
    constant=st.sampled_from([(False, False), (False, True), (True, False)]),
    result=st.sampled_from(["...ij", "j...i", "...", "i...", "...j"]),
)
def test_an_ellipsis_repeats_axes_of_one(
    wide: list[int], constant: tuple[bool, bool], result: str
) -> None:
    """Axes of an ellipsis are aligned at its end; those of extent one are repeated."""
    a, b, c, d = wide
    _check(f"...i,...ji->{result}", _values([(a, b, 2), (c, d, 4, 2)][::1]), constant) if (
        {1, a} >= {c} or {1, c} >= {a}
    ) and ({1, b} >= {d} or {1, d} >= {b}) else None


@pytest.mark.parametrize(
    ("equation", "constant", "kind"),
    [
        ("ij,jk->ik", (False, True), Affine),
        ("jk,ij->ik", (True, False), Affine),
        ("ij,ijk->ik", (False, True), Convolution),
        ("ij,j->ij", (False, True), ScaleShift),
        ("ij,->ij", (False, True), ScaleShift),
        ("ij,kj->ik", (False, False), MatMul),
        ("ij,j->ij", (False, False), Multiply),
        ("ij,jk,kl->il", (False, True, True), Affine),
    ],
)
def test_a_product_is_one_layer_of_its_kind(
    equation: str, constant: tuple[bool, ...], kind: type
) -> None:
    """Constants never stand beside a product layer, and are multiplied with each other first."""
    shapes = [tuple(EXTENTS[one] for one in term) for term in equation[:-4].split(",")]
    graph = _check(equation, _values(shapes), constant)
    assert [type(n.layer) for n in graph if isinstance(n.layer, PRODUCTS)] == [kind]


@pytest.mark.parametrize(
    ("equation", "axes", "constant"),
    [
        ("ij,jl->il", 0, True),
        ("ij,jl->il", 1, True),
        ("ij,jl->il", 2, False),
        ("ij,jl->li", 1, True),
        ("ij,ijl->il", 2, True),
        ("ij,j->ij", 1, True),
        ("ij,j->ij", 2, False),
    ],
)
def test_a_bias_is_added(equation: str, axes: int, constant: bool) -> None:
    """A bias broadcasts against the result, and costs no layer behind a matrix or a factor."""
    terms, result = equation.split("->")
    shapes = [tuple(EXTENTS[one] for one in term) for term in terms.split(",")]
    bias = np.random.default_rng(2).normal(size=[EXTENTS[one] for one in result][2 - axes :])
    graph = _check(equation, _values(shapes), (False, constant), bias)
    assert not any(isinstance(node.layer, Add) for node in graph)
    if constant and axes < 2 and equation in ("ij,jl->il", "ij,j->ij"):
        assert sum(isinstance(node.layer, PRODUCTS) for node in graph) == 1


def test_a_diagonal_is_a_choice() -> None:
    """It is linear: a slice with the step from one of its values to the next."""
    graph = _check("iij->ij", _values([(3, 3, 2)]), (False,))
    assert sum(isinstance(node.layer, Slice) for node in graph) == 1


@pytest.mark.parametrize(
    ("equation", "ranks", "reason"),
    [
        ("ij,jk->ik", (2,), "does not fit 1 operands"),
        ("ij->i", (3,), "does not fit 3 axes"),
        ("i...j->i", (1,), "does not fit 1 axes"),
        ("i1->i", (2,), "does not fit 2 axes"),
        ("ij->ii", (2,), "no such result"),
        ("ij->ik", (2,), "no such result"),
    ],
)
def test_equations_that_do_not_fit(equation: str, ranks: tuple[int, ...], reason: str) -> None:
    """An equation that NumPy refuses is refused with its text."""
    with pytest.raises(ValueError):
        np.einsum(equation, *(np.ones((2,) * rank) for rank in ranks))
    with pytest.raises(UnsupportedOp, match=reason):
        parsed(equation, ranks)


@pytest.mark.parametrize(
    ("equation", "shapes", "reason"),
    [
        ("ij,jk->ik", [(2, 3), (4, 2)], "axes of 3 and 4 values"),
        ("ii->i", [(1, 3)], "diagonal"),
    ],
)
def test_extents_that_do_not_fit(equation: str, shapes: list[tuple[int, ...]], reason: str) -> None:
    """Axes of one label have one extent."""
    read = partial(_read, equation, _values(shapes), [False] * len(shapes))
    with pytest.raises(UnsupportedOp, match=reason):
        read()


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ([("bi", 0), ("ci", 0)], "bc"),
        ([("bi", 0), ("bi", 1)], "b"),
        ([("bi", 0)], "i"),
        ([("bb", 0)], "b"),
    ],
)
def test_samples_never_meet(values: list[tuple[str, int]], result: str) -> None:
    """The batch is one label, once in every value, and in the result."""
    with pytest.raises(UnsupportedOp, match="sums over the samples"):
        batch_label([(tuple(labels), axis) for labels, axis in values], tuple(result))


@pytest.mark.parametrize(
    ("first", "second"),
    [((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (5, 3, 4))],
)
def test_matrix_products_and_sums_over_axes(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    """Their labels say what `matmul` and `tensordot` compute."""
    x, y = _values([first, second])
    numbers = {}

    def einsum(labels: Sequence[tuple[object, ...]], result: Sequence[object]) -> NDArray:
        for label in (label for some in labels for label in some):
            numbers.setdefault(label, len(numbers))
        a, b, out = ([numbers[label] for label in some] for some in (*labels, result))
        return np.asarray(np.einsum(x, a, y, b, out))

    np.testing.assert_allclose(einsum(*matrix_labels(x.ndim, y.ndim)), np.matmul(x, y))
    axes = [x.ndim - 1], [max(y.ndim - 2, 0)]
    numbers = {}
    expected = np.tensordot(x, y, axes)
    np.testing.assert_allclose(einsum(*tensordot_labels((x.ndim, y.ndim), *axes)), expected)
