"""Time steps as ONNX models: onnxruntime sends the spikes of the reference engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1] / "lower"))

from layer_graphs import Case, graph_of, inputs_of, kinds, two_layers

import models
import spikewright as sw
from slowly import in_turn, of_each_type
from spikewright.cli import main
from spikewright.errors import ExchangeError, NetworkError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input, PythonCall
from spikewright.network.neurons import NEURON_TYPES
from spikewright.showing.demo import MODEL
from spikewright.testing.layers import FunctionExample, function_examples
from spikewright.testing.modelling import (
    NeuronExample,
    SynapseExample,
    TransformExample,
    neuron_type_examples,
    sent_of,
    synapse_examples,
    transform_examples,
)

STEPS = 6
WITH = [e for e in neuron_type_examples() if not e.neuron_type.stochastic]
# Functions whose last place two libraries may round differently.
CURVED = 1e-12


class Deployed:
    """A model as its user runs it: a loop over steps, with nothing but onnxruntime."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        told = self.session.get_modelmeta().custom_metadata_map
        self.following = json.loads(told["states"])
        self.shapes = {i.name: i.shape[1:] for i in self.session.get_inputs()}

    def run(self, inputs: dict[str, NDArray], steps: int) -> dict[str, NDArray]:
        """Every output `(batch, steps, *shape)`; inputs are held, or change at every step."""
        batch = len(next(iter(inputs.values())))
        # What states hold before the first step says nothing.
        state = {n: np.full((batch, *self.shapes[n]), np.nan) for n in self.following}
        names = [o.name for o in self.session.get_outputs()]
        found: dict[str, list[NDArray]] = {name: [] for name in names}
        for t in range(steps):
            now = {n: x[:, t] if x.ndim > 1 + len(self.shapes[n]) else x for n, x in inputs.items()}
            values = self.session.run(None, {**now, **state, "step": np.array(t)})
            for name, value in zip(names, values, strict=True):
                found[name].append(value)
            state = {n: found[after][-1] for n, after in self.following.items()}
        return {n: np.stack(v, 1) for n, v in found.items() if not n.startswith("next ")}


def given(steps: tuple[int, ...] = ()) -> NDArray:
    """Random input of four samples."""
    return np.random.default_rng(0).normal(size=(4, *steps, 9)).astype(np.float32)


def assert_same(
    conversion: sw.Conversion, x: Any, path: Path, steps: int = STEPS, dt: float = 0.001,
    precision: Any = "float32",
) -> float:  # fmt: skip
    """The model sends and answers what the reference engine does; returns the number of spikes."""
    sw.onnx.save_step(conversion, path, dt=dt, precision=precision, spikes=True)
    inputs = {n: v.astype(np.float32) for n, v in conversion.as_inputs(x).items()}
    found = Deployed(path).run(inputs, steps)
    names = list(conversion.populations())
    run = conversion.run(
        inputs, steps=steps, dt=dt, engine="reference", precision=precision, record=names,
        progress=False,
    )  # fmt: skip
    total = 0.0
    for name, ensemble in conversion.populations().items():
        if not ensemble.neuron_type.spiking:
            continue
        counts = found[f"spikes {name}"]
        sent = sent_of(ensemble.neuron_type, counts, 1)
        np.testing.assert_array_equal(sent.sum(axis=1), run.populations[name].totals)
        if conversion.arguments["synapse"] is None:
            height = ensemble.neuron_type.amplitude / (ensemble.rate_scale * dt)
            np.testing.assert_array_equal(counts, np.rint(run.recorded[name] / height))
        total += float(np.abs(counts).sum())
    for name in conversion.outputs:
        expected = run.predict("mean", name) if len(conversion.outputs) > 1 else run.predict("mean")
        answers = found[f"mean {name}"][:, -1]
        np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-5)
    return total


@pytest.mark.parametrize("example", of_each_type(WITH), ids=lambda e: e.id)
def test_neurons_of_every_type_send_the_reference_engines_spikes(
    example: NeuronExample, tmp_path: Path
) -> None:
    """Spike for spike, for every type of the registry that draws nothing."""
    kind, dt = example.neuron_type, example.dt
    scale = example.scale if kind.spiking and kind.scaling != "refused" else 1.0
    reach = (60.0 if dt < 0.01 else 16.0) if kind.spiking else 1.0  # exp of more overflows
    conversion = sw.convert(
        two_layers(reach), spiking={"relu": kind}, scale_firing_rates=scale, initial_voltage="zero"
    )
    sent = assert_same(conversion, given(), tmp_path / "step.onnx", 20, dt)
    assert sent > 0 or not kind.spiking


def test_every_type_is_tried_or_draws() -> None:
    """A type that is registered is tested the day it is."""
    known = {type(e.neuron_type) for e in neuron_type_examples()}
    assert known == set(NEURON_TYPES.values())


@pytest.mark.parametrize(
    "example", [e for e in neuron_type_examples() if e not in WITH], ids=lambda e: e.id
)
def test_neurons_that_draw_are_refused_by_name(example: NeuronExample, tmp_path: Path) -> None:
    """Both layers are named, and what to choose instead; no file is left."""
    conversion = sw.convert(two_layers(), spiking={"relu": example.neuron_type})
    with pytest.raises(ExchangeError, match=r"inner.*outer.*draws random numbers"):
        sw.onnx.save_step(conversion, tmp_path / "step.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind", [sw.IntegrateAndFire(), sw.BipolarIntegrateAndFire.in_steps(4)], ids=str
)
def test_biases_of_each_step_are_part_of_the_model(kind: sw.NeuronType, tmp_path: Path) -> None:
    """Those that were measured, in the first steps and none after them; input may come at once."""
    conversion = sw.convert(
        two_layers(), spiking={"relu": kind}, max_spikes_per_step=1, calibration=given(),
        scale_firing_rates=sw.MinimumError(4), bias_correction=sw.StepCorrection(4),
    )  # fmt: skip
    assert assert_same(conversion, given(), tmp_path / "step.onnx", 9) > 0


@pytest.mark.parametrize("example", synapse_examples(), ids=lambda e: e.id)
def test_every_synapse_passes_on_what_the_reference_engine_passes_on(
    example: SynapseExample, tmp_path: Path
) -> None:
    """Spikes and outputs behind each synapse of the registry."""
    conversion = sw.convert(
        two_layers(), spiking=True, scale_firing_rates=2000.0, synapse=example.synapse
    )
    assert assert_same(conversion, given(), tmp_path / "step.onnx", 20) > 0


@pytest.mark.parametrize("case", kinds(), ids=lambda case: case.id)
def test_every_layer_is_that_of_the_reference_engine(case: Case, tmp_path: Path) -> None:
    """Behind spikes, as spikes and between weights: every kind of layer."""
    graph = graph_of(case, behind_spikes=True)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=1000.0)
    assert assert_same(conversion, inputs_of(graph, case.positive), tmp_path / "step.onnx") > 0


@pytest.mark.parametrize(
    ("cap", "kind", "precision"),
    in_turn(
        [None, 1, 3, 200, 200],
        [sw.IntegrateAndFire(), sw.BipolarIntegrateAndFire()],
        ["float32", "float64", "float64"],
    ),
)
def test_sums_are_exact_whatever_the_cap(
    kind: Any, cap: int | None, precision: Any, tmp_path: Path
) -> None:
    """Bytes, offset bytes of either sign, and what no byte holds give the same spikes."""
    conversion = sw.convert(
        two_layers(4.0), spiking={"relu": kind}, scale_firing_rates=30_000.0,
        max_spikes_per_step=cap, initial_voltage="uniform",
    )  # fmt: skip
    path = tmp_path / "step.onnx"
    assert assert_same(conversion, given(), path, 12, precision=precision) > 0
    operators = {node.op_type for node in onnx.load(path).graph.node}
    bytes_hold = cap is not None and cap <= (127 if kind.negative else 255)
    assert ("MatMulInteger" in operators) == bytes_hold


def test_no_processor_saturates_the_sums_of_bytes(tmp_path: Path) -> None:
    """Some add two products of bytes in sixteen bits: weights are narrow enough for any count.

    Large counts times large weights of one sign are the sums that would saturate.
    """
    rng = np.random.default_rng(4)
    positive = rng.uniform(0.5, 1.0, (6, 40))
    graph = Graph(
        (
            GraphNode("x", Input((40,))),
            GraphNode("inner", Activation("relu"), ("x",)),
            GraphNode("last", Affine(positive), ("inner",)),
            GraphNode("outer", Activation("relu"), ("last",)),
        ),
        {"y": "outer"},
    )
    kind, path = sw.IntegrateAndFire(), tmp_path / "step.onnx"
    conversion = sw.convert(
        graph, spiking={"relu": kind}, scale_firing_rates=1000.0, max_spikes_per_step=255
    )
    x = rng.uniform(150.0, 255.0, (4, 40)).astype(np.float32)
    assert assert_same(conversion, x, path, 6) > 4 * 6 * 40 * 150
    constants = [numpy_helper.to_array(c) for c in onnx.load(path).graph.initializer]
    limbs = [c for c in constants if c.dtype == np.int8]
    assert limbs and max(2 * 255 * int(np.abs(c.astype(int)).max()) for c in limbs) < 2**15


def test_numbers_of_spikes_beyond_a_limb_are_summed_exactly(tmp_path: Path) -> None:
    """Without a cap a neuron may send more in a step than one exact limb holds.

    Outputs are then the reference engine's to the last bit, which rounded sums are not.
    """
    rng = np.random.default_rng(2)
    graph = Graph(
        (
            GraphNode("x", Input((9,))),
            GraphNode("first", Affine(rng.normal(size=(2000, 9))), ("x",)),
            GraphNode("inner", Activation("relu"), ("first",)),
            GraphNode("last", Affine(rng.normal(size=(50, 2000))), ("inner",)),
        ),
        {"y": "last"},
    )
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=3e10)
    path = tmp_path / "step.onnx"
    assert assert_same(conversion, given(), path, 3, precision="float64") > 2e11
    run = conversion.run(given(), steps=3, engine="reference", precision="float64", progress=False)
    np.testing.assert_array_equal(Deployed(path).run({"x": given()}, 3)["y"], run.raw["y"])


def test_input_may_change_from_step_to_step(tmp_path: Path) -> None:
    """Each step takes the input of its own."""
    conversion = sw.convert(two_layers(), spiking=True, scale_firing_rates=500.0)
    assert assert_same(conversion, given((STEPS,)), tmp_path / "step.onnx") > 0


def test_samples_do_not_depend_on_each_other(tmp_path: Path) -> None:
    """One at a time and all together: the batch is open, and so is every state's."""
    conversion = sw.convert(two_layers(), spiking=True, scale_firing_rates=500.0, synapse=0.005)
    sw.onnx.save_step(conversion, tmp_path / "step.onnx", spikes=True)
    model, x = Deployed(tmp_path / "step.onnx"), given()
    together = model.run({"x": x}, STEPS)
    for i in range(len(x)):
        alone = model.run({"x": x[i : i + 1]}, STEPS)
        assert all(np.array_equal(alone[n][0], together[n][i]) for n in together)


def _through(network: sw.Network, x: NDArray, path: Path, precise: float = 0.0) -> None:
    """A network made by hand: its probes record what the simulator's do; `x` is each step's."""
    sw.onnx.save_step(network, path, precision="float64")
    (node,) = [n for n in network.all_nodes if n.label == "x"]
    steps = x.shape[1]
    found = Deployed(path).run({"x": x.astype(np.float32)}, steps)
    for i, sample in enumerate(x):
        with sw.Simulator(
            network, engine="reference", precision="float64", progress_bar=False
        ) as simulator:
            simulator.run_steps(steps, {node: sample})
            for probe in network.all_probes:
                np.testing.assert_allclose(
                    found[probe.label][i], simulator.data[probe], rtol=precise, atol=precise
                )


@pytest.mark.parametrize("example", transform_examples(), ids=lambda e: e.id)
def test_every_transform_gives_the_reference_engines_values(
    example: TransformExample, tmp_path: Path
) -> None:
    """Of whole numbers over eight, whose sums are exact, to the last bit."""
    with sw.Network(seed=0) as network:
        node = sw.Node(np.zeros(example.shape), label="x")
        to = sw.Node(size_in=example.transform.output_shape(example.shape))
        sw.Connection(node, to, transform=example.transform, synapse=None)
        sw.Probe(to, label="p")
    x = np.random.default_rng(7).integers(-40, 40, (3, 4, *example.shape)) / 8
    _through(network, x, tmp_path / "step.onnx", 1e-15)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("example", function_examples(), ids=lambda e: e.id)
def test_every_function_of_a_node_gives_the_reference_engines_values(
    example: FunctionExample, accumulate: bool, tmp_path: Path
) -> None:
    """Of present values and of running means."""
    function = example.accumulating() if accumulate else example.function
    with sw.Network(seed=0) as network:
        node = sw.Node(np.zeros(example.shape), label="x")
        to = sw.Node(function, size_in=example.shape)
        sw.Connection(node, to, synapse=None)
        sw.Probe(to, label="p")
    x = example.values(3, 5).astype(np.float32).astype(np.float64)
    _through(network, x, tmp_path / "step.onnx", CURVED)


def test_recurrent_networks_and_delays_send_the_same_spikes(tmp_path: Path) -> None:
    """Spikes that come back, through a filter and after three steps, of LIF neurons."""
    rng = np.random.default_rng(3)
    with sw.Network(seed=0) as network:
        node = sw.Node(np.zeros(4), label="x")
        ensemble = sw.Ensemble(
            20, 4, neuron_type=sw.LIF(), gain=np.full(20, 2.0), bias=rng.random(20), label="e"
        )
        sw.Connection(node, ensemble.neurons, transform=sw.Dense(rng.normal(size=(20, 4))),
                      synapse=None)  # fmt: skip
        back = rng.integers(-9, 10, (20, 20)) / 4096
        sw.Connection(ensemble.neurons, ensemble.neurons, transform=sw.Dense(back), synapse=0.005)
        sw.Connection(ensemble.neurons, ensemble.neurons, transform=sw.Dense(back.T / 2),
                      synapse=None, delay=0.003)  # fmt: skip
        sw.Probe(ensemble.neurons, label="spikes")
        sw.Probe(ensemble.neurons, "voltage", label="voltage")
    x = rng.integers(-8, 30, (2, 60, 4)) / 4.0
    _through(network, x, tmp_path / "step.onnx", 1e-9)
    sw.onnx.save_step(network, tmp_path / "step.onnx")
    sent = Deployed(tmp_path / "step.onnx").run({"x": x.astype(np.float32)}, 60)["spikes"]
    assert (sent > 0).any(axis=(0, 1)).sum() > 5


def test_what_onnx_cannot_say_is_refused_at_once(tmp_path: Path) -> None:
    """Python code, functions of time and learned weights: all in one error, and no file."""
    with sw.Network(seed=0) as network:
        a = sw.Node(lambda t: np.sin(t), label="sine")
        b = sw.Node(lambda t, x: 2 * x, size_in=1, label="twice")
        c = sw.Ensemble(10, 1, label="learns")
        sw.Connection(a, b, synapse=None)
        sw.Connection(b, c)
        d = sw.Node(size_in=1)
        sw.Connection(c, d, learning_rule_type=sw.PES())
        sw.Probe(d)
    with pytest.raises(ExchangeError) as caught:
        sw.onnx.save_step(network, tmp_path / "step.onnx")
    said = str(caught.value)
    assert len(caught.value.refusals) == 3
    for words in ("function of time", "calls Python code", "weights that change"):
        assert words in said
    assert not list(tmp_path.iterdir())


def test_python_code_in_a_model_is_refused_by_name(tmp_path: Path) -> None:
    """Layers that are run as they are have no ONNX form."""
    call = PythonCall(lambda x: x, ((9,),), (9,), "f")
    graph = Graph((GraphNode("x", Input((9,))), GraphNode("mine", call, ("x",))), {"y": "mine"})
    with pytest.raises(ExchangeError, match=r"mine.*calls Python code"):
        sw.onnx.save_step(sw.convert(graph, spiking=True), tmp_path / "step.onnx")


@pytest.mark.parametrize("wrong", [two_layers(), "model.onnx", sw.Network()])
def test_other_models_are_refused(wrong: Any, tmp_path: Path) -> None:
    """A graph, a path, and a network in which nothing is probed."""
    with pytest.raises(NetworkError, match=r"can be written|no probe"):
        sw.onnx.save_step(wrong, tmp_path / "step.onnx")


def test_a_file_that_is_there_stays_where_saving_fails(tmp_path: Path) -> None:
    """What was refused has overwritten nothing."""
    path = tmp_path / "step.onnx"
    sw.onnx.save_step(sw.convert(two_layers(), spiking=True), path)
    before = path.read_bytes()
    with pytest.raises(NetworkError):
        sw.onnx.save_step(None, path)
    assert path.read_bytes() == before


def test_the_command_writes_the_step(tmp_path: Path) -> None:
    """`spikewright convert --step` writes what `save_step` does."""
    path = tmp_path / "step.onnx"
    given = ["--spiking", "--scale", "200", "--step", str(path), "--dt", "0.002"]
    found = CliRunner().invoke(main, ["convert", str(MODEL), *given])
    assert found.exit_code == 0, found.output
    assert f"One time step saved as {path}" in found.output

    conversion = sw.convert(MODEL, spiking=True, scale_firing_rates=200)
    sw.onnx.save_step(conversion, tmp_path / "other.onnx", dt=0.002, spikes=True)
    assert path.read_bytes() == (tmp_path / "other.onnx").read_bytes()


@pytest.mark.parametrize(
    ("graph", "silent"),
    [
        (models.residual(seed=4, pool=True), 1),
        (models.residual(seed=4, pool=True), 2),
        (models.attention(), 2),
    ],
    ids=["residual, 1", "residual, 2", "attention"],
)
def test_a_sample_of_digits_is_said_step_by_step(graph: Graph, silent: int, tmp_path: Path) -> None:
    """Each layer sends the engines' digits in its own steps, and none in others.

    The input is held, and taken in the first step; the mean is that of the output's own steps, and
    complete after as many steps as the metadata say, whatever comes later. With a residual sum and
    max pooling, and with functions of what has come so far.
    """
    x = models.inputs(graph, batch=6, seed=6).astype(np.float32)
    coding = sw.SignedDigits(4, silent)
    conversion = sw.convert(graph, spiking=True, coding=coding, calibration=x)
    sw.onnx.save_step(conversion, tmp_path / "step.onnx", spikes=True)
    deployed = Deployed(tmp_path / "step.onnx")
    told = deployed.session.get_modelmeta().custom_metadata_map
    names = list(conversion.populations())
    run = conversion.run(x, engine="reference", record=names, progress=False)
    (name,) = conversion.inputs
    found = deployed.run({name: x}, run.network_steps + 2)

    first = conversion.outputs["output"]
    times = conversion.lowered.times
    assert times is not None
    late = times.starts[first]
    assert json.loads(told["steps"]) == run.network_steps == 4 + late
    for layer, ensemble in conversion.populations().items():
        start, heights = ensemble.neuron_type.start, ensemble.neuron_type.spike_heights
        worth = np.reshape(heights, (-1, *(1,) * len(ensemble.shape)))
        sent = found[f"spikes {layer}"]
        own = sent[:, start : start + 4]
        np.testing.assert_array_equal(own, run.spikes_over_time(layer) * worth)
        assert own.any() and np.count_nonzero(own) == np.count_nonzero(sent)
    (output,) = conversion.outputs
    at_every = run.predict_at_every_step("mean")
    for step in (-3, -2, -1):
        np.testing.assert_allclose(found[f"mean {output}"][:, step], run.predict(), atol=1e-6)
    np.testing.assert_allclose(found[f"mean {output}"][:, late : 4 + late], at_every, atol=1e-6)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_rows_of_digits_follow_each_other(kind: str, tmp_path: Path) -> None:
    """A row takes the steps in the metadata, and at its end the mean is that of a run's row."""

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(3, 5, batch_first=True)
            self.head = torch.nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> Any:
            return self.head(self.rnn(x)[0])

    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    conversion = sw.convert(
        Model().eval(), example_input=x, spiking=True, coding=sw.SignedDigits(4, 1),
        sequence_step=4, calibration=x,
    )  # fmt: skip
    sw.onnx.save_step(conversion, tmp_path / "step.onnx")
    deployed = Deployed(tmp_path / "step.onnx")
    row = json.loads(deployed.session.get_modelmeta().custom_metadata_map["steps"])
    run = conversion.run(x, engine="reference", progress=False)
    assert row * 5 == run.network_steps
    (name,), (output,) = conversion.inputs, conversion.outputs
    found = deployed.run({name: np.repeat(x, row, axis=1)}, row * 5)
    np.testing.assert_allclose(found[f"mean {output}"][:, row - 1 :: row], run.predict(), atol=1e-6)
