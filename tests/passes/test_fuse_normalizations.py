"""Root mean square normalisation that is written in several layers: recognised by what it does."""

from __future__ import annotations

import numpy as np
import pytest
from pass_graphs import apply, assert_names_lead_somewhere, chain, inputs_of, kinds

from spikewright.graph import Graph, evaluate
from spikewright.graph.layers import (
    Activation,
    Add,
    Divide,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    Multiply,
    Reshape,
    RMSNormalization,
    ScaleShift,
    Sum,
)
from spikewright.passes import FuseNormalizations, run

SHAPE = (4, 6)
EPS = 1e-3
Steps = tuple[tuple[str, Layer] | tuple[str, Layer, tuple[str, ...]], ...]


def add(number: float) -> ScaleShift:
    """A number is added; an array of one value or of none, as files have them."""
    return ScaleShift(shift=np.full((1, 1), number))


def by(number: float) -> ScaleShift:
    """Values times a number."""
    return ScaleShift(np.array(number))


SQUARE, ROOT, RECIPROCAL = Activation("square"), Activation("sqrt"), Activation("reciprocal")
RSQRT = Activation("power", {"exponent": -0.5})
SHIFT = add(EPS)
MEAN = GlobalAveragePool((1,), True)
OVER_ALL = GlobalAveragePool((0, 1), True)

FORMS: dict[str, tuple[tuple[int, ...], Steps]] = {
    "rsqrt": (
        (1,),
        (("q", SQUARE), ("m", MEAN), ("e", add(EPS)), ("r", RSQRT), ("y", Multiply(), ("x", "r"))),
    ),
    "rsqrt first": (
        (1,),
        (("q", SQUARE), ("m", MEAN), ("e", add(EPS)), ("r", RSQRT), ("y", Multiply(), ("r", "x"))),
    ),
    "a quotient": (
        (1,),
        (("q", SQUARE), ("m", MEAN), ("e", add(EPS)), ("r", ROOT), ("y", Divide(), ("x", "r"))),
    ),
    "the reciprocal of a root": (
        (1,),
        (
            ("q", Multiply(), ("x", "x")), ("m", MEAN), ("e", add(EPS)), ("s", ROOT),
            ("r", RECIPROCAL), ("y", Multiply(), ("x", "r")),
        ),
    ),
    "a sum over a number": (
        (1,),
        (
            ("q", Activation("power", {"exponent": 2.0})), ("s", Sum((1,), True)), ("m", by(1 / 6)),
            ("e", add(EPS)), ("r", RSQRT), ("y", Multiply(), ("x", "r")),
        ),
    ),
    "an axis put back": (
        (1,),
        (
            ("q", SQUARE), ("m", GlobalAveragePool((-1,), False)), ("k", Reshape((4, 1))),
            ("e", add(EPS)), ("r", RSQRT), ("y", Multiply(), ("x", "r")),
        ),
    ),
    "over all axes": (
        (0, 1),
        (("q", SQUARE), ("m", OVER_ALL), ("e", add(EPS)), ("r", RSQRT),
         ("y", Multiply(), ("x", "r"))),
    ),
    "over the first axis": (
        (0,),
        (("q", SQUARE), ("m", GlobalAveragePool((0,), True)), ("e", add(EPS)), ("r", RSQRT),
         ("y", Multiply(), ("x", "r"))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_written_out_form_is_the_layer(form: str) -> None:
    """One layer of the product's name has its values, and what was between leads to it."""
    axes, steps = FORMS[form]
    graph = chain(SHAPE, *steps)
    result = apply(FuseNormalizations(), graph)

    assert kinds(result.graph) == {"y": "RMSNormalization"}
    assert_names_lead_somewhere(graph, result.graph)
    layer = result.graph["y"].layer
    assert isinstance(layer, RMSNormalization) and layer.scale is None
    assert {axis % 2 for axis in layer.axes} == set(axes)
    assert layer.epsilon == pytest.approx(EPS, rel=1e-9)
    values = inputs_of(graph)
    expected = RMSNormalization(axes, EPS).evaluate(values["x"])
    for one in (graph, result.graph):
        np.testing.assert_allclose(evaluate(one, values)["y"], expected, rtol=1e-9)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_factor_along_the_way_is_the_scale(factor: float) -> None:
    """Before the mean, where epsilon counts for less, and behind the root; sums without 1/n too."""
    for steps in (
        (("f", by(factor)), ("q", SQUARE), ("m", MEAN), ("e", add(EPS)), ("r", RSQRT)),
        (("q", SQUARE), ("m", MEAN), ("e", add(EPS)), ("r", RSQRT), ("f", by(factor))),
        (("q", SQUARE), ("m", Sum((1,), True)), ("e", add(EPS)), ("r", RSQRT)),
    ):
        graph = chain(SHAPE, *steps, ("y", Multiply(), ("x", steps[-1][0])))
        done = apply(FuseNormalizations(), graph).graph
        assert kinds(done) == {"y": "RMSNormalization"}
        values = inputs_of(graph)
        found, expected = evaluate(done, values)["y"], evaluate(graph, values)["y"]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_without_epsilon() -> None:
    """A quotient by the root alone."""
    graph = chain(SHAPE, ("q", SQUARE), ("m", MEAN), ("r", ROOT), ("y", Divide(), ("x", "r")))
    layer = apply(FuseNormalizations(), graph).graph["y"].layer
    assert isinstance(layer, RMSNormalization) and layer.epsilon == 0.0


def test_what_is_around_it_stays() -> None:
    """A residual sum reads the value too, and a scale a channel follows."""
    graph = chain(
        SHAPE,
        ("a", Activation("tanh")),
        ("q", SQUARE),
        ("m", MEAN),
        ("e", add(EPS)),
        ("r", RSQRT),
        ("n", Multiply(), ("a", "r")),
        ("w", ScaleShift(np.linspace(1, 2, 6))),
        ("y", Add(), ("a", "w")),
    )
    done, _ = run(graph)
    assert list(kinds(done).values()) == ["Activation", "RMSNormalization", "ScaleShift", "Add"]
    values = inputs_of(graph)
    np.testing.assert_allclose(evaluate(done, values)["y"], evaluate(graph, values)["y"], rtol=1e-9)


def normalised(
    square: Layer = SQUARE, mean: Layer = MEAN, shift: Layer = SHIFT, root: Layer = RSQRT
) -> Steps:
    """The parts of a normalisation, some replaced."""
    return (("q", square), ("m", mean), ("e", shift), ("r", root))


PRODUCT = ("y", Multiply(), ("x", "r"))
LEFT_ALONE: dict[str, Graph] = {
    "a cube": chain(SHAPE, *normalised(square=Activation("power", {"exponent": 3.0})), PRODUCT),
    "magnitudes": chain(SHAPE, *normalised(square=Activation("abs")), PRODUCT),
    "a shifted square": chain(SHAPE, ("s", add(0.1)), *normalised(), PRODUCT),
    "the largest": chain(SHAPE, *normalised(mean=GlobalMaxPool((1,), True)), PRODUCT),
    "the root": chain(SHAPE, *normalised(root=ROOT), PRODUCT),
    "the reciprocal": chain(SHAPE, *normalised(root=RECIPROCAL), PRODUCT),
    "almost a root": chain(
        SHAPE, *normalised(root=Activation("power", {"exponent": -0.501})), PRODUCT
    ),
    "a negative epsilon": chain(SHAPE, *normalised(shift=add(-EPS)), PRODUCT),
    "an epsilon for each row": chain(
        SHAPE, *normalised(shift=ScaleShift(shift=np.full((4, 1), EPS))), PRODUCT
    ),
    "a number at least": chain(
        SHAPE, *normalised(shift=Activation("clip", {"minimum": EPS, "maximum": 1e9})), PRODUCT
    ),
    "turned over": chain(SHAPE, *normalised(root=ROOT), ("y", Divide(), ("r", "x"))),
    "of another value": chain(
        SHAPE, ("a", Activation("tanh")), ("q", SQUARE, ("x",)), *normalised()[1:],
        ("y", Multiply(), ("a", "r")),
    ),
    "of a product with another value": chain(
        SHAPE, ("a", Activation("tanh")), ("q", Multiply(), ("x", "a")), *normalised()[1:], PRODUCT
    ),
    "three factors": chain(SHAPE, *normalised(), ("y", Multiply(), ("x", "x", "r"))),
    "the mean is an output": chain(SHAPE, *normalised(), PRODUCT, outputs={"y": "y", "m": "m"}),
    "the square is an output": chain(SHAPE, *normalised(), PRODUCT, outputs={"y": "y", "q": "q"}),
    "the root is read elsewhere": chain(
        SHAPE, *normalised(), PRODUCT, ("z", Multiply(), ("y", "r"))
    ),
    "the square is read elsewhere": chain(SHAPE, *normalised(), PRODUCT, ("z", Add(), ("y", "q"))),
    "along another axis": chain(
        (4, 4), ("q", SQUARE), ("m", GlobalAveragePool((0,), False)), ("k", Reshape((4, 1))),
        ("e", add(EPS)), ("r", RSQRT), PRODUCT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_is_none_stays(case: str) -> None:
    """Nothing is lost that is seen elsewhere, and nothing is taken for what it resembles."""
    graph = LEFT_ALONE[case]
    result = FuseNormalizations()(graph)
    assert kinds(result.graph) == kinds(graph)
    assert not result.notes
