"""Laws of conversions that say values in signed digits, each layer behind its inputs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from slowly import in_turn
from spikewright._base.equations import CURVES
from spikewright.choosing.silent_steps import MOST_APART, DigitComparison
from spikewright.errors import (
    BuildError,
    ConversionError,
    ConversionWarning,
    NetworkError,
    SimulationError,
)
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import Activation, Add, Affine, Divide, Input, MaxPool, Multiply
from spikewright.lower.choices import STEP
from spikewright.running.inputs import feeds_of
from spikewright.running.run import run_of
from spikewright.running.runner import RunJob, Runner
from spikewright.running.single_step import rounded
from spikewright.testing.layers import CURVE_PARAMETERS, LayerExample, layer_examples
from twins import rounded_values, units_of

STEPS = 4
GRAPHS = {
    "mlp": models.mlp(seed=3),
    "residual": models.residual(seed=4, pool=True),
    "two heads": models.two_headed(3),
    "attention": models.attention(),
}


def converted(graph: Graph, silent: Any = "auto", **given: Any) -> tuple[sw.Conversion, NDArray]:
    """A conversion of signed digits, and the samples that it has seen."""
    x = models.inputs(graph, batch=30, seed=6)
    coding = sw.SignedDigits(given.pop("steps", STEPS), silent)
    return sw.convert(graph, spiking=True, coding=coding, calibration=x, **given), x


def sent(run: Any) -> dict[str, NDArray]:
    """What each neuron said in all, and the number of its spikes."""
    return {n: np.stack([p.net, p.totals]) for n, p in run.populations.items()}


def around(example: LayerExample) -> Graph:
    """A graph in which a layer reads digits, of no zeros where it has no value there."""
    rng, nodes, read = np.random.default_rng(5), [], []
    layer = example.layer
    everywhere = not isinstance(layer, Divide)
    if isinstance(layer, Activation) and layer.elementwise:
        everywhere = CURVES[layer.function].domain == "all"
    before = Activation("relu" if everywhere else "sigmoid")
    for number, shape in enumerate(example.shapes):
        nodes += [
            GraphNode(f"x{number}", Input(shape)),
            GraphNode(f"sent{number}", before, (f"x{number}",)),
        ]
        read.append(f"sent{number}")
    nodes.append(GraphNode("layer", example.layer, tuple(read)))
    shape = Graph((*nodes,), {"output": "layer"}).shapes["layer"]
    nodes.append(GraphNode("relu", Activation("relu"), ("layer",)))
    if len(shape) == 1:
        weights = rng.normal(size=(3, *shape))
        nodes.append(GraphNode("fc", Affine(weights, rng.normal(size=3)), ("relu",)))
    return Graph((*nodes,), {"output": nodes[-1].name})


def samples(graph: Graph) -> dict[str, NDArray]:
    """Values of all inputs."""
    rng = np.random.default_rng(2)
    return {name: rng.normal(size=(6, *graph.shapes[name])) for name in graph.inputs}


EXAMPLES = [e for e in layer_examples() if e.layer.kind != "Constant"] + [
    LayerExample(name, Activation(name, CURVE_PARAMETERS.get(name, {})), ((5,),))
    for name, curve in CURVES.items()
    if curve.domain == "above zero"
]


@pytest.mark.parametrize(("example", "precision"), in_turn(EXAMPLES, sw.engines.PRECISIONS))
def test_with_all_input_known_every_layer_is_its_rounded_twin(
    example: LayerExample, precision: Any
) -> None:
    """With `silent_steps=steps` every neuron says its twin's value, to the unit, on every engine.

    So does the network that computes the twin in one step. For every layer but those that round by
    themselves, and maxima over neurons of several units, which are refused by name.
    """
    graph = around(example)
    x, coding = samples(graph), sw.SignedDigits(STEPS, STEPS)
    try:
        conversion = sw.convert(graph, spiking=True, coding=coding, calibration=x)
    except ConversionError as error:
        refused = "are no digits" in str(error) or "differ in their thresholds" in str(error)
        assert refused and not example.layer.linear, error
        return
    twin, units = rounded_values(conversion, x), units_of(conversion)
    runs = {
        engine: conversion.run(x, engine=engine, precision=precision, progress=False)
        for engine in sw.engines.available()
    }
    at_once, given = rounded(conversion.lowered, STEPS), conversion.as_inputs(x)
    assert (at_once is None) == (not units)  # nothing says anything, for instance of whole numbers
    if at_once is not None:
        runs["one step"] = run_of(Runner(at_once), given, 1, STEP * STEPS, 0, precision=precision)
    for engine, run in runs.items():
        for name, population in run.populations.items():
            wanted = np.rint(twin[name] / units[name])
            np.testing.assert_array_equal(population.net, wanted, f"{name} on {engine}")
        output = twin[conversion.canonical.outputs["output"]]
        np.testing.assert_allclose(run.predict(), output, rtol=1e-6, atol=1e-5)


FUNCTIONS = [
    e
    for e in EXAMPLES
    if not e.layer.linear and e.layer.kind not in ("Input", "MaxPool", "GlobalMaxPool")
    if getattr(e.layer, "function", "") != "rounded_relu"
]
"""Layers whose values are no sums, and which digits pass through at any units."""


@pytest.mark.parametrize(("example", "precision"), in_turn(FUNCTIONS, sw.engines.PRECISIONS))
def test_what_is_said_too_soon_is_the_same_on_every_engine(
    example: LayerExample, precision: Any
) -> None:
    """With one silent step, of every layer whose values are no sums: what is late, and how late."""
    graph = around(example)
    x, coding = samples(graph), sw.SignedDigits(STEPS, 1)
    conversion = sw.convert(graph, spiking=True, coding=coding, calibration=x)
    first, *others = (
        sent(conversion.run(x, engine=engine, precision=precision, progress=False))
        for engine in sw.engines.available()
    )
    for other in others:
        for name, found in other.items():
            np.testing.assert_array_equal(found, first[name], name)


@pytest.mark.parametrize("silent", [1, 2, "auto"])
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_every_engine_sends_the_same(graph: Graph, silent: Any) -> None:
    """Spikes of every neuron on three engines, alone or in a batch, in both precisions."""
    conversion, x = converted(graph, silent)
    for precision in sw.engines.PRECISIONS:
        runs = [
            conversion.run(x, engine=name, precision=precision, progress=False)
            for name in sw.engines.available()
        ]
        alone = conversion.run(x[3:4], precision=precision, progress=False)
        wanted = sent(runs[0])
        for run in runs[1:]:
            for name, found in sent(run).items():
                np.testing.assert_array_equal(found, wanted[name])
        for name, found in sent(alone).items():
            np.testing.assert_array_equal(found[:, 0], wanted[name][:, 3])


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_auto_is_about_as_close_as_the_twin(graph: Graph) -> None:
    """Outputs are at most 1.1 times as far from the source's as the twin's, with whole digits."""
    conversion, x = converted(graph)
    compared = DigitComparison(conversion, conversion.as_inputs(x))
    assert compared.distance()[0] <= MOST_APART * compared.twin
    exact = evaluate_all(conversion.canonical, conversion.as_inputs(x))
    twin = rounded_values(conversion, x)
    lost = [np.ravel(twin[n] - exact[n]) for n in conversion.canonical.outputs.values()]
    assert compared.twin == pytest.approx(np.sqrt(np.square(np.concatenate(lost)).mean()))
    chosen = conversion.coding
    assert isinstance(chosen, sw.SignedDigits) and chosen.silent_steps != "auto"
    again = sw.convert(graph, **conversion.resolved)
    for name, found in sent(again.run(x, progress=False)).items():
        np.testing.assert_array_equal(found, sent(conversion.run(x, progress=False))[name])


@pytest.mark.parametrize("silent", [1, 2])
def test_layers_start_behind_their_inputs(silent: int) -> None:
    """By the silent steps, all inputs at once; one that reads held input begins at once."""
    conversion, x = converted(GRAPHS["residual"], silent)
    starts = {n: e.neuron_type.start for n, e in conversion.populations().items()}
    assert starts == {"relu1": 0, "relu2": silent}
    run = conversion.run(x, record=["relu1", "relu2"], progress=False)
    assert (run.steps, run.network_steps) == (STEPS, STEPS + silent)
    for name, counts in run.spike_counts().items():
        spikes = run.spikes_over_time(name)
        assert spikes.shape[1] == STEPS and np.abs(spikes).max() == 1
        np.testing.assert_array_equal(np.abs(spikes).reshape(len(x), -1).sum(axis=1), counts)
    delays = {c.delay for c in conversion.network.all_connections}
    assert delays == {0.0}  # of a sum of one start; of two, the earlier one waits


def test_early_inputs_of_a_sum_wait() -> None:
    """The first digits of all inputs of a layer arrive in the same step."""
    rng = np.random.default_rng(0)

    def dense() -> Affine:
        return Affine(rng.normal(size=(6, 6)) / 3, rng.normal(size=6) / 4)

    graph = Graph(
        (
            GraphNode("x", Input((6,))),
            GraphNode("a", Activation("relu"), ("x",)),
            GraphNode("w", dense(), ("a",)),
            GraphNode("b", Activation("relu"), ("w",)),
            GraphNode("v", dense(), ("b",)),
            GraphNode("sum", Add(), ("v", "a")),
            GraphNode("c", Activation("relu"), ("sum",)),
        ),
        {"output": "c"},
    )
    conversion, x = converted(graph, 2)
    starts = {n: e.neuron_type.start for n, e in conversion.populations().items()}
    assert starts == {"a": 0, "b": 2, "c": 4}
    assert sorted(c.delay for c in conversion.network.all_connections) == [0, 0, 0, 0.002]
    assert conversion.run(x, progress=False).network_steps == STEPS + 4


def test_readouts_are_of_the_output_s_own_steps() -> None:
    """The last of the answers at every step is the complete value; before it, what is known."""
    conversion, x = converted(GRAPHS["mlp"], 1)
    run = conversion.run(x, progress=False)
    at_every = run.predict_at_every_step("mean")
    assert isinstance(at_every, np.ndarray) and at_every.shape[1] == STEPS
    np.testing.assert_allclose(at_every[:, -1], run.predict(), atol=1e-6)
    errors = np.abs(at_every - run.predict()[:, None]).mean(axis=(0, 2))
    assert errors[0] > errors[1] > errors[2] > errors[3]


@pytest.mark.parametrize("steps", [7, 8, 12, 16])
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_many_digits_are_those_of_the_twin(graph: Graph, steps: int) -> None:
    """From 8 on a spike is worth more than a byte holds: it is weighed once all the same.

    The torch engine computes in float32, which tells no more than seven digits apart everywhere.
    """
    exact = [engine for engine in sw.engines.available() if engine != "torch"]
    for silent in (1, steps):
        conversion, x = converted(graph, silent, steps=steps)
        runs = [
            conversion.run(x, engine=engine, precision="float64", progress=False)
            for engine in exact
        ]
        for run in runs[1:]:
            for name, found in sent(run).items():
                np.testing.assert_array_equal(found, sent(runs[0])[name], name)
    twin, units = rounded_values(conversion, x), units_of(conversion)
    for name, population in runs[0].populations.items():
        apart = np.abs(population.net - np.rint(twin[name] / units[name]))
        assert apart.max() <= 1 and apart.mean() < 0.01, name  # of 16 digits floats round some


def test_one_digit_is_a_network_of_zeros_and_ones() -> None:
    """Rounded to 0 and one unit, each layer in one step; two-signed ones to -1, 0 and 1."""
    graph = GRAPHS["mlp"]
    conversion, x = converted(graph, 1, steps=1)
    run = conversion.run(x, progress=False)
    twin = rounded_values(conversion, x)
    for name, population in run.populations.items():
        assert set(np.unique(population.net)) <= {0, 1}
        np.testing.assert_allclose(population.means(1, 0.001), twin[name], atol=1e-6)
    leaky = Graph(
        (
            GraphNode("x", Input((6,))),
            GraphNode("act", Activation("leaky_relu", {"negative_slope": 0.5}), ("x",)),
        ),
        {"output": "act"},
    )
    conversion, x = converted(leaky, 1, steps=1)
    assert set(np.unique(conversion.run(x, progress=False).populations["act"].net)) == {-1, 0, 1}


def test_files_and_copies_hold_it(tmp_path: Path) -> None:
    """Loaded conversions, copies and `replace` send the same spikes in the same steps."""
    conversion, x = converted(GRAPHS["residual"], {"relu2": 2, "default": 1})
    conversion.save(tmp_path / "made.sw")
    wanted = sent(conversion.run(x, progress=False))
    others = [sw.load(tmp_path / "made.sw"), copy.deepcopy(conversion), conversion.replace()]
    for other in others:
        assert other.coding == sw.SignedDigits(STEPS, {"relu1": 1, "relu2": 2}) or other.coding
        run = other.run(x, progress=False)
        assert run.network_steps == STEPS + 2
        for name, found in sent(run).items():
            np.testing.assert_array_equal(found, wanted[name])


@pytest.mark.parametrize("silent", [1, 2])
def test_another_code_chooses_its_scales_anew(tmp_path: Path, silent: int) -> None:
    """Also of a loaded network, whose scales are numbers; other silent steps leave them."""
    graph = GRAPHS["mlp"]
    x = models.inputs(graph, batch=30, seed=6)
    wanted, _ = converted(graph, silent)
    rates = sw.convert(graph, spiking=True, scale_firing_rates=3.0)
    for number, made in enumerate([rates, converted(graph, 1, steps=2)[0]]):
        made.save(tmp_path / f"{number}.sw")
        loaded = sw.load(tmp_path / f"{number}.sw")
        found = loaded.replace(coding=sw.SignedDigits(STEPS, silent), calibration=x)
        np.testing.assert_array_equal(
            found.run(x, progress=False).output, wanted.run(x, progress=False).output
        )
        given = loaded.replace(coding=sw.SignedDigits(STEPS, 1), scale_firing_rates=3.0)
        assert given.resolved["scale_firing_rates"] == 3.0
    waits = wanted.replace(**wanted.resolved).replace(coding=sw.SignedDigits(STEPS, 4))
    for name, scales in wanted.resolved["scale_firing_rates"].items():
        np.testing.assert_array_equal(waits.resolved["scale_firing_rates"][name], scales)
    assert waits.replace(coding=sw.RateCode()).resolved["scale_firing_rates"] == 1.0


def test_the_trace_says_what_digits_are() -> None:
    """How far they reach, of each layer; no layer is in doubt, and few spikes are no warning."""
    leaky = Activation("leaky_relu", {"negative_slope": 0.5})
    graph = Graph((GraphNode("x", Input((6,))), GraphNode("act", leaky, ("x",))), {"output": "act"})
    for one in (graph, GRAPHS["mlp"]):
        conversion, x = converted(one, 1)
        conversion.run(x, progress=False)
        text = str(conversion.trace)
        assert "signed digits of 4 steps: whole units up to 15" in text
        assert "do not compute" not in text and "warning" not in text


def test_other_numbers_of_steps_are_refused() -> None:
    """Steps are left out, or those of the digits; and dt is that of the delays."""
    conversion, x = converted(GRAPHS["mlp"], 1)
    conversion.run(x, STEPS, progress=False)
    for measure in (conversion.run, conversion.evaluate):
        with pytest.raises(SimulationError, match="digits in 4 steps each, got steps=8"):
            measure(x, steps=8, progress=False)
    with pytest.raises(BuildError, match=r"is for steps of 0\.001 s"):
        conversion.run(x, dt=0.002, progress=False)


def test_inputs_that_change_are_refused() -> None:
    """All of an input comes at once: spikes of values, and values of every step, have no place."""
    conversion, x = converted(GRAPHS["mlp"], 1)
    steps, poisson = np.repeat(x[:, None], STEPS, axis=1), sw.encoders.Poisson(rate=100.0)
    with pytest.raises(SimulationError, match=r"takes what is held.*encoder=Frames\(\)"):
        conversion.run(steps, progress=False)
    with pytest.raises(SimulationError, match=r"Poisson.* takes what is held.*Frames\(\)"):
        conversion.run(np.abs(x), encoder=poisson, progress=False)
    for given in ({"x": steps}, {"x": np.abs(x), "encoder": poisson}):
        with pytest.raises(SimulationError, match="takes what is held"):
            conversion.evaluate(**given, progress=False)


def test_frames_are_samples_that_follow_each_other() -> None:
    """Each is answered as it is alone, the prediction is their mean, and spikes are those of all.

    Between them nothing stays: their order changes nothing.
    """
    conversion, x = converted(GRAPHS["two heads"], 2)
    frames = x.reshape(6, 5, *x.shape[1:])
    given: dict[str, Any] = {"record": list(conversion.populations()), "progress": False}
    alone = conversion.run(x, **given)
    run = conversion.run(frames, encoder=sw.encoders.Frames(), **given)
    times = conversion.lowered.times
    assert times is not None
    lasts = 4 * times.pace + alone.network_steps
    assert (run.steps, run.network_steps) == (5 * STEPS, lasts)
    for name, value in alone.predict().items():
        of_frames = value.reshape(6, 5, *value.shape[1:])
        np.testing.assert_allclose(run.predict_frames()[name], of_frames, atol=1e-6)
        np.testing.assert_allclose(run.predict()[name], of_frames.mean(axis=1), atol=1e-6)
        known = run.predict_at_every_step()[name][:, STEPS - 1 :: STEPS]
        numbers = np.arange(1, 6).reshape(-1, *(1,) * (value.ndim - 1))
        np.testing.assert_allclose(known, of_frames.cumsum(axis=1) / numbers, atol=1e-6)
    for name, spikes in alone.spike_counts().items():
        np.testing.assert_array_equal(run.spike_counts()[name], spikes.reshape(6, 5).sum(axis=1))
        np.testing.assert_array_equal(
            run.spikes_over_time(name).reshape(alone.spikes_over_time(name).shape),
            alone.spikes_over_time(name),
        )
        sums = alone.populations[name].net.reshape(6, 5, *alone.populations[name].net.shape[1:])
        np.testing.assert_array_equal(run.populations[name].net, sums.sum(axis=1))
    few = conversion.run(frames, encoder=sw.encoders.Frames(), batch_size=4, **given)
    for name, value in run.raw.items():
        np.testing.assert_array_equal(few.raw[name], value)
    for name, population in run.populations.items():
        np.testing.assert_array_equal(few.populations[name].totals, population.totals)
    assert alone.frames == 1
    np.testing.assert_array_equal(
        *(next(iter(v.values())).ravel() for v in (alone.predict_frames(), alone.predict()))
    )


def test_events_make_frames_of_the_time_of_a_sample() -> None:
    """Those of the time from one sample to the next are a frame; the sum of all is the mean."""
    conversion, _ = converted(GRAPHS["mlp"], 1)
    ((name, node),) = conversion.inputs.items()
    last, frame = node.shape_out[0] - 1, (STEPS + 1) * STEP
    events = np.array([[0.1, 0, 1.0], [0.9, last, -2.0], [2.5, 0, 3.0]]) * [frame, 1, 1]
    run = conversion.run({name: [events]}, encoder=sw.encoders.Events(1.0), progress=False)
    frames = np.zeros((1, 3, *node.shape_out))
    frames[0, 0, [0, last]], frames[0, 2, 0] = (1.0, -2.0), 3.0
    wanted = conversion.run(3 * frames, encoder=sw.encoders.Frames(), progress=False)
    np.testing.assert_array_equal(run.output, wanted.output)
    rates = sw.convert(GRAPHS["mlp"], spiking=True).run(frames[:, 0], 8, progress=False)
    with pytest.raises(SimulationError, match="answered by themselves where layers say signed"):
        rates.predict_frames()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"synapse": 0.005}, "synapse"),
        ({"initial_voltage": "zero"}, "initial_voltage"),
        ({"bias_correction": sw.StepCorrection(4)}, "bias_correction"),
        ({"max_spikes_per_step": 2}, "max_spikes_per_step"),
        ({"weights": sw.Quantised(8)}, "weights.* neurons that compute in whole numbers send no"),
        ({"sequence_step": 5}, "sequence_step"),
        ({"scale_firing_rates": sw.EnergyBudget(4, spikes=20.0)}, "scale_firing_rates.* a budget"),
        ({"scale_firing_rates": {"default": sw.MinimumError(8)}}, "rule is for 8 steps, and digi"),
        ({"spiking": {"relu": sw.IntegrateAndFire()}}, "coding"),
        ({"spiking": False}, "coding"),
        ({"coding": "digits"}, "coding"),
    ],
)
def test_what_has_no_place_is_refused(arguments: dict[str, Any], named: str) -> None:
    """Arguments that signed digits choose, or have no meaning for, are named."""
    graph = GRAPHS["mlp"]
    x = models.inputs(graph, batch=8)
    given = {"spiking": True, "coding": sw.SignedDigits(4, 1), "calibration": x, **arguments}
    with pytest.raises(ConversionError, match=named):
        sw.convert(graph, **given)


def test_bits_of_a_chip_are_refused() -> None:
    """Also of a chip whose programs could say digits: its whole numbers are not simulated."""
    conversion, _ = converted(GRAPHS["mlp"], 1)
    with pytest.raises(ConversionError, match="compute in whole numbers send no digits yet"):
        conversion.for_chip("loihi2")


def test_layers_without_digits_are_refused_together() -> None:
    """One error names every layer that rounds to levels of its own."""
    rounding = Activation("rounded_relu", {"threshold": 1.0, "levels": 4.0})
    graph = Graph(
        (
            GraphNode("x", Input((6,))),
            GraphNode("a", rounding, ("x",)),
            GraphNode("b", Activation("tanh"), ("x",)),
            GraphNode("c", Multiply(), ("a", "b")),
            GraphNode("d", rounding, ("c",)),
        ),
        {"output": "d"},
    )
    with pytest.raises(ConversionError) as caught:
        converted(graph, 1)
    assert [refused.layer for refused in caught.value.refusals] == ["a", "d"]
    with pytest.raises(ConversionError, match="silent_steps"):
        sw.SignedDigits(4, 5)
    with pytest.raises(ConversionError, match="steps"):
        sw.SignedDigits(17)


def test_without_samples_auto_is_refused() -> None:
    """The search for silent steps runs the network on data; numbers need none."""
    graph = GRAPHS["mlp"]
    scale = dict.fromkeys(sw.convert(graph).populations(), 100.0)
    given = {"spiking": True, "scale_firing_rates": scale}
    with pytest.raises(ConversionError, match="silent_steps"):
        sw.convert(graph, coding=sw.SignedDigits(4), **given)
    with pytest.raises(ConversionError, match="the code SignedDigits needs data, and none"):
        sw.convert(graph, spiking=True, coding=sw.SignedDigits(4, 1))
    assert sw.convert(graph, coding=sw.SignedDigits(4, 1), **given).coding.steps == 4


def test_a_network_without_neurons_waits_for_nothing() -> None:
    """Nothing says digits: "auto" has nothing to find, and the network is its source."""
    rng = np.random.default_rng(0)
    fc = GraphNode("fc", Affine(rng.normal(size=(3, 6)), rng.normal(size=3)), ("x",))
    graph = Graph((GraphNode("x", Input((6,))), fc), {"output": "fc"})
    with pytest.warns(ConversionWarning, match="no activations: nothing spikes"):
        conversion, x = converted(graph)
    found = conversion.run(x, progress=False).predict()
    np.testing.assert_allclose(found, evaluate_all(graph, {"x": x})["fc"], rtol=1e-5, atol=1e-5)


def test_a_maximum_of_neurons_of_different_thresholds_is_refused() -> None:
    """Max pooling passes digits on where a window has one threshold."""
    graph = Graph(
        (
            GraphNode("x", Input((2, 4, 4))),
            GraphNode("a", Activation("relu"), ("x",)),
            GraphNode("pool", MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), ("a",)),
            GraphNode("b", Activation("relu"), ("pool",)),
        ),
        {"output": "b"},
    )
    scale = {"a": np.linspace(50, 100, 32).reshape(2, 4, 4), "b": 100.0}
    with pytest.raises(ConversionError, match="threshold"):
        sw.convert(graph, spiking=True, coding=sw.SignedDigits(4, 1), scale_firing_rates=scale)


def test_a_rate_code_names_what_is_done_without_it() -> None:
    """`RateCode()` changes nothing; with steps its scale is that of the least error for them."""
    graph = GRAPHS["mlp"]
    x = models.inputs(graph, batch=30, seed=6)
    plain, named = (sw.convert(graph, spiking=True, **c) for c in ({}, {"coding": sw.RateCode()}))
    np.testing.assert_array_equal(
        plain.run(x, 8, progress=False).predict(), named.run(x, 8, progress=False).predict()
    )
    coded = sw.convert(graph, spiking=True, coding=sw.RateCode(8), calibration=x)
    ruled = sw.convert(
        graph, spiking=True, scale_firing_rates=sw.MinimumError(8, spikes_per_step=1), calibration=x
    )
    np.testing.assert_array_equal(
        coded.run(x, progress=False).predict(), ruled.run(x, 8, progress=False).predict()
    )


def test_a_network_of_the_wrong_steps_is_named() -> None:
    """Layers of several numbers of digits have no common steps."""
    conversion, x = converted(GRAPHS["mlp"], 1)
    first = next(iter(conversion.populations().values()))
    first.neuron_type = sw.BipolarIntegrateAndFire.digits(3)
    with pytest.raises(NetworkError, match="different numbers of steps"):
        conversion.run(x, progress=False)


def test_streams_are_single_samples() -> None:
    """A frame is a sample: its values are those of a run, and it takes the time to the next one."""
    conversion, x = converted(GRAPHS["residual"], 2)
    wanted = conversion.run(x, record=["relu2"], progress=False)
    stream = conversion.stream(record=["relu2"])
    for number, sample in enumerate(x[:4]):
        found = stream.step(sample)
        np.testing.assert_allclose(found, wanted.predict()[number], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(stream.predict(), found, rtol=1e-6, atol=1e-6)
        sent_by_it = wanted.recorded["relu2"][number].mean(axis=0)
        np.testing.assert_allclose(stream.recorded["relu2"], sent_by_it, rtol=1e-6)
        assert stream.n_steps == (number + 1) * (STEPS + 2)


@pytest.mark.parametrize("engine", sw.engines.available())
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_layers_side_by_side_send_what_the_network_does(graph: Graph, engine: str) -> None:
    """In their own steps, looking ahead, layers send the spikes of the network in its steps.

    A run may halt in between there: what is known by then of each layer is what it has sent.
    """
    conversion, x = converted(graph, 2)
    runner = Runner(conversion.lowered)
    names = tuple(conversion.populations())
    fed = feeds_of(conversion.as_inputs(x), conversion.inputs, None, STEPS, 0.001, 0)
    found = []
    for own_steps in (True, False):
        program = runner.program(0.001, 0, "float64", names, own_steps=own_steps)
        assert (program.whole_steps == STEPS) is own_steps
        job = RunJob(program, runner.engine(engine, program), fed.values, fed.batch, STEPS)
        at = () if own_steps else (1, 2)
        (part,) = runner.parts(job, fed.batch, lambda step, totals, fed: totals, at)
        found.append(part)
    for ours, theirs in zip(*(part.recorded for part in found), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    for name, total in found[0].counted[STEPS].items():
        np.testing.assert_array_equal(total.sent, found[1].counted[STEPS][name].sent)
        before = [found[1].counted[step][name].sent.sum() for step in (1, 2, STEPS)]
        assert before == sorted(before)
    for name, raw in found[0].raw.items():
        np.testing.assert_allclose(raw, found[1].raw[name], rtol=1e-9, atol=1e-9)
