"""Activations that are written in several layers: recognised by what they compute."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pass_graphs import apply, assert_names_lead_somewhere, chain, inputs_of, kinds

from spikewright.graph import Graph, evaluate
from spikewright.graph.layers import Activation, Add, Affine, Layer, Multiply, ScaleShift
from spikewright.passes import FuseActivations

SHAPE = (4, 3)


def by(factor: float, shift: float | None = None) -> ScaleShift:
    """A scalar multiple, its number an array of one value or of none, as files have them."""
    return ScaleShift(np.array(factor), None if shift is None else np.full((1, 1), shift))


def act(name: str, **parameters: float) -> Activation:
    """An activation by name."""
    return Activation(name, parameters)


Steps = tuple[tuple[str, Layer] | tuple[str, Layer, tuple[str, ...]], ...]

GELU = by(math.sqrt(0.5)), act("erf"), ScaleShift(shift=np.array(1.0))
CASES: dict[str, tuple[Activation, Steps]] = {
    "silu": (act("silu"), (("s", act("sigmoid")), ("y", Multiply(), ("x", "s")))),
    "silu, gate first": (act("silu"), (("s", act("sigmoid")), ("y", Multiply(), ("s", "x")))),
    "quick GELU": (
        act("silu", beta=1.702),
        (("b", by(1.702)), ("s", act("sigmoid")), ("y", Multiply(), ("x", "s"))),
    ),
    "GELU, halved last": (
        act("gelu"),
        (
            *zip(("d", "e", "o"), GELU, strict=True),
            ("m", Multiply(), ("x", "o")),
            ("y", by(0.5)),
        ),
    ),
    "GELU, halved first": (
        act("gelu"),
        (
            *zip(("d", "e", "o"), GELU, strict=True),
            ("h", by(0.5), ("x",)),
            ("y", Multiply(), ("h", "o")),
        ),
    ),
    "GELU with float32 constants": (
        act("gelu"),
        (
            ("d", by(float(np.float32(1 / 1.4142135)))),
            ("e", act("erf")),
            ("o", by(0.5, 0.5)),
            ("y", Multiply(), ("x", "o")),
        ),
    ),
    "GELU of tanh": (
        act("gelu_tanh"),
        (
            ("q", act("power", exponent=3.0)),
            ("k", by(0.044715)),
            ("a", Add(), ("x", "k")),
            ("r", by(math.sqrt(2 / math.pi))),
            ("t", act("tanh")),
            ("o", by(0.5, 0.5)),
            ("y", Multiply(), ("x", "o")),
        ),
    ),
    "hard swish": (
        act("hard_swish"),
        (("p", ScaleShift(shift=np.array(3.0))), ("c", act("relu6")), ("d", by(1 / 6)),
         ("y", Multiply(), ("x", "d"))),
    ),
    "hard swish of a hard sigmoid": (
        act("hard_swish"), (("g", act("hard_sigmoid")), ("y", Multiply(), ("x", "g"))),
    ),
    "mish": (
        act("mish"),
        (("p", act("softplus")), ("t", act("tanh")), ("y", Multiply(), ("t", "x"))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_becomes_one_activation(case: str) -> None:
    """The product has the activation's name, reads the value itself, and what was between leads
    to it; values stay within 1e-6."""
    expected, steps = CASES[case]
    graph = chain(SHAPE, *steps)
    result = FuseActivations()(graph)
    values = inputs_of(graph)

    assert [(n.name, n.layer, n.inputs) for n in result.graph][1:] == [("y", expected, ("x",))]
    assert set(result.graph.aliases.values()) == {"y"}
    assert_names_lead_somewhere(graph, result.graph)
    assert np.allclose(
        evaluate(graph, values)["y"], evaluate(result.graph, values)["y"], rtol=0, atol=1e-6
    )
    (note,) = result.notes
    assert note.layer == "y"
    assert note.text.startswith(f"is {expected.function}: made one of it and '")


def test_readers_and_layers_around_stay() -> None:
    """Weights before and after, and a value that a residual sum reads as well."""
    weights = Affine(np.random.default_rng(3).normal(size=(3, 3)))
    graph = chain(
        (3,),
        ("w", weights),
        ("s", Activation("sigmoid")),
        ("m", Multiply(), ("w", "s")),
        ("v", weights),
        ("sum", Add(), ("v", "w", "m")),
    )
    result = apply(FuseActivations(), graph)

    assert kinds(result.graph) == {
        "w": "Affine", "m": "Activation", "v": "Affine", "sum": "Add",
    }  # fmt: skip


GATE: Steps = (("s", act("sigmoid")), ("m", Multiply(), ("x", "s")))

LEFT_ALONE: dict[str, Graph] = {
    "the gate is an output": chain(SHAPE, *GATE, outputs={"y": "m", "z": "s"}),
    "the gate is read elsewhere": chain(SHAPE, *GATE, ("t", Add(), ("m", "s"))),
    "another function": chain(SHAPE, ("s", act("tanh")), ("m", Multiply(), ("x", "s"))),
    "a gate of something else": chain(
        SHAPE, ("a", act("relu")), ("s", act("sigmoid"), ("x",)), ("m", Multiply(), ("a", "s"))
    ),
    "a factor for each value": chain(
        SHAPE,
        ("k", ScaleShift(np.array([1.0, 2.0, 3.0]))),
        ("s", act("sigmoid")),
        ("m", Multiply(), ("x", "s")),
    ),
    "a square": chain(SHAPE, ("m", Multiply(), ("x", "x"))),
    "almost": chain(
        SHAPE, ("b", by(1.0, 1e-4)), ("s", act("sigmoid")), ("m", Multiply(), ("x", "s"))
    ),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_is_none_of_them_stays(case: str) -> None:
    """Nothing is lost that is seen elsewhere, and nothing is taken for what it resembles."""
    graph = LEFT_ALONE[case]
    result = FuseActivations()(graph)

    assert kinds(result.graph) == kinds(graph)
    assert not result.notes
