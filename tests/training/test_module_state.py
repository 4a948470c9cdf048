"""Modules have the source's parameters, and lead back to conversions."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx.numpy_helper import to_array
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "frontends"))

from same_models import READERS, Same
from test_same_model import MODELS

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.graph import Graph, Node
from spikewright.graph.layers import Activation, Affine, Input

NAMES = ("perceptron", "lenet", "residual block")
STEPS = 5


def converted(name: str, kind: str, **how: Any) -> tuple[Any, sw.Conversion, dict[str, Any]]:
    """A model of the suite in one framework, its conversion, and inputs."""
    same: Same = MODELS[name]
    model = getattr(same, {"pytorch": "of_torch", "keras": "of_keras", "onnx": "of_onnx"}[kind])()
    example = same.example() if kind == "pytorch" else None
    usual = {"spiking": True, "scale_firing_rates": 500.0}
    conversion = sw.convert(model, example_input=example, **{**usual, **how})
    x = [v if kind == "keras" else same.moved(v) for v in same.inputs()]
    return model, conversion, dict(zip(conversion.graph.inputs, x, strict=True))


def names_of(model: Any, kind: str) -> set[str]:
    """The framework's own names of all parameters that hold real numbers."""
    if kind == "pytorch":
        return {n for n, v in model.state_dict().items() if v.is_floating_point()}
    if kind == "keras":
        return {w.path for w in model.weights if "float" in str(w.dtype)}
    return {t.name for t in model.graph.initializer if to_array(t).dtype.kind == "f"}


def assert_same_run(conversion: sw.Conversion, module: Any, inputs: dict[str, Any]) -> None:
    """The reference and the torch engine send and answer what the module does."""
    layers = list(conversion.populations())
    tensors = {n: torch.from_numpy(v) for n, v in conversion.as_inputs(inputs).items()}
    counts = module.through(tensors, record=layers).counts
    for engine in ("reference", "torch"):
        run = conversion.run(
            inputs, steps=STEPS, engine=engine, precision="float64", progress=False
        )
        for name in layers:
            sent = counts[name].detach().abs().sum(1).numpy()
            assert sent.any()
            np.testing.assert_array_equal(sent, run.populations[name].totals)
        np.testing.assert_allclose(
            module(tensors).detach().numpy(), run.predict("mean"), rtol=1e-6, atol=1e-9
        )


def trained(module: Any, inputs: Any) -> None:
    """A few steps of an optimiser that move every parameter that has a gradient."""
    optimiser = torch.optim.SGD(module.parameters(), 1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        module(inputs).square().mean().backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_the_names_of_the_source(name: str, kind: str) -> None:
    """State dicts have the framework's names, all of them, with the framework's values."""
    model, conversion, _ = converted(name, kind)
    state = conversion.torch_module(STEPS).state_dict()
    assert set(state) == names_of(model, kind)
    if kind == "pytorch":
        assert all(torch.equal(state[n], model.state_dict()[n]) for n in state)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_was_not_changed_gives_the_same_spikes(name: str, kind: str) -> None:
    """Out and in again is the conversion that it was, in every framework."""
    _, conversion, inputs = converted(name, kind)
    again = conversion.load_state(conversion.torch_module(STEPS).state_dict())
    first, second = (c.run(inputs, steps=STEPS, progress=False) for c in (conversion, again))
    for layer, counts in first.spike_counts().items():
        assert counts.any()
        np.testing.assert_array_equal(counts, second.spike_counts()[layer])
    np.testing.assert_array_equal(first.predict(), second.predict())


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_trained_module_is_the_conversion_with_its_state(name: str, kind: str) -> None:
    """After steps of an optimiser engines send what the module sends; the source is untouched."""
    _, conversion, inputs = converted(name, kind)
    tensors = {n: torch.from_numpy(v) for n, v in conversion.as_inputs(inputs).items()}
    module = conversion.torch_module(STEPS, precision="float64")
    before = copy.deepcopy(module.state_dict())
    trained(module, tensors)
    # a conversion holds the source's own type, and so does the module that is compared
    state = {n: v.float() for n, v in module.state_dict().items()}
    module.load_state_dict(state)
    moved = [n for n, _ in module.named_parameters() if not torch.equal(state[n], before[n])]
    assert set(moved) == {n for n, p in module.named_parameters() if p.grad is not None}
    assert len(moved) >= 4
    made = conversion.load_state(state)
    assert_same_run(made, module, inputs)
    again = made.torch_module(STEPS).state_dict()
    assert set(again) == set(state)
    assert all(torch.equal(again[n], state[n].float()) for n in again)
    found = conversion.torch_module(STEPS).state_dict()
    assert all(torch.equal(found[n], before[n].float()) for n in found)


def test_a_state_goes_straight_into_the_model() -> None:
    """`load_state_dict` of the source takes the module's state: names and shapes are its own."""
    model, conversion, inputs = converted("perceptron", "pytorch")
    module = conversion.torch_module(STEPS)
    trained(module, {n: torch.from_numpy(v) for n, v in conversion.as_inputs(inputs).items()})
    model.load_state_dict(module.state_dict())
    same: Same = MODELS["perceptron"]
    again = sw.convert(model, example_input=same.example(), **conversion.resolved)
    made = conversion.load_state(module.state_dict())
    runs = [c.run(inputs, steps=STEPS, progress=False).predict() for c in (again, made)]
    np.testing.assert_array_equal(*runs)


def test_of_a_graph_parameters_are_named_by_layer_and_array() -> None:
    """A file or a graph has no live model: "layer.weight"; the state leads back all the same."""
    graph = MODELS["perceptron"].graph("keras")
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=500.0)
    module = conversion.torch_module(STEPS, precision="float64")
    places = {f"{n.name}.{f}" for n in graph for f in n.layer.arrays()}
    assert set(module.state_dict()) == places
    x = {graph.inputs[0]: torch.from_numpy(MODELS["perceptron"].inputs()[0])}
    trained(module, x)
    state = {n: v.float() for n, v in module.state_dict().items()}
    module.load_state_dict(state)
    made = conversion.load_state(state)
    assert_same_run(made, module, {n: v.numpy() for n, v in x.items()})


def test_a_state_that_does_not_fit_is_told_and_nothing_is_changed() -> None:
    """Names that are missing or unknown, other shapes, and NaN."""
    _, conversion, _ = converted("perceptron", "pytorch")
    state = conversion.torch_module(STEPS).state_dict()
    name = next(iter(state))
    for bad, message in (
        ({n: v for n, v in state.items() if n != name}, rf"lacks \['{name}'\]"),
        ({**state, "other": torch.zeros(1)}, r"unknown \['other'\]"),
        ({**state, name: torch.zeros(1)}, rf"'{name}': finite numbers of shape"),
        ({**state, name: torch.full_like(state[name], torch.nan)}, "are not finite"),
    ):
        with pytest.raises(TrainingError, match=message):
            conversion.load_state(bad)


def test_a_module_has_the_weights_that_were_converted() -> None:
    """Those of a live model may be others by now: the conversion is what it was."""
    model, conversion, inputs = converted("perceptron", "pytorch")
    before = {n: v.clone() for n, v in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    module = conversion.torch_module(STEPS, precision="float64")
    assert all(torch.equal(v.float(), before[n]) for n, v in module.state_dict().items())
    assert_same_run(conversion.load_state(module.state_dict()), module, inputs)


def test_a_model_with_other_layers_is_refused() -> None:
    """Where the live model was rebuilt, its parameters are no longer those of the conversion."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    conversion = sw.convert(model, spiking=True, example_input=torch.ones(1, 3))
    model[0], model[2] = nn.Linear(3, 5), nn.Linear(5, 2)
    with pytest.raises(TrainingError, match=r"has other layers.*convert it again"):
        conversion.torch_module(STEPS)


def test_any_name_may_be_a_parameters() -> None:
    """Names of a module's own attributes, and one name that begins another, are no obstacle."""
    rng = np.random.default_rng(0)
    names = ("steps", "forward", "forward.weight")
    nodes, before = [Node("x", Input((3,)))], "x"
    for name in names:
        weight = Affine(rng.normal(size=(3, 3)).astype(np.float32), np.ones(3, np.float32))
        nodes.append(Node(name, weight, (before,)))
        nodes.append(Node(f"{name}.cells", Activation("relu"), (name,)))
        before = f"{name}.cells"
    conversion = sw.convert(Graph(tuple(nodes), {"y": before}), spiking=True)
    module = conversion.torch_module(3)
    state = module.state_dict()
    assert set(state) == {f"{name}.{field}" for name in names for field in ("weight", "bias")}
    module.load_state_dict({name: 100.0 * value for name, value in state.items()})
    copied, x = copy.deepcopy(module), torch.rand(4, 3)
    assert module(x).any() and torch.equal(copied(x), module(x))
