"""The graph of one step of a sequence: what layers become, and which act along time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.errors import ConversionError, GraphError
from spikewright.graph import Graph, GraphNode, evaluate, evaluate_all
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    BatchNormalization,
    Broadcast,
    Concatenate,
    Constant,
    Convolution,
    Crop,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    Identity,
    Input,
    Layer,
    LayerNormalization,
    MatMul,
    Multiply,
    Pad,
    ParametricReLU,
    Permute,
    Recurrence,
    Reshape,
    RMSNormalization,
    ScaleShift,
    Slice,
    Sum,
    Take,
    Tile,
    UnitNormalization,
    ZeroPad,
)
from spikewright.graph.layers.recurrence import Cell, CellPart
from spikewright.passes.sequences import OneStep, one_step

STEPS, UNITS = 6, 4
RNG = np.random.default_rng(0)


def cell(units: int = UNITS, inputs: int = UNITS, seed: int = 0) -> Cell:
    """`h' = tanh(W x + R h)`."""
    rng = np.random.default_rng(seed)
    return Cell(
        (
            CellPart("given", Affine(0.5 * rng.normal(size=(units, inputs))), ("x",)),
            CellPart("back", Affine(0.4 * rng.normal(size=(units, units))), ("h",)),
            CellPart("sum", Add(), ("given", "back")),
            CellPart("output", Activation("tanh"), ("sum",)),
        ),
        ("x",),
        ("h",),
        ("output",),
        ((units,),),
    )


def behind(
    *nodes: GraphNode, outputs: tuple[str, ...] = ("out",), backwards: bool = False
) -> Graph:
    """A recurrence `r` over the input `x`, `(STEPS, UNITS)`, and what reads it."""
    first = (
        GraphNode("x", Input((STEPS, UNITS))),
        GraphNode("r", Recurrence(cell(), backwards=backwards), ("x",), "rnn", "SimpleRNN"),
    )
    return Graph((*first, *nodes), {name: name for name in outputs})


def by_steps(found: OneStep, x: NDArray, **held: NDArray) -> dict[str, NDArray]:
    """Outputs of a whole sequence: the graph of one step, run along it."""
    made: dict[str, list[NDArray]] = {name: [] for name in found.outputs}
    for _, values in found.evaluate(found.graph, {"x": x, **held}):
        for name, of_steps in made.items():
            if found.graph.outputs[name] in values:
                of_steps.append(values[found.graph.outputs[name]])
    return {
        name: made[name][-1] if time is None else np.stack(made[name], time + 1)
        for name, time in found.outputs.items()
    }


def agrees(graph: Graph, **held: NDArray) -> OneStep:
    """The graph of one step gives what the graph of whole sequences gives."""
    found = one_step(graph)
    x = np.random.default_rng(5).normal(size=(3, STEPS, UNITS))
    wanted = evaluate(graph, {"x": x, **held})
    for name, value in by_steps(found, x, **held).items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-12)
    return found


ALONE: dict[str, tuple[Layer, ...]] = {
    "identity": (Identity(),),
    "affine": (Affine(RNG.normal(size=(3, UNITS)), RNG.normal(size=3)),),
    "relu": (Activation("relu"),),
    "softmax": (Activation("softmax"),),
    "softmax, axis from the front": (Activation("softmax", {"axis": 1}),),
    "batch normalisation": (
        BatchNormalization(*(RNG.uniform(0.5, 1.0, UNITS) for _ in range(4)), 1e-3, -1),
    ),
    "layer normalisation": (
        LayerNormalization((-1,), 1e-3, RNG.normal(size=UNITS), RNG.normal(size=UNITS)),
    ),
    "rms": (RMSNormalization((1,), 1e-3),),
    "unit": (UnitNormalization((1,)),),
    "scale": (ScaleShift(RNG.normal(size=UNITS), RNG.normal(size=(1, UNITS))),),
    "one number": (ScaleShift(np.array(2.0)),),
    "shift that all steps share": (ScaleShift(None, np.full((STEPS, UNITS), 0.5)),),
    "prelu": (ParametricReLU(np.full((1, UNITS), 0.2)),),
    "reshape": (Reshape((STEPS, 2, 2)), Reshape((STEPS, UNITS))),
    "new axis in front": (Reshape((1, STEPS, UNITS)), Activation("relu")),
    "time at the end": (Permute((1, 0)), ScaleShift(RNG.normal(size=(UNITS, 1)))),
    "time moved and back": (Permute((1, 0)), Permute((1, 0)), Affine(RNG.normal(size=(2, UNITS)))),
    "slice": (Slice(((0, STEPS, 1), (1, 2, 2))),),
    "take": (Take(np.array([2, 0, -1]), 1),),
    "take of one": (Take(np.array(1), -1),),
    "take in front of time": (Permute((1, 0)), Take(np.array([[2, 0], [1, 1]]), 0)),
    "tile": (Tile((1, 2)),),
    "pads": (ZeroPad(((0, 0), (1, 2))), Crop(((0, 0), (0, 1))), Pad(((0, 0), (1, 1)), "edge")),
    "broadcast": (Reshape((STEPS, UNITS, 1)), Broadcast((2, STEPS, UNITS, 3))),
    "sum": (Sum((1,), False),),
    "sum in front of time": (Permute((1, 0)), Sum((0,), False)),
    "mean, kept": (GlobalAveragePool((1,), True),),
    "largest": (GlobalMaxPool((1,), False),),
    "the last step": (Take(np.array(-1), 0), Affine(RNG.normal(size=(2, UNITS)))),
    "the last step, kept as an axis": (Take(np.array([STEPS - 1]), 0), Activation("relu")),
    "all but the last step cut off": (Crop(((STEPS - 1, 0), (0, 0))), Activation("relu")),
    "a slice of the last step": (Slice(((STEPS - 1, 1, 1), (0, UNITS, 1))), Activation("relu")),
}


@pytest.mark.parametrize("layers", ALONE.values(), ids=ALONE)
def test_a_layer_does_at_one_step_what_it_does_to_the_whole(layers: tuple[Layer, ...]) -> None:
    """Wherever the axis of time is, and where it goes."""
    names = ["r", *(f"layer_{i}" for i in range(len(layers) - 1)), "out"]
    nodes = [
        GraphNode(name, layer, (read,))
        for layer, name, read in zip(layers, names[1:], names[:-1], strict=True)
    ]
    agrees(behind(*nodes))


def test_layers_of_several_inputs() -> None:
    """Sequences meet each other, and values that all steps share."""
    agrees(
        behind(
            GraphNode("w", Affine(RNG.normal(size=(UNITS, UNITS))), ("x",)),
            GraphNode("sum", Add(), ("r", "w")),
            GraphNode("both", Concatenate(-1), ("sum", "r")),
            GraphNode("c", Constant(RNG.normal(size=(1, 2 * UNITS)))),
            GraphNode("d", Constant(np.tile(RNG.normal(size=2 * UNITS), (STEPS, 1)))),
            GraphNode("e", Constant(RNG.normal(size=2 * UNITS))),
            GraphNode("out", Multiply(), ("both", "c", "d", "e")),
        )
    )


def test_stacked_cells_states_to_begin_with_and_an_input_without_time() -> None:
    """Each cell is there once; its states begin where constants say; an input may have no time."""
    graph = behind(
        GraphNode("begin", Constant(RNG.normal(size=UNITS))),
        GraphNode("second", Recurrence(cell(seed=1)), ("r", "begin"), "rnn", "SimpleRNN"),
        GraphNode("held", Input((UNITS,))),
        GraphNode("scaled", Reshape((1, UNITS)), ("held",)),
        GraphNode("out", Multiply(), ("second", "scaled")),
        GraphNode("last", Take(np.array(STEPS - 1), 0), ("second",)),
        GraphNode("end", Add(), ("last", "held")),
        outputs=("out", "end"),
    )
    found = agrees(graph, held=np.random.default_rng(8).normal(size=(3, UNITS)))

    assert found.inputs == {"x": 0, "held": None}
    assert found.outputs == {"out": 0, "end": None}
    assert [s.initial.any() for s in found.carried] == [False, True]
    assert sum(isinstance(n.layer, Activation) for n in found.graph) == 2


AGAINST: dict[str, tuple[Layer | tuple[GraphNode, ...], str]] = {
    "convolution": (
        (
            GraphNode("t", Permute((1, 0)), ("r",)),
            GraphNode(
                "out", Convolution(np.ones((2, UNITS, 3)), None, (1,), ((0, 0),), (1,)), ("t",)
            ),
        ),
        "depends on others",
    ),
    "weights along time": (
        (
            GraphNode("t", Permute((1, 0)), ("r",)),
            GraphNode("out", Affine(np.ones((2, STEPS))), ("t",)),
        ),
        "act along time",
    ),
    "flatten": (Reshape((STEPS * UNITS,)), "mixes the axis of time"),
    "mean over time": (GlobalAveragePool((0,)), "depends on others"),
    "softmax over time": (Activation("softmax", {"axis": 0}), "depends on others"),
    "normalised over time": (LayerNormalization((0, 1), 1e-3), "depends on others"),
    "groups": (GroupNormalization(2, 1, 1e-3), "not known"),
    "some steps": (Slice(((1, 3, 1), (0, UNITS, 1))), "chooses some steps"),
    "another step": (Take(np.array(2), 0), "depends on others"),
    "reversed": (Slice(((STEPS - 1, STEPS, -1), (0, UNITS, 1))), "chooses some steps"),
    "padded in time": (ZeroPad(((1, 0), (0, 0))), "depends on others"),
    "repeated in time": (Tile((2, 1)), "depends on others"),
    "a shift of its own for every step": (
        ScaleShift(None, RNG.normal(size=(STEPS, 1))),
        "values of its own for every step",
    ),
    "constants of its own for every step": (
        (
            GraphNode("c", Constant(RNG.normal(size=(STEPS, UNITS)))),
            GraphNode("out", Add(), ("r", "c")),
        ),
        "reads 'c', which has values of its own for every step",
    ),
    "joined in time": (
        (GraphNode("out", Concatenate(0), ("r", "x")),),
        "joins sequences one behind the other",
    ),
    "attention": (
        (
            GraphNode("a", MatMul(False, True), ("r", "r")),
            GraphNode("out", MatMul(), ("a", "r")),
        ),
        "depends on others",
    ),
    "the end, beside every step": (
        (
            GraphNode("t", Take(np.array(STEPS - 1), 0), ("r",)),
            GraphNode("out", Multiply(), ("r", "t")),
        ),
        "with values at its end",
    ),
    "a sequence made of the end": (
        (
            GraphNode("t", Take(np.array(STEPS - 1), 0), ("r",)),
            GraphNode("again", Broadcast((STEPS, UNITS)), ("t",)),
            GraphNode("out", Recurrence(cell(seed=1)), ("again",)),
        ),
        "not there step by step",
    ),
    "a state that depends on the input": (
        (
            GraphNode("t", Take(np.array(STEPS - 1), 0), ("r",)),
            GraphNode("out", Recurrence(cell(seed=1)), ("x", "t")),
        ),
        "the state it begins with depends on the input",
    ),
    "times that differ": (
        (
            GraphNode("square", Slice(((0, STEPS, 1), (0, 1, 1))), ("r",)),
            GraphNode("t", Permute((1, 0)), ("square",)),
            GraphNode("out", Multiply(), ("square", "t")),
        ),
        "the axis of time is not the same",
    ),
}


@pytest.mark.parametrize(("layers", "reason"), AGAINST.values(), ids=AGAINST)
def test_what_acts_along_time_is_refused(
    layers: Layer | tuple[GraphNode, ...], reason: str
) -> None:
    """By name, with the reason, and the option that takes it."""
    nodes = layers if isinstance(layers, tuple) else (GraphNode("out", layers, ("r",)),)
    with pytest.raises(ConversionError, match=reason) as caught:
        one_step(behind(*nodes))
    assert "Leave sequence_step out" in str(caught.value)


def test_every_refusal_is_listed() -> None:
    """Not the first alone; what reads a refused layer is not blamed."""
    nodes = (
        GraphNode("first", GlobalAveragePool((0,)), ("r",), "pool", "Pooling"),
        GraphNode("behind", Activation("relu"), ("first",)),
        GraphNode("second", Reshape((STEPS * UNITS,)), ("r",), "flat", "Flatten"),
    )
    with pytest.raises(ConversionError) as caught:
        one_step(behind(*nodes, outputs=("behind", "second")))
    assert [refusal.layer for refusal in caught.value.refusals] == ["pool", "flat"]


def test_recurrences_that_do_not_fit_one_time() -> None:
    """From the end, of another length, and none at all."""
    with pytest.raises(ConversionError, match="it begins at the end of its sequence"):
        one_step(behind(GraphNode("out", Identity(), ("r",)), backwards=True))
    longer = (
        GraphNode("y", Input((STEPS + 1, UNITS))),
        GraphNode("out", Recurrence(cell(seed=1)), ("y",), "other"),
    )
    with pytest.raises(ConversionError, match=f"has {STEPS + 1} steps, that before it {STEPS}"):
        one_step(behind(*longer))
    plain = Graph(
        (GraphNode("x", Input((3,))), GraphNode("y", Activation("relu"), ("x",))), {"y": "y"}
    )
    with pytest.raises(ConversionError, match="no recurrent layer"):
        one_step(plain)


def test_a_recurrence_checks_its_cell() -> None:
    """Sequences of one length, states of their shapes, parts that read what there is."""
    good = cell()
    shapes: list[tuple[Cell, tuple[tuple[int, ...], ...], str]] = [
        (good, ((0, UNITS),), "one length"),
        (good, ((STEPS, UNITS), (3,)), "states have shapes"),
        (good, ((STEPS, UNITS),) * 3, "inputs are not"),
        (replace(good, shapes=((5,),)), ((STEPS, UNITS),), "5 values"),
        (replace(good, states=("other",)), ((STEPS, UNITS),), "'back' reads 'h'"),
        (replace(good, results=("given",), shapes=((3,),)), ((STEPS, UNITS),), "3"),
    ]
    for one, given, reason in shapes:
        with pytest.raises(GraphError, match=reason):
            Recurrence(one).output_shape(*given)
    backwards = evaluate_all(behind(GraphNode("out", Identity(), ("r",)), backwards=True),
                             {"x": np.ones((1, STEPS, UNITS))})["out"]  # fmt: skip
    assert not np.allclose(backwards[:, 0], backwards[:, -1])
