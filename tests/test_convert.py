"""The whole line on small graphs: rate networks are exact, spiking ones converge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
import spikewright as sw
from spikewright import demo
from spikewright.conversion import Trace
from spikewright.conversion.stages import canonicalise
from spikewright.errors import (
    ConversionError,
    DamagedFileError,
    NetworkError,
    ReadError,
    SimulationError,
    VerificationError,
)
from spikewright.graph import Graph, GraphNode, evaluate, evaluate_all
from spikewright.graph import save as save_graph
from spikewright.graph.layers import Activation, Affine, Input, MaxPool

SMOOTH = ("sigmoid", "tanh", "softplus", "relu6")


def error_of(graph: Graph, run: sw.results.Run, x: np.ndarray) -> float:
    """Relative error of the mean output against the interpreter, largest over values."""
    (truth,) = evaluate(graph, {graph.inputs[0]: x}).values()
    return float(np.abs(run.predict() - truth).max() / np.abs(truth).max())


@pytest.mark.parametrize("graph", [models.mlp(), models.residual(), models.residual(pool=True)])
def test_a_rate_network_computes_what_the_source_does(graph):
    """Every step of a rate network gives the source's output."""
    x = models.inputs(graph)
    run = sw.convert(graph).run(x, steps=3)
    truth = evaluate(graph, {"x": x})["output"]
    assert run.output.shape == (3, 3, *truth.shape[1:])
    for t in range(3):
        np.testing.assert_allclose(run.output[:, t], truth, rtol=0, atol=2e-6 * abs(truth).max())


@pytest.mark.parametrize("activation", [*SMOOTH, "relu"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 10.0])
def test_a_scale_never_changes_a_rate_network(activation, scale):
    """Scaling acts on gain and spike height together, so rates times height stay."""
    graph = models.mlp(activation=activation)
    x = models.inputs(graph)
    run = sw.convert(graph, scale_firing_rates=scale).run(x, steps=1)
    assert error_of(graph, run, x) < 1e-5


def convergence_slope(graph: Graph, steps: list[int], **options: object) -> tuple[float, list]:
    """Log-log slope of the mean error over samples and outputs against the number of steps."""
    x = models.inputs(graph, batch=16)
    truth = evaluate(graph, {"x": x})["output"]
    conversion = sw.convert(graph, spiking=True, **options)
    errors = [
        float(np.abs(conversion.run(x, steps=n, dt=1.0).predict() - truth).mean()) for n in steps
    ]
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0]), errors


@pytest.mark.parametrize(
    "graph", [models.mlp(), models.residual(), models.residual(seed=3, pool=True)]
)
def test_the_error_falls_as_one_over_steps(graph):
    """Signed integration and accumulated maxima converge at slope -1."""
    slope, errors = convergence_slope(graph, [64, 128, 256, 512])
    assert -1.2 < slope < -0.85, errors


@pytest.mark.parametrize("activation", SMOOTH)
def test_curved_activations_converge_behind_spikes(activation):
    """Running means give f of the mean current, at slope -1, in a chain of two layers."""
    slope, errors = convergence_slope(models.mlp(activation=activation), [64, 128, 256, 512])
    assert -1.25 < slope < -0.75, errors


def test_leaky_relu_converges_behind_spikes():
    """A leaky ReLU sends negative spikes and converges as well."""
    graph = models.mlp()
    leaky = Activation("leaky_relu", {"negative_slope": 0.2})
    nodes = tuple(
        GraphNode(n.name, leaky, n.inputs, n.source, n.source_kind)
        if isinstance(n.layer, Activation) else n
        for n in graph
    )  # fmt: skip
    slope, errors = convergence_slope(Graph(nodes, graph.outputs), [64, 128, 256, 512])
    assert -1.25 < slope < -0.75, errors


def test_steps_and_scale_are_one_knob():
    """Doubling the scale and halving dt's share of it give the same spikes: only s dt counts."""
    graph = models.mlp()
    x = models.inputs(graph)
    first = sw.convert(graph, spiking=True, scale_firing_rates=4.0).run(x, steps=50, dt=0.25)
    second = sw.convert(graph, spiking=True, scale_firing_rates=1.0).run(x, steps=50, dt=1.0)
    for name, counts in first.spike_counts().items():
        np.testing.assert_array_equal(counts, second.spike_counts()[name])
    np.testing.assert_array_equal(first.output, second.output)


@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(1, 9),
    order=st.randoms(use_true_random=False),
    size=st.integers(1, 5),
)
def test_results_do_not_depend_on_how_the_batch_was_cut(batch, order, size):
    """Batch size, order and the number run side by side leave every spike where it was."""
    graph = models.residual(pool=True)
    x = models.inputs(graph, batch=batch)
    conversion = sw.convert(graph, spiking=True, synapse=0.01, initial_voltage="uniform")
    whole = conversion.run(x, steps=9, engine="reference")
    chosen = list(range(batch))
    order.shuffle(chosen)
    cut = conversion.run(x[chosen], steps=9, engine="reference", batch_size=size)
    np.testing.assert_array_equal(whole.output[chosen], cut.output)
    for name, counts in whole.spike_counts().items():
        np.testing.assert_array_equal(counts[chosen], cut.spike_counts()[name])


def test_softmax_is_applied_to_what_is_read_out():
    """softmax of the mean, never the mean of softmaxes."""
    graph = models.mlp(output="softmax")
    x = models.inputs(graph)
    conversion = sw.convert(graph, spiking=True)
    run = conversion.run(x, steps=20, dt=1.0)
    raw = run.raw["output"].astype(np.float64)
    softmax = Activation("softmax").evaluate
    np.testing.assert_allclose(run.predict("mean"), softmax(raw.mean(axis=1)), rtol=1e-6)
    np.testing.assert_allclose(run.predict("last"), softmax(raw[:, -1]), rtol=1e-6)
    np.testing.assert_allclose(run.output[:, 4], softmax(raw[:, 4]), rtol=1e-6)
    assert not np.allclose(run.predict("mean"), run.output.mean(axis=1), atol=1e-4)
    assert conversion.layers["out"] is conversion.layers["fc3"]


def test_relu_on_the_output_spikes():
    """An output activation that has neurons keeps them."""
    graph = models.mlp(output="relu")
    x = models.inputs(graph)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=50.0)
    run = conversion.run(x, steps=60, dt=1.0)
    assert isinstance(conversion.outputs["output"], sw.Ensemble)
    assert error_of(graph, run, x) < 0.01


def test_source_names_lead_to_what_they_became():
    """A linear layer that only an activation reads is a part of that population, bias included."""
    graph = models.residual()
    conversion = sw.convert(graph)
    layers = conversion.layers
    assert layers["conv1"] is layers["relu1"]
    assert layers["conv2"] is layers["bn2"] is layers["add"] is layers["relu2"]
    assert isinstance(layers["cat"], sw.Node)
    assert isinstance(layers["fc"], sw.Node)
    assert set(layers) == {node.name for node in graph}
    bias = conversion.layers["relu1"].bias
    np.testing.assert_allclose(np.broadcast_to(bias, (6, 8, 8))[:, 0, 0], graph["conv1"].layer.bias)


def test_a_converted_network_can_be_probed_changed_and_embedded():
    """`conversion.network` is an ordinary network: embedded, it gives the same spikes."""
    graph = models.mlp()
    x = models.inputs(graph)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=3.0)
    alone = conversion.run(x, steps=40, engine="reference")
    with sw.Network() as outer:
        outer.add(conversion.network)
        spikes = sw.Probe(conversion.layers["act2"].neurons, "spike_count")
        output = sw.Probe(conversion.outputs["output"])
    with sw.Simulator(outer, batch_size=3, engine="reference") as sim:
        sim.run_steps(40, {conversion.inputs["x"]: x})
    counts = sim.data[spikes].sum(axis=(1, 2))
    np.testing.assert_array_equal(counts, alone.spike_counts()["act2"])
    np.testing.assert_array_equal(sim.data[output], alone.output)


def test_changing_the_network_changes_the_next_run():
    """A compiled program is kept only as long as the network is what it was compiled from."""
    graph = models.mlp()
    x = models.inputs(graph)
    conversion = sw.convert(graph, spiking=True)
    before = conversion.run(x, steps=50, dt=0.1).spike_counts()["act1"].sum()
    conversion.layers["act1"].rate_scale = 10.0
    after = conversion.run(x, steps=50, dt=0.1).spike_counts()["act1"].sum()
    assert after > 5 * before > 0


def test_per_layer_choices_reach_their_layers():
    """Dicts set each layer; a linear layer's name stands for the population that it is part of."""
    conversion = sw.convert(
        models.mlp(),
        spiking=True,
        scale_firing_rates={"fc1": 2.0, "act2": 7.0},
        synapse={"act1": None, "act2": 0.01},
        initial_voltage={"act1": "zero", "act2": np.linspace(0, 1, 8)},
    )
    first, second = conversion.layers["act1"], conversion.layers["act2"]
    assert (first.rate_scale, second.rate_scale) == (2.0, 7.0)
    assert first.initial_voltage == "zero"
    np.testing.assert_array_equal(second.initial_voltage, np.linspace(0, 1, 8))
    synapses = {c.pre_obj: c.synapse for c in conversion.network.connections}
    assert synapses[first.neurons] is None
    assert synapses[second.neurons] == sw.Lowpass(0.01)


@pytest.mark.parametrize("argument", ["scale_firing_rates", "synapse", "initial_voltage"])
def test_a_dict_that_invents_layers_is_refused(argument):
    """Every unknown key is named, with the layers that there are."""
    value = {"scale_firing_rates": 2.0, "synapse": 0.01, "initial_voltage": "zero"}[argument]
    with pytest.raises(ConversionError) as caught:
        sw.convert(models.mlp(), spiking=True, **{argument: {"act1": value, "conv9": value}})
    text = str(caught.value)
    assert "'conv9'" in text
    assert "act1, act2" in text
    assert argument in text


def test_two_names_of_one_population_must_agree():
    """The same layer under two names with different values is an error."""
    with pytest.raises(ConversionError, match="one population"):
        sw.convert(models.mlp(), scale_firing_rates={"fc1": 1, "act1": 2, "act2": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale_firing_rates": 0.0}, "scale_firing_rates must be above 0"),
        ({"scale_firing_rates": -2}, "scale_firing_rates must be above 0"),
        ({"scale_firing_rates": "fast"}, "not a number"),
        ({"synapse": "slow"}, "synapse"),
        ({"synapse": -1.0}, "0 s or more"),
        ({"initial_voltage": "full"}, "initial_voltage must be one of"),
        ({"initial_voltage": np.zeros(5)}, "broadcast"),
        ({"max_pool": "median"}, "max_pool"),
        ({"calibration": np.zeros((2, 6))}, "calibration"),
        ({"bias_correction": "light"}, "bias_correction"),
        ({"spiking": {"tanh": sw.IntegrateAndFire()}}, "no such activation"),
        ({"spiking": {"relu": "LIF"}}, "no neuron type"),
        ({"spiking": {"relu": sw.LIF()}, "scale_firing_rates": 10}, "curved"),
        ({"max_spikes_per_step": 1, "spiking": False}, "max_spikes_per_step"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    """Each argument of convert that cannot be honoured gives an error that says which and why."""
    with pytest.raises(ConversionError, match=message):
        sw.convert(models.mlp(), **{"spiking": True, **options})


def test_what_is_no_model_is_refused():
    """Anything that no front end reads is named, with what would do."""
    with pytest.raises(ReadError, match="dict"):
        sw.convert({})
    made = sw.convert(models.mlp(seed=3))
    for call in (sw.convert, lambda model: sw.tune(model, np.zeros((4, 6)), [0, 1, 0, 1])):
        with pytest.raises(ReadError, match=r"a Conversion was made of .*, or its graph as it was"):
            call(made)
    assert sw.convert(made.graph).graph is made.graph
    with pytest.raises(ReadError, match=r"\.onnx"):
        sw.convert("model.txt")


def test_spiking_types_are_chosen_by_activation_class_or_instance():
    """A dict's keys may be the activation's name, its rate type, or an instance of it."""
    for key in ("relu", sw.RectifiedLinear, sw.RectifiedLinear()):
        conversion = sw.convert(models.mlp(), spiking={key: sw.SpikingRectifiedLinear})
        assert conversion.layers["act1"].neuron_type == sw.SpikingRectifiedLinear()
    other = sw.convert(models.mlp(activation="tanh"), spiking=True)
    assert other.layers["act1"].neuron_type == sw.RunningMeanSpiking(sw.Tanh(tau_ref=1.0))


def test_a_cap_limits_spikes_in_every_step():
    """max_spikes_per_step caps counts and is listed as an approximation."""
    conversion = sw.convert(
        models.mlp(), spiking=True, scale_firing_rates=50.0, max_spikes_per_step=1
    )
    run = conversion.run(models.inputs(models.mlp()), steps=30, dt=1.0)
    assert run.populations["act1"].totals.max() == 30
    assert run.saturated_fractions()["act1"] > 0.1
    assert any(e.status == "approximated" and e.layer == "act1" for e in conversion.trace)


def test_the_trace_says_what_is_exact_convergent_and_approximated():
    """Rate networks are exact throughout; spiking forms say what they guarantee."""
    graph = models.residual(pool=True)
    assert {e.status for e in sw.convert(graph).trace} == {"exact"}
    spiking = sw.convert(graph, spiking=True).trace
    status = {e.layer: e.status for e in spiking if e.stage == "lower"}
    convergent = {name for name, found in status.items() if found == "convergent"}
    assert convergent == {"relu1", "relu2", "pool"}
    assert {status[name] for name in status.keys() - convergent} == {"exact"}
    assert status.keys() >= {"conv1", "add", "cat"}
    assert spiking.guarantee == "convergent"
    averaged = sw.convert(graph, spiking=True, max_pool="average").trace
    assert [e.layer for e in averaged.warnings] == ["pool"]
    assert "IntegrateAndFire" in str(spiking)
    rectified = sw.convert(graph, spiking={"relu": sw.SpikingRectifiedLinear()}).trace
    assert {e.layer for e in rectified.warnings} == {"relu1", "relu2"}


def test_the_trace_says_that_spikes_are_taken_back():
    """Bipolar neurons converge without a cap, clip with one, and the trace says what they do."""
    for cap, heights, status, text in (
        (None, (), "convergent", "mean tends to the source's; sends negative spikes"),
        (
            1,
            (),
            "approximated",
            "at most 1 spike a step, larger values clip; sends negative spikes",
        ),
        (None, (2, 1), "convergent", "steps are worth 2, 1, and all comes at once"),
        (1, (2, 2), "approximated", "steps are worth 2, 2, and all comes at once"),
        (1, (2, 1), "approximated", "at once; one is taken as sent in the first step"),
        (3, (2, 1), "approximated", "at once; 3 are taken as sent in the first step"),
    ):
        kind = sw.BipolarIntegrateAndFire(1.0, cap, heights)
        conversion = sw.convert(models.mlp(), spiking={"relu": kind})
        notes = [e for e in conversion.trace if "Bipolar" in e.text]
        assert len(notes) == 2
        assert all(note.status == status and note.text.endswith(text) for note in notes)


@pytest.mark.parametrize("cap", [None, 2])
def test_bipolar_neurons_send_the_rounded_value(cap):
    """With a cap too, where values are within its reach: the error falls as one over the steps."""
    graph = models.mlp()
    x = models.inputs(graph)
    values = evaluate_all(graph, {"x": x})
    top = max(np.abs(v).max() for v in values.values())
    kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=cap)
    conversion = sw.convert(graph, spiking={"relu": kind}, scale_firing_rates=1.0 / top)
    errors = [error_of(graph, conversion.run(x, steps=t, dt=1.0), x) for t in (50, 400)]
    assert errors[1] < 0.3 * errors[0] and errors[1] < 0.05


def test_the_trace_warns_of_less_than_one_spike():
    """A run in which a layer's neurons spike less than once on average leaves a warning, once."""
    graph = models.mlp()
    conversion = sw.convert(graph, spiking=True)
    for _ in range(2):
        conversion.run(models.inputs(graph), steps=10, dt=0.001)
    warned = [e.layer for e in conversion.trace.warnings]
    assert warned == ["act1", "act2"]
    fresh = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    fresh.run(models.inputs(graph), steps=10, dt=1.0)
    assert not fresh.trace.warnings


def test_average_policy_averages():
    """max_pool="average" gives the network whose pools average."""
    graph = models.residual(pool=True)
    x = models.inputs(graph)
    averaged = canonicalise(graph, Trace(), "average")
    truth = evaluate(averaged, {"x": x})["output"]
    run = sw.convert(graph, max_pool="average").run(x, steps=1)
    np.testing.assert_allclose(run.predict(), truth, atol=1e-6)
    assert abs(truth - evaluate(graph, {"x": x})["output"]).max() > 1e-3


def test_an_accumulated_maximum_has_the_maximum_of_the_means():
    """Max pooling behind spikes: its time mean is the maximum of its inputs' means, exactly."""
    pool = MaxPool((2,), (2,), ((0, 0),), (1,))
    nodes = (
        GraphNode("x", Input((1, 8))),
        GraphNode("relu", Activation("relu"), ("x",)),
        GraphNode("pool", pool, ("relu",)),
    )
    graph = Graph(nodes, {"y": "pool"})
    conversion = sw.convert(graph, spiking=True)
    with conversion.network:
        spikes = sw.Probe(conversion.layers["relu"].neurons)
        pooled = sw.Probe(conversion.layers["pool"])
    x = np.random.default_rng(0).uniform(0, 1, (5, 33, 1, 8))
    with sw.Simulator(conversion.network, dt=1.0, batch_size=5, engine="reference") as sim:
        sim.run_steps(33, {conversion.inputs["x"]: x})
    means = sim.data[spikes].mean(axis=1)
    np.testing.assert_allclose(
        sim.data[pooled].mean(axis=1), pool.evaluate(means), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    ("x", "steps", "message"),
    [
        (np.zeros((2, 5)), 3, "must be"),
        (np.zeros((2, 4, 6)), 3, "4 steps"),
        (np.full((2, 6), np.nan), 3, "NaN"),
        (np.zeros((2, 6)), None, "steps"),
        (np.zeros((2, 6)), 0, "steps"),
        ({"y": np.zeros((2, 6))}, 3, "inputs are"),
        ("hello", 3, "not an array"),
    ],
)
def test_bad_input_is_refused(x, steps, message):
    """Shapes, names, steps and values that do not fit give one clear error."""
    with pytest.raises(SimulationError, match=message):
        sw.convert(models.mlp()).run(x, steps=steps)


def test_sequences_are_taken_step_by_step():
    """(batch, steps, *shape) input is what each step sees; steps need not be given."""
    graph = models.mlp()
    x = np.random.default_rng(0).normal(size=(2, 7, 6))
    run = sw.convert(graph).run(x)
    assert run.steps == 7
    for t in range(7):
        truth = evaluate(graph, {"x": x[:, t]})["output"]
        np.testing.assert_allclose(run.output[:, t], truth, atol=1e-5)


def test_verify_sees_a_network_that_differs():
    """The rate network itself is compared, not only the graph that was read."""
    graph = models.mlp()
    conversion = sw.convert(graph)
    nodes = list(conversion.canonical)
    index = next(i for i, n in enumerate(nodes) if n.name == "fc2")
    broken = Affine(nodes[index].layer.weight[::-1].copy(), nodes[index].layer.bias)
    nodes[index] = GraphNode("fc2", broken, ("act1",), "fc2")
    conversion.canonical = Graph(tuple(nodes), conversion.canonical.outputs)
    with pytest.raises(VerificationError, match="rate network"):
        conversion.verify()


def test_several_inputs_and_outputs_are_dicts():
    """With more than one input or output, arrays are given and returned by name."""
    rng = np.random.default_rng(0)
    nodes = (
        GraphNode("a", Input((3,))),
        GraphNode("b", Input((4,))),
        GraphNode("fa", Affine(rng.normal(size=(2, 3))), ("a",)),
        GraphNode("fb", Affine(rng.normal(size=(2, 4))), ("b",)),
        GraphNode("r", Activation("relu"), ("fa",)),
    )
    graph = Graph(nodes, {"first": "r", "second": "fb"})
    x = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=(2, 4))}
    run = sw.convert(graph).run(x, steps=2)
    truth = evaluate(graph, x)
    assert set(run.output) == set(run.predict()) == {"first", "second"}
    for name, value in truth.items():
        np.testing.assert_allclose(run.predict()[name], value, atol=1e-6)
    with pytest.raises(SimulationError, match="different batch sizes"):
        sw.convert(graph).run({**x, "b": x["b"][:1]}, steps=2)


def test_a_saved_conversion_runs_the_same(tmp_path):
    """save and load keep the network, its scale as a field of its own, names, readout and trace."""
    graph = models.mlp(output="softmax")
    x = models.inputs(graph)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=7.0, synapse=0.01)
    path = tmp_path / "digits.spikewright"
    conversion.save(path)
    loaded = sw.load(path)
    assert str(loaded.trace) == str(conversion.trace)
    np.testing.assert_array_equal(
        loaded.run(x, steps=30).output, conversion.run(x, steps=30).output
    )
    assert list(loaded.layers) == list(conversion.layers)
    assert loaded.layers["act1"].rate_scale == 7.0
    assert loaded.layers["act1"].gain == 1.0
    assert loaded.layers["fc1"] is loaded.layers["act1"]
    assert loaded.verify()
    assert [p.name for p in tmp_path.iterdir()] == ["digits.spikewright"]


def test_a_damaged_conversion_is_refused(tmp_path):
    """Truncated files, other files and files of another kind are named and refused."""
    path = tmp_path / "network"
    sw.convert(models.mlp()).save(path)
    whole = path.read_bytes()
    for content in (whole[:-20], whole[: len(whole) // 2], b"hello", b""):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match="network"):
            sw.load(path)
    save_graph(models.mlp(), path, overwrite=True)
    with pytest.raises(DamagedFileError, match="graph"):
        sw.load(path)
    with pytest.raises(FileNotFoundError):
        sw.load(tmp_path / "nothing")


def test_saving_what_no_file_can_hold_leaves_nothing(tmp_path):
    """A Python function in the network is refused before anything is written."""
    conversion = sw.convert(models.mlp())
    with conversion.network:
        sw.Node(lambda t: t, label="clock")
    with pytest.raises(NetworkError, match="clock"):
        conversion.save(tmp_path / "network")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"dt": 0.0}, {"dt": -1}, {"dt": np.nan}, {"batch_size": 0}])
def test_impossible_steps_and_batches_are_refused(options):
    """A run needs a step above zero and at least one sample side by side."""
    with pytest.raises(SimulationError, match=next(iter(options))):
        sw.convert(models.mlp()).run(np.zeros((2, 6)), steps=3, **options)


def test_every_reason_is_listed_at_once():
    """Lowering refuses all layers that it cannot lower together, not the first."""
    nodes = (
        GraphNode("x", Input((3, 4, 5))),
        GraphNode("first", Activation("gelu"), ("x",)),
        GraphNode("second", Activation("relu"), ("first",)),
        GraphNode("third", Activation("tanh"), ("second",)),
        GraphNode("end", Affine(np.ones((2, 5))), ("third",)),
    )
    chosen = dict.fromkeys(("gelu", "tanh"), sw.RegularSpiking(sw.Tanh()))
    with pytest.raises(ConversionError) as caught:
        sw.convert(Graph(nodes, {"y": "end"}), spiking=chosen, max_spikes_per_step=1)
    assert [r.layer for r in caught.value.refusals] == ["first", "third"]
    assert "2 x Activation (first, third): RegularSpiking has no cap" in str(caught.value)


def test_a_cap_is_obeyed_by_types_chosen_by_hand() -> None:
    """Types keep what they are and get the cap; a smaller one of their own stays."""
    chosen = {"relu": sw.BipolarIntegrateAndFire(max_spikes_per_step=2)}
    for cap, found in ((None, 2), (1, 1), (4, 2)):
        conversion = sw.convert(models.mlp(), spiking=chosen, max_spikes_per_step=cap)
        kind = conversion.layers["act1"].neuron_type
        assert kind == sw.BipolarIntegrateAndFire(max_spikes_per_step=found)


def test_again_changes_these_arguments_and_keeps_the_others() -> None:
    """A conversion converts its model once more, with the arguments given changed."""
    first = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=5, synapse=0.01)

    second = first.replace(scale_firing_rates=7)

    assert {float(e.rate_scale) for e in second.populations().values()} == {7.0}
    assert second.arguments == {**first.arguments, "scale_firing_rates": 7}
    assert {c.synapse for c in second.network.all_connections} == {
        c.synapse for c in first.network.all_connections
    }
    assert {float(e.rate_scale) for e in first.populations().values()} == {5.0}


def test_again_refuses_unknown_arguments() -> None:
    """What convert does not know is refused by name."""
    with pytest.raises(ConversionError, match=r"scale.*no such argument"):
        sw.convert(demo.MODEL, spiking=True).replace(scale=3)
