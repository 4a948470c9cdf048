"""Recurrent cells written out step by step: against their equations, and the law of spikes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from recurrent import INPUTS, UNITS, cell_of

import spikewright as sw
from spikewright.frontends.reading.call import UnsupportedOp
from spikewright.frontends.source import GraphBuilder
from spikewright.frontends.unrolling import (
    MAX_STEPS,
    CellProduct,
    GRUCell,
    LSTMCell,
    SimpleCell,
    UnrolledCell,
    stack,
    unroll,
)
from spikewright.graph import Graph, evaluate
from spikewright.graph.layers import Affine, Layer

STEPS = 12
KINDS = ["tanh", "relu", "gru", "gru-after", "lstm", "lstm-peepholes"]


def graph_of(
    cell: UnrolledCell, steps: int = STEPS, backwards: bool = False, states: int = 0
) -> Graph:
    """A cell over a sequence; outputs are all of its outputs, weights behind the last, states."""
    builder = GraphBuilder()

    def add(layer: Layer, *inputs: str, part: str = "") -> str:
        name = builder.add(f"rnn/{part}" if part else "rnn", layer, *inputs, source="rnn")
        assert name is not None
        return name

    x = builder.input("x", (steps, INPUTS))
    initial = tuple(builder.input(f"state_{i}", (UNITS,)) for i in range(states))
    made = unroll(add, cell, x, steps, initial, backwards)
    whole = stack(add, made.outputs, (UNITS,))
    weight = np.random.default_rng(9).normal(size=(5, UNITS)) / np.sqrt(UNITS)
    end = builder.add("end", Affine(weight), made.outputs[0 if backwards else -1])
    last = {f"state_{i}": name for i, name in enumerate(made.states)}
    return builder.build({"sequence": whole, "end": end, **last})


def _sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x))


def by_hand(cell: UnrolledCell, x: NDArray, states: list[NDArray]) -> tuple[NDArray, list[NDArray]]:
    """The recurrence as its equations read, `(batch, steps, units)` and the last states."""

    def of(part: CellProduct, now: NDArray, h: NDArray) -> NDArray:
        return now @ part.weight.T + part.bias + h @ part.recurrent.T

    outputs = []
    for now in np.moveaxis(x, 1, 0):
        h = states[0]
        if isinstance(cell, SimpleCell):
            f: Callable = (
                np.tanh if cell.function[0][1].function == "tanh" else lambda v: np.maximum(v, 0)
            )
            states = [f(of(cell.current, now, h))]
        elif isinstance(cell, GRUCell):
            z, r = np.split(_sigmoid(of(cell.gates, now, h)), 2, axis=1)
            part = cell.candidate
            given = now @ part.weight.T + part.bias
            if cell.reset_after:
                given = given + r * (h @ part.recurrent.T + cell.inner_bias)
            else:
                given = given + (r * h) @ part.recurrent.T
            states = [z * h + (1 - z) * np.tanh(given)]
        elif isinstance(cell, LSTMCell):
            c = states[1]
            seen = np.zeros((3, UNITS)) if cell.peepholes is None else cell.peepholes
            i, f_, o = np.split(of(cell.gates, now, h), 3, axis=1)
            i, f_ = _sigmoid(i + seen[0] * c), _sigmoid(f_ + seen[1] * c)
            c = f_ * c + i * np.tanh(of(cell.candidate, now, h))
            states = [_sigmoid(o + seen[2] * c) * np.tanh(c), c]
        outputs.append(states[0])
    return np.stack(outputs, axis=1), states


@pytest.mark.parametrize(
    ("kind", "backwards", "given"),
    list(zip([*KINDS, *KINDS], 6 * [False, True], [*6 * [False], *6 * [True]], strict=True)),
)
def test_a_cell_computes_its_recurrence(kind: str, backwards: bool, given: bool) -> None:
    """Every output and the last states, from zeros or given states, from either end."""
    rng = np.random.default_rng(4)
    cell = cell_of(kind)
    count = cell.states if given else 0
    x = rng.normal(size=(4, STEPS, INPUTS))
    initial = [rng.normal(size=(4, UNITS)) for _ in range(count)]
    zeros = [np.zeros((4, UNITS))] * cell.states
    graph = graph_of(cell, backwards=backwards, states=count)
    found = evaluate(graph, {"x": x, **{f"state_{i}": s for i, s in enumerate(initial)}})
    turned = x[:, ::-1] if backwards else x
    sequence, states = by_hand(cell, turned, initial or zeros)

    np.testing.assert_allclose(
        found["sequence"], sequence[:, ::-1] if backwards else sequence, atol=1e-12
    )
    for i, state in enumerate(states):
        np.testing.assert_allclose(found[f"state_{i}"], state, atol=1e-12)


@pytest.mark.parametrize("kind", ["relu", "lstm-peepholes"])
def test_the_error_of_spikes_falls_as_one_over_the_steps(kind: str) -> None:
    """Over twelve steps of the source: of the whole sequence, and behind the last of them."""
    graph = graph_of(cell_of(kind))
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=200.0)
    x = np.random.default_rng(1).normal(size=(4, STEPS, INPUTS))
    truth = evaluate(graph, {"x": x})
    steps = np.array([16, 32, 64, 128, 256, 512, 1024])
    means = conversion.run(x, steps=1024, progress=False).predict_at_every_step("mean")

    assert conversion.trace.guarantee == "convergent"
    for output in ("sequence", "end"):
        wanted = truth[output]
        errors = [float(np.linalg.norm(means[output][:, t - 1] - wanted)) for t in steps]
        assert -1.2 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < -0.85, errors
        assert errors[-1] < 0.03 * np.linalg.norm(wanted)


def test_weights_are_shared_and_the_input_is_weighted_once() -> None:
    """One product for the whole sequence, and one array of weights for all steps."""
    cell = cell_of("lstm")
    assert isinstance(cell, LSTMCell)
    affine = [n.layer for n in graph_of(cell) if isinstance(n.layer, Affine) and n.source == "rnn"]

    assert sum(layer.weight is cell.gates.weight for layer in affine) == 1
    assert sum(layer.weight is cell.gates.recurrent for layer in affine) == STEPS - 1


def test_sequences_of_any_number_of_steps_up_to_the_limit() -> None:
    """One step is a sequence; what is too long says so."""
    x = np.random.default_rng(0).normal(size=(2, 1, INPUTS))
    cell = cell_of("gru")
    found = evaluate(graph_of(cell, steps=1), {"x": x})["sequence"]
    np.testing.assert_allclose(found, by_hand(cell, x, [np.zeros((2, UNITS))])[0], atol=1e-12)
    with pytest.raises(UnsupportedOp, match=f"{MAX_STEPS + 1} steps.* {MAX_STEPS} are the limit"):
        graph_of(cell, steps=MAX_STEPS + 1)
