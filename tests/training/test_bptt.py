"""Laws of networks as modules: through time they are the torch engine, spike for spike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import spikewright as sw
from lower.layer_graphs import Case, graph_of, inputs_of, kinds, two_layers
from spikewright.errors import SimulationError, TrainingError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Input, PythonCall
from spikewright.testing.modelling import (
    NeuronExample,
    SynapseExample,
    neuron_type_examples,
    sent_of,
    synapse_examples,
)

STEPS = 6
SPIKING = [e for e in neuron_type_examples() if e.neuron_type.spiking]
_WHOLE = sw.FixedPointIntegrateAndFire  # rounds its charges, which leaves no gradient
WITHOUT = [
    e
    for e in SPIKING
    if e.neuron_type.stochastic or isinstance(e.neuron_type, _WHOLE) or e.neuron_type.spike_heights
]
WITH = [e for e in SPIKING if e not in WITHOUT]


def given(seed: int = 0, steps: tuple[int, ...] = ()) -> NDArray:
    """Random input of four samples."""
    return np.random.default_rng(seed).normal(size=(4, *steps, 9)).astype(np.float32)


def assert_same(
    conversion: sw.Conversion, x: Any, steps: int = STEPS, dt: float = 0.001, **how: Any
) -> float:
    """The module sends and answers what the torch engine does; returns the spikes of all layers."""
    module = conversion.to_torch(steps, dt=dt, precision="float64", **how)
    names = list(conversion.populations())
    run = conversion.run(
        x, steps=steps, dt=dt, engine="torch", precision="float64", record=names, progress=False
    )
    tensors = {n: torch.from_numpy(v) for n, v in conversion.as_inputs(x).items()}
    sent = module.through(tensors, record=names)
    for name, ensemble in conversion.populations().items():
        kind = ensemble.neuron_type
        counts = sent.counts[name].detach().numpy()
        if kind.spiking and conversion.arguments["synapse"] is None:
            height = kind.amplitude / (ensemble.rate_scale * dt)
            np.testing.assert_array_equal(counts, np.rint(run.recorded[name] / height))
        if kind.spiking:
            spikes = sent_of(kind, counts, 1).sum(axis=1)
            np.testing.assert_array_equal(spikes, run.populations[name].totals)
    answers = module(tensors)
    answers = answers if isinstance(answers, dict) else {next(iter(run.raw)): answers}
    for name, values in answers.items():
        expected = run.predict("mean", name) if len(answers) > 1 else run.predict("mean")
        np.testing.assert_allclose(values.detach().numpy(), expected, rtol=1e-9, atol=1e-9)
    return float(sum(counts.detach().abs().sum() for counts in sent.counts.values()))


@pytest.mark.parametrize("example", WITH, ids=lambda e: e.id)
def test_neurons_of_every_type_send_what_the_torch_engine_sends(example: NeuronExample) -> None:
    """Spike for spike in float64, for every spiking type that draws and rounds nothing."""
    kind, dt = example.neuron_type, example.dt
    scale = example.scale if kind.scaling != "refused" else 1.0
    reach = 60.0 if dt < 0.01 else 16.0
    conversion = sw.convert(
        two_layers(reach), spiking={"relu": kind}, scale_firing_rates=scale, initial_voltage="zero"
    )
    assert assert_same(conversion, given(), 20, dt) > 0


@pytest.mark.parametrize("example", WITHOUT, ids=lambda e: e.id)
def test_neurons_that_draw_or_round_are_refused_by_name(example: NeuronExample) -> None:
    """The error names the layers, their type and the next move; of digits it names the code."""
    conversion = sw.convert(two_layers(), spiking={"relu": example.neuron_type})
    name = type(example.neuron_type).__name__
    named = rf"'inner' \({name}.*'outer'.*IntegrateAndFire"
    digits = conversion.lowered.times is not None
    with pytest.raises(TrainingError, match="digits.*SignedDigits" if digits else named):
        conversion.to_torch(3)


@pytest.mark.parametrize("example", synapse_examples(), ids=lambda e: e.id)
def test_every_synapse_passes_on_what_the_torch_engine_passes_on(example: SynapseExample) -> None:
    """Spikes and outputs behind each synapse of the registry, in float64."""
    conversion = sw.convert(
        two_layers(), spiking=True, scale_firing_rates=2000.0, synapse=example.synapse
    )
    assert assert_same(conversion, given(), 20) > 0


@pytest.mark.parametrize("case", kinds(), ids=lambda case: case.id)
def test_every_layer_is_that_of_the_torch_engine(case: Case) -> None:
    """Behind spikes, as spikes and between weights: every kind of layer, in float64."""
    graph = graph_of(case, behind_spikes=True)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=1000.0)
    assert assert_same(conversion, inputs_of(graph, case.positive)) > 0


@pytest.mark.parametrize("spiking", [True, False])
def test_input_may_change_from_step_to_step(spiking: bool) -> None:
    """Frames `(batch, steps, *shape)` are one step each; so it is for rates."""
    conversion = sw.convert(two_layers(), spiking=spiking, scale_firing_rates=500.0)
    assert assert_same(conversion, given(1, (STEPS,))) > 0


def test_starts_corrections_and_caps_are_those_of_the_conversion() -> None:
    """Starts that are drawn, biases that were corrected and caps hold in the module too."""
    conversion = sw.convert(
        two_layers(), spiking=True, scale_firing_rates=800.0, max_spikes_per_step=1,
        initial_voltage="uniform", bias_correction={"inner": 0.3, "outer": -0.1},
    )  # fmt: skip
    assert assert_same(conversion, given()) > 0


def test_single_precision_is_close() -> None:
    """In float32 fewer than one count in a hundred differs from the torch engine's."""
    conversion = sw.convert(two_layers(), spiking=True, scale_firing_rates=2000.0)
    run = conversion.run(given(), steps=40, engine="torch", progress=False)
    module = conversion.to_torch(40)
    sent = module.through(torch.from_numpy(given()), record=["inner", "outer"])
    assert all(p.dtype == torch.float32 for p in module.parameters())
    for name, counts in sent.counts.items():
        differ = counts.abs().sum(1).numpy(force=True) != run.populations[name].totals
        assert counts.any() and differ.mean() < 0.01


@pytest.mark.parametrize("checkpoint", [True, 1, 3])
def test_steps_that_are_run_again_give_the_same(checkpoint: Any) -> None:
    """Checkpoints change memory alone: values and gradients are the same bits."""
    conversion = sw.convert(
        two_layers(), spiking=True, scale_firing_rates=800.0, synapse=sw.Alpha(0.003)
    )
    found = []
    for how in (False, checkpoint):
        module = conversion.to_torch(7, precision="float64", checkpoint=how)
        value = module(torch.from_numpy(given()))
        value.square().sum().backward()
        found.append([value.detach(), *(p.grad for p in module.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert all(bool(value.any()) for value in found[0])


def test_code_of_the_source_is_refused() -> None:
    """A call of foreign code has no gradients: the layer is named before anything runs."""
    call = PythonCall(np.sin, ((9,),), (9,), "sin")
    graph = Graph((GraphNode("x", Input((9,))), GraphNode("call", call, ("x",))), {"y": "call"})
    with pytest.raises(TrainingError, match=r"layer 'call' of kind PythonCall.*outputs="):
        sw.convert(graph, spiking=True).to_torch(3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"steps": 0}, "steps must be a whole number from 1, got 0"),
        ({"surrogate": "round"}, "surrogate must be one of 'arctan'.*got 'round'"),
        ({"reset": "hard"}, "reset must be"),
        ({"checkpoint": -1}, "checkpoint must be True, False or steps"),
    ],
)
def test_settings_that_cannot_be_are_told(how: dict[str, Any], message: str) -> None:
    """Each names the argument, what it may be and what it is."""
    conversion = sw.convert(two_layers(), spiking=True)
    with pytest.raises(TrainingError, match=message):
        conversion.to_torch(**{"steps": 3, **how})


def test_input_that_does_not_fit_is_told() -> None:
    """Shapes, names and values that are no numbers."""
    module = sw.convert(two_layers(), spiking=True).to_torch(3)
    for bad, message in (
        (torch.zeros(2, 8), r"'x' must be \(batch, 9\) held constant or .* got shape \(2, 8\)"),
        (torch.zeros(2, 4, 9), "'x' has 4 steps, the run 3"),
        (torch.full((2, 9), torch.nan), "'x' holds values that are NaN"),
        ({"z": torch.zeros(2, 9)}, r"inputs are \['x'\], got \['z'\]"),
    ):
        with pytest.raises(SimulationError, match=message):
            module(bad)
    with pytest.raises(SimulationError, match=r"'first'.*none of the layers"):
        module.through(torch.zeros(2, 9), record=["first"])
