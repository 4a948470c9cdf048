"""The guarantee of every pair of an activation and a neuron type, as derived and as measured."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import of_each_type, slow_but
from spikewright._base.equations import CURVES
from spikewright.errors import ConversionWarning
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import Activation, Affine, Input, Layer, MaxPool, ParametricReLU
from spikewright.graph.ranges import ANY, ValueRange, ranges
from spikewright.lower.choices import unrounded
from spikewright.lower.guarantees import find_disagreement
from spikewright.lower.node_functions import ROUND
from spikewright.network.neurons import NEURON_TYPES, NUMPY_NEURONS, NeuronType
from spikewright.testing.layers import CURVE_PARAMETERS, LayerExample, layer_examples
from spikewright.testing.modelling import neuron_type_examples

ACTIVATIONS = {
    name: Activation(name, CURVE_PARAMETERS.get(name, {}))
    for name in CURVES
    if name not in ("linear", ROUND)  # which are no neurons, but what reads them
}
COUNTED = unrounded(ACTIVATIONS["rounded_relu"])
SLOPES = ParametricReLU(np.array([0.25, -0.5, 1.0]))
TYPES = {e.id: e.neuron_type for e in of_each_type(neuron_type_examples())}
POINTS = np.array([-30.0, -7.0, -2.0, -0.8, -0.1, 0.0, 0.3, 1.0, 1.6, 2.5, 7.0, 30.0])
DT, STEPS, SCALE = 0.05, 400, 64.0


def _graph(layer: Layer, size: int = len(POINTS)) -> Graph:
    """A layer between weights that change nothing."""
    return _side_by_side({"layer": layer}, size)


def _side_by_side(layers: Mapping[str, Layer], size: int = len(POINTS)) -> Graph:
    """Layers by name, each between weights that change nothing."""
    nodes = [GraphNode("x", Input((size,)))]
    for name, layer in layers.items():
        nodes += [
            GraphNode(f"{name}.into", Affine(np.eye(size)), ("x",)),
            GraphNode(name, layer, (f"{name}.into",), name, "Layer"),
            GraphNode(f"{name}.end", Affine(np.eye(size)), (name,)),
        ]
    return Graph(tuple(nodes), {f"{name}.y": f"{name}.end" for name in layers})


def _convert(graph: Graph, neuron_type: NeuronType) -> sw.Conversion:
    layers = [node.layer for node in graph if isinstance(node.layer, Activation | ParametricReLU)]
    keys = [layer.function if isinstance(layer, Activation) else layer.kind for layer in layers]
    fixed = neuron_type.scaling in ("refused", "skewed") or not neuron_type.spiking
    scale = 1.0 if fixed else SCALE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        spiking = dict.fromkeys(keys, neuron_type)
        return sw.convert(graph, spiking=spiking, scale_firing_rates=scale)


def _measured(conversion: sw.Conversion, current: NDArray) -> dict[str, NDArray]:
    """The means of what the layers send for steady currents, in the source's unit."""
    run = conversion.run(current[None], STEPS, DT, engine="reference", progress=False)
    return {name: mean[0] for name, mean in run.layer_means().items()}


@pytest.mark.parametrize("name", slow_but({*TYPES} - {"izhikevich"}, TYPES))
def test_what_is_promised_of_every_pair_is_measured(name: str) -> None:
    """Exact and convergent layers have the source's mean; of others the trace says why not.

    Every example of every neuron type with every activation.
    """
    neuron_type = TYPES[name]
    layers = {f"of {function}": layer for function, layer in ACTIVATIONS.items()}
    conversion = _convert(_side_by_side(layers), neuron_type)
    notes = {note.layer: note for note in conversion.lowered.guarantees}
    kept = {name: layer for name, layer in layers.items() if notes[name].status != "approximated"}
    means = _measured(_convert(_side_by_side(kept), neuron_type), POINTS) if kept else {}
    for function, layer in ACTIVATIONS.items():
        note = notes[f"of {function}"]
        if note.status == "approximated":
            _is_apart(_counted(layer, neuron_type), neuron_type, note.doubt, note.why)
            continue
        with np.errstate(all="ignore"):
            source = layer.evaluate(POINTS)
        near = np.isfinite(source) & (np.abs(source) < 1e3)
        apart = np.abs(means[f"of {function}"] - source)[near]
        unit = 0.0 if note.status == "exact" else neuron_type.amplitude / (SCALE * DT * STEPS)
        limit = 1.01 * unit + 1e-6 * (1 + np.abs(source[near]))
        assert CURVES[function].jumps or np.all(apart <= limit), (function, apart.max())


def _counted(layer: Layer, neuron_type: NeuronType) -> Layer:
    """What neurons are compared with: counting spikes rounds, so they need not round themselves."""
    plain = unrounded(layer)
    rounds = plain is not layer and neuron_type.spiking
    return plain if rounds and find_disagreement(layer, neuron_type, ANY) is not None else layer


def _is_apart(layer: Layer, neuron_type: NeuronType, doubt: str, why: str) -> None:
    """What is approximated has a reason; where that is a difference it is shown and real."""
    found = find_disagreement(layer, neuron_type, ANY)
    if found is None:
        changes = not neuron_type.spiking and bool(neuron_type.initial_values())
        capped = neuron_type.spiking and neuron_type.most_spikes is not None
        strays = neuron_type.spiking and not neuron_type.rate_consistent
        strays = strays or neuron_type.integer_charge
        counted = layer == COUNTED
        assert why and not doubt and (changes or capped or strays or counted)
        return
    assert str(found) in doubt and str(found) in why
    current = np.array([found.current])
    answer = neuron_type.amplitude * np.asarray(neuron_type.rates(NUMPY_NEURONS, current))
    value = layer.evaluate(current)
    np.testing.assert_allclose([answer[0], value[0]], [found.answer, found.value])
    assert not np.isclose(answer[0], value[0], rtol=1e-7, atol=1e-7)


def test_every_type_and_activation_of_the_registries_is_there() -> None:
    """A neuron type or activation that is registered is tested the day it is."""
    assert {type(t) for t in TYPES.values()} == set(NEURON_TYPES.values())
    assert set(ACTIVATIONS) == set(CURVES) - {"linear", ROUND}


@pytest.mark.parametrize(
    ("function", "parameters", "answer"),
    [
        ("relu6", {}, "10 for 6 at a current of 10"),
        ("clip", {"minimum": 0.0, "maximum": 2.0}, "5 for 2 at a current of 5"),
        ("leaky_relu", {"negative_slope": 0.5}, "0 for -0.5 at a current of -1"),
        ("gelu", {}, "1 for 0.841 at a current of 1"),
    ],
)
def test_neurons_that_do_not_compute_the_activation_are_told(
    function: str, parameters: dict[str, float], answer: str
) -> None:
    """The guarantee is "approximated", and a warning shows where they part, with the layers."""
    chosen = {function: sw.IntegrateAndFire()}
    graph = _graph(Activation(function, parameters))
    with pytest.warns(ConversionWarning) as caught:
        conversion = sw.convert(graph, spiking=chosen, scale_firing_rates=100.0)

    (text,) = {str(w.message) for w in caught}
    assert f"IntegrateAndFire neurons do not compute {function}: " in text
    assert f"{answer} (layer)" in text
    assert conversion.trace.guarantee == "approximated"
    assert any(answer in e.text for e in conversion.trace.warnings if e.layer == "layer")


def test_rate_neurons_of_another_response_are_told_too() -> None:
    """A rate network is exact of what its neurons compute, and of nothing else."""
    with pytest.warns(ConversionWarning, match="Tanh neurons do not compute relu"):
        wrong = sw.convert(_graph(ACTIVATIONS["relu"]), spiking={"relu": sw.Tanh(1.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        right = sw.convert(_graph(ACTIVATIONS["tanh"]), spiking={"tanh": sw.Tanh(1.0)})

    assert (wrong.trace.guarantee, right.trace.guarantee) == ("approximated", "exact")


def test_an_amplitude_or_a_skewed_scale_is_a_difference() -> None:
    """What leaves the neurons counts: spikes of twice the height are not the activation."""
    relu = ACTIVATIONS["relu"]

    assert find_disagreement(relu, sw.IntegrateAndFire(), ANY) is None
    assert (
        str(find_disagreement(relu, sw.IntegrateAndFire(2.0), ANY)) == "2 for 1 at a current of 1"
    )
    skewed = sw.LIF(skewed_scaling=True)
    once, twice = (find_disagreement(relu, skewed, ANY, scale) for scale in (1.0, 2.0))
    assert once is not None and twice is not None
    assert once.answer != twice.answer


@pytest.mark.parametrize("slope", [0.25, [0.25, -0.5, 1.0], [0.25, -0.5, 0.9]])
def test_slopes_of_their_own_are_compared_neuron_by_neuron(slope: float | list[float]) -> None:
    """Neurons with one slope for all, or another somewhere, are not the layer."""
    same = np.array_equal(np.broadcast_to(slope, 3), SLOPES.slope)
    neuron_type = sw.RunningMeanSpiking(sw.ParametricReLU(np.array(slope)))
    conversion = _convert(_graph(SLOPES, 3), neuron_type)

    assert conversion.trace.guarantee == ("convergent" if same else "approximated")
    if same:
        found = _measured(conversion, np.full(3, -2.0))["layer"]
        np.testing.assert_allclose(found, [-0.5, 1, -2], atol=1e-3)


# What can be reached


def test_values_that_cannot_occur_make_no_difference() -> None:
    """Behind a ReLU a leaky one is a ReLU, and the values of a softmax are never below zero."""
    nodes = (
        GraphNode("x", Input((4, 4, 4))),
        GraphNode("act", Activation("relu"), ("x",)),
        GraphNode("pool", MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), ("act",)),
        GraphNode("leaky", Activation("leaky_relu", {"negative_slope": 0.25}), ("pool",)),
        GraphNode("soft", Activation("softmax", {"axis": 0}), ("leaky",)),
        GraphNode("end", Affine(np.eye(2)), ("soft",)),
    )
    chosen = dict.fromkeys(("relu", "leaky_relu", "softmax"), sw.IntegrateAndFire())
    graph = Graph(nodes, {"y": "end"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        conversion = sw.convert(graph, spiking=chosen, scale_firing_rates=500.0)
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 4))
    means = conversion.run(x, 2000, progress=False).layer_means()
    values = evaluate_all(graph, {"x": x})

    assert conversion.trace.guarantee == "convergent"
    assert set(means) == {"act", "leaky", "soft"}
    for name, mean in means.items():
        np.testing.assert_allclose(mean, values[name], atol=0.01)


@pytest.mark.parametrize(
    "example", [e for e in layer_examples() if e.layer.arity != 0], ids=lambda e: e.id
)
def test_every_value_lies_in_its_range(example: LayerExample) -> None:
    """Of every layer, behind values of either sign and behind ones that are never below zero."""
    rng = np.random.default_rng(1)
    for function in ("linear", "abs"):
        nodes: list[GraphNode] = []
        for i, shape in enumerate(example.shapes):
            nodes += [
                GraphNode(f"x{i}", Input(shape)),
                GraphNode(f"f{i}", Activation(function), (f"x{i}",)),
            ]
        reads = tuple(f"f{i}" for i in range(len(example.shapes)))
        graph = Graph((*nodes, GraphNode("layer", example.layer, reads)), {"y": "layer"})
        x = {f"x{i}": 3 * rng.normal(size=(4, *s)) for i, s in enumerate(example.shapes)}
        values = evaluate_all(graph, x)["layer"]
        found = ranges(graph)["layer"]
        size = 1e-3 * max(1.0, float(np.abs(values).max()))

        assert found.low - size <= values.min()
        assert values.max() <= found.high + size


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_range_of_every_function_is_that_of_its_values(name: str) -> None:
    """Finite bounds are neared; what grows without end has none."""
    graph = Graph(
        (GraphNode("x", Input((1,))), GraphNode("f", ACTIVATIONS[name], ("x",))), {"y": "f"}
    )
    found = ranges(graph)["f"]
    x = np.concatenate([np.linspace(-50, 50, 20001), [-1e5, 1e5]])
    with np.errstate(all="ignore"):
        values = ACTIVATIONS[name].evaluate(x)
    values = values[np.isfinite(values)]

    assert found.low - 1e-3 <= values.min() and values.max() <= found.high + 1e-3
    assert not np.isfinite(found.low) or values.min() <= found.low + 0.1
    assert not np.isfinite(found.high) or values.max() >= found.high - 0.1


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("relu", (0, np.inf)), ("relu6", (0, 6)), ("tanhshrink", ANY), ("square", (0, np.inf))],
)
def test_known_ranges(name: str, wanted: tuple[float, float]) -> None:
    """Rectifiers and squares have no values below zero, others have them."""
    graph = Graph(
        (GraphNode("x", Input((1,))), GraphNode("f", ACTIVATIONS[name], ("x",))), {"y": "f"}
    )

    assert ranges(graph)["f"] == ValueRange(*wanted)
