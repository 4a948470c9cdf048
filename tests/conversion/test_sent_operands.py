"""Operands of products send digits: where neurons are put for it, and where not."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from spikewright.diagnosis.mean_propagation import MeanPropagation
from spikewright.errors import ConversionError
from spikewright.graph import SENT, Graph, GraphNode, evaluate, evaluate_all
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    Convolution,
    Divide,
    GlobalAveragePool,
    Input,
    Layer,
    LayerNormalization,
    MatMul,
    MaxPool,
    Multiply,
    Permute,
    ScaleShift,
)
from spikewright.lower.operands import unsent_operands
from spikewright.lower.populations import Roles
from spikewright.passes import SendValues
from spikewright.testing.layers import LayerExample, layer_examples
from spikewright.training.quantized_layers import trained_graph
from twins import rounded_values, units_of

STEPS = 4
RNG = np.random.default_rng(0)


def made(shape: tuple[int, ...], *steps: tuple[str, Layer, str], output: str = "y") -> Graph:
    """An input `x`, and nodes that read those named, separated by spaces."""
    nodes = [GraphNode(name, layer, tuple(read.split())) for name, layer, read in steps]
    return Graph((GraphNode("x", Input(shape)), *nodes), {"out": output})


def dense(out: int, inner: int) -> Affine:
    """Random weights and biases."""
    return Affine(RNG.normal(size=(out, inner)) / np.sqrt(inner), RNG.normal(size=out) / 4)


def attention(mask: NDArray | None = None) -> Graph:
    """A block of a transformer: norm, attention with a residual sum, norm, MLP and a head."""
    scaled = ScaleShift(np.array(0.5), mask)
    return made(
        (5, 6),
        ("e", dense(6, 6), "x"),
        ("n1", LayerNormalization((-1,), 1e-5), "e"),
        ("q", dense(4, 6), "n1"),
        ("k", dense(4, 6), "n1"),
        ("kt", Permute((1, 0)), "k"),
        ("v", dense(4, 6), "n1"),
        ("scores", MatMul(), "q kt"),
        ("scaled", scaled, "scores"),
        ("shares", Activation("softmax"), "scaled"),
        ("attended", MatMul(), "shares v"),
        ("o", dense(6, 4), "attended"),
        ("r1", Add(), "e o"),
        ("n2", LayerNormalization((-1,), 1e-5), "r1"),
        ("up", dense(8, 6), "n2"),
        ("h", Activation("gelu"), "up"),
        ("down", dense(6, 8), "h"),
        ("r2", Add(), "r1 down"),
        ("m", GlobalAveragePool((0,)), "r2"),
        ("y", dense(3, 6), "m"),
    )


def converted(graph: Graph, silent: int = STEPS) -> tuple[sw.Conversion, dict[str, NDArray]]:
    """A conversion of signed digits, and the samples that it has seen."""
    rng = np.random.default_rng(2)
    x = {name: rng.normal(size=(12, *graph.shapes[name])) for name in graph.inputs}
    coding = sw.SignedDigits(STEPS, silent)
    return sw.convert(graph, spiking=True, coding=coding, calibration=x), x


def test_attention_sends_all_that_it_multiplies() -> None:
    """Queries, keys, values, its output, every norm's and the MLP's; a softmax's shares do not."""
    conversion, x = converted(attention())
    assert list(conversion.populations()) == [
        "n1", "q/spikes", "k/spikes", "v/spikes", "attended", "n2", "h",
    ]  # fmt: skip
    twin, units = rounded_values(conversion, x), units_of(conversion)
    for name, population in conversion.run(x, progress=False).populations.items():
        np.testing.assert_array_equal(population.net, np.rint(twin[name] / units[name]))


def test_firing_rates_are_as_before() -> None:
    """No neurons are added for a code of rates."""
    plain = sw.convert(attention(), spiking=True)
    assert list(plain.populations()) == ["n1", "attended", "n2", "h"]


EXAMPLES = [e for e in layer_examples() if e.layer.arity != 0]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)
def test_products_of_every_layer_read_what_neurons_send(example: LayerExample) -> None:
    """Behind weighted sums, which no neuron sends: with all input known the network is its twin.

    So it is for every layer of the registry; of a quotient the divisor stays a number. No more
    neurons are asked for, values are the source's, and whatever is computed again of the graph
    that was read finds the same names.
    """
    nodes, read = [], []
    for number, shape in enumerate(example.shapes):
        names = [f"{name}{number}" for name in ("x", "a", "b", "plain", "sum")]
        weights = Affine(np.eye(shape[-1]) + 0.1)
        layers = Input(shape), Activation("sigmoid"), Activation("softplus"), Add(), weights
        inputs = (), names[:1], names[:1], names[1:3], names[3:4]
        nodes += [
            GraphNode(n, la, tuple(i)) for n, la, i in zip(names, layers, inputs, strict=True)
        ]
        read.append(names[-1])
    nodes += [
        GraphNode("layer", example.layer, tuple(read)),
        GraphNode("relu", Activation("relu"), ("layer",)),
    ]
    graph = Graph((*nodes,), {"out": "relu"})
    try:
        conversion, x = converted(graph)
    except ConversionError as error:
        assert "are no digits" in str(error), error
        return
    canonical = conversion.canonical
    added = [node.name for node in canonical if node.layer == SENT]
    operands = read if isinstance(example.layer, MatMul | Multiply) and len(read) > 1 else []
    operands = read[:1] if isinstance(example.layer, Divide) else operands
    assert added == [f"{name}/spikes" for name in operands]
    assert all(list(canonical.consumers[name]) == ["layer"] for name in added)
    assert unsent_operands(Roles(canonical)) == ()
    assert list(trained_graph(conversion).outputs.values()) == ["relu"]
    assert set(MeanPropagation.of(conversion, STEPS, 0.001, 0).lossy_layers) >= set(
        conversion.populations()
    )
    expected = evaluate(graph, x)["out"]
    np.testing.assert_allclose(evaluate(canonical, x)["out"], expected, rtol=1e-9, atol=1e-9)
    twin, units = rounded_values(conversion, x), units_of(conversion)
    for name, population in conversion.run(x, progress=False).populations.items():
        np.testing.assert_array_equal(population.net, np.rint(twin[name] / units[name]), name)


def test_one_population_for_what_is_cut_apart() -> None:
    """Queries and keys of one matrix are sent once, before they are moved about and scaled."""
    graph = made(
        (5, 6),
        ("n", Activation("tanh"), "x"),
        ("qk", dense(5, 6), "n"),
        ("scaled", ScaleShift(np.array(0.1), np.array(0.3)), "qk"),
        ("turned", Permute((1, 0)), "qk"),
        ("y", MatMul(), "scaled turned"),
    )
    conversion, _ = converted(graph)
    assert list(conversion.populations()) == ["n", "qk/spikes"]


def test_sums_of_what_neurons_send_are_not_sent_again() -> None:
    """Spikes of both meet the product: another population would only round once more."""
    graph = made((5,), ("a", Activation("tanh"), "x"), ("b", Activation("sigmoid"), "x"),
                 ("sum", Add(), "a b"), ("y", Multiply(), "sum b"))  # fmt: skip
    assert list(converted(graph)[0].populations()) == ["a", "b"]


def test_products_with_what_is_given_are_weights() -> None:
    """One operand of an input, a constant or a mask: no product of two computed values."""
    for kind in (Multiply(), MatMul()):
        graph = made((5, 5), ("n", Activation("tanh"), "x"), ("w", dense(5, 5), "n"),
                     ("y", kind, "x w"))  # fmt: skip
        assert list(converted(graph)[0].populations()) == ["n"]


def test_maxima_of_sums_are_sent_to_weights() -> None:
    """Where no neuron stands between two convolutions, weights would meet analog maxima."""
    kernel = RNG.normal(size=(2, 2, 3, 3)) / 4
    same = Convolution(kernel, None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    graph = made((2, 4, 4), ("r", Activation("relu"), "x"), ("c", same, "r"), ("p", pool, "c"),
                 ("d", same, "p"), ("y", Activation("relu"), "d"))  # fmt: skip
    assert list(converted(graph)[0].populations()) == ["r", "p/spikes", "y"]
    passing = made((2, 4, 4), ("r", Activation("relu"), "x"), ("p", pool, "r"), ("d", same, "p"),
                   ("y", Activation("relu"), "d"))  # fmt: skip
    assert list(converted(passing)[0].populations()) == ["r", "y"]


def test_an_output_stays_the_value_that_is_sent() -> None:
    """A sum that is read out and multiplied: its neurons are the product's."""
    graph = made((4,), ("a", Activation("tanh"), "x"), ("s", dense(4, 4), "a"),
                 ("g", Activation("sigmoid"), "s"), ("y", Multiply(), "s g"))  # fmt: skip
    both = Graph(graph.nodes, {"sum": "s", "out": "y"})
    conversion, x = converted(both)
    found = conversion.run(x, progress=False).predict()
    twin = rounded_values(conversion, x)
    np.testing.assert_allclose(found["sum"], twin["s"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["out"], twin["y"], rtol=1e-6, atol=1e-6)


def test_folded_layers_send_the_same() -> None:
    """The pass on the graph that was read, in which nothing is folded, has the same names."""
    conversion, x = converted(attention())
    send = SendValues.like(conversion.canonical)
    assert send.values == ("q", "k", "v")
    again = trained_graph(conversion)
    values, expected = evaluate_all(again, x), evaluate_all(conversion.canonical, x)
    for name in conversion.populations():
        np.testing.assert_allclose(values[name], expected[name], rtol=1e-9, atol=1e-9)


def test_settings_and_files_know_them(tmp_path: Path) -> None:
    """By the name of the value that they send; a loaded file and `replace` send the same spikes."""
    x = np.random.default_rng(2).normal(size=(12, 5, 6))
    coding = sw.SignedDigits(STEPS, {"q": 2, "default": 1})
    conversion = sw.convert(attention(), spiking=True, coding=coding, calibration=x)
    times = conversion.lowered.times
    assert times is not None
    for name, ensemble in conversion.populations().items():
        assert times.silent_steps(ensemble) == (0 if name == "n1" else 1 + (name == "q/spikes"))
    conversion.save(tmp_path / "made.sw")
    wanted = conversion.run(x, progress=False).spike_counts()
    for other in (sw.load(tmp_path / "made.sw"), conversion.replace()):
        for name, counts in other.run(x, progress=False).spike_counts().items():
            np.testing.assert_array_equal(counts, wanted[name])


@pytest.mark.parametrize("engine", sw.engines.available())
def test_masks_of_the_smallest_number_stay_numbers(engine: str) -> None:
    """Times the steps they would be minus infinity; a row that sees nothing sees all alike."""
    lowest = np.finfo(np.float32).min
    mask = np.where(np.tri(5, dtype=bool), 0.0, lowest)
    mask[0] = lowest
    conversion, x = converted(attention(mask))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = conversion.run(x, engine=engine, progress=False).predict()
    twin = rounded_values(conversion, x)["y"]
    np.testing.assert_allclose(found, twin, rtol=1e-5, atol=1e-5)


def test_the_trace_of_products_says_what_digits_guarantee() -> None:
    """Functions of digits are those of rounded values in the end, and tend to no source."""
    x = RNG.normal(size=(8, 5, 6))
    coding = sw.SignedDigits(STEPS, 1)
    conversion = sw.convert(attention(), spiking=True, coding=coding, calibration=x)
    entries = {entry.layer: entry for entry in conversion.trace if entry.stage == "lower"}
    assert entries["shares"].status == "approximated"
    assert "of the rounded values once all are known" in entries["shares"].text
    assert "convergent" not in {entry.status for entry in entries.values()}
    assert any("behind it" in entry.text for entry in entries.values())
    assert not any("running" in entry.text for entry in entries.values())
