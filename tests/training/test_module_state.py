"""Modules have the source's parameters, and lead back to conversions."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from onnx.numpy_helper import to_array
from test_bptt import assert_same
from torch import nn
from trainings import MODELS, READERS, assert_same_run, same_model

import spikewright as sw
from spikewright.errors import TrainingError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input

STEPS = 5
SCALED = {"scale_firing_rates": 500.0}


def names_of(model: Any, kind: str) -> set[str]:
    """The framework's own names of all parameters that hold real numbers."""
    if kind == "pytorch":
        return {n for n, v in model.state_dict().items() if v.is_floating_point()}
    if kind == "keras":
        return {w.path for w in model.weights if "float" in str(w.dtype)}
    return {t.name for t in model.graph.initializer if to_array(t).dtype.kind == "f"}


def trained(module: Any, inputs: Any) -> None:
    """A few steps of an optimiser that move every parameter that has a gradient."""
    optimiser = torch.optim.SGD(module.parameters(), 1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        module(inputs).square().mean().backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()


CASES = pytest.mark.parametrize(
    ("name", "kind"), [("residual block", kind) for kind in READERS] + [("lenet", "keras")]
)


@CASES
def test_a_state_has_the_names_and_values_of_the_source(name: str, kind: str) -> None:
    """Out and in again is the conversion that it was, and its model takes it as its own."""
    model, _, conversion, inputs = same_model(name, kind, **SCALED)
    state = conversion.to_torch(STEPS).state_dict()
    assert set(state) == names_of(model, kind)
    if kind == "pytorch":
        assert all(torch.equal(state[n], model.state_dict()[n]) for n in state)
        model.load_state_dict(state, strict=False)
    assert_same_run(conversion, conversion.load_state(state), inputs, STEPS)


@CASES
def test_a_trained_module_is_the_conversion_with_its_state(name: str, kind: str) -> None:
    """After steps of an optimiser engines send what the module sends; the source is untouched."""
    _, _, conversion, inputs = same_model(name, kind, **SCALED)
    tensors = {n: torch.from_numpy(v) for n, v in conversion.as_inputs(inputs).items()}
    module = conversion.to_torch(STEPS, precision="float64")
    before = copy.deepcopy(module.state_dict())
    trained(module, tensors)
    # a conversion holds the source's own type, and so does the module that is compared
    state = {n: v.float() for n, v in module.state_dict().items()}
    module.load_state_dict(state)
    moved = [n for n, _ in module.named_parameters() if not torch.equal(state[n], before[n])]
    assert set(moved) == {n for n, p in module.named_parameters() if p.grad is not None}
    assert len(moved) >= 4
    made = conversion.load_state(state)
    assert assert_same(made, inputs, STEPS) > 0
    again, found = (c.to_torch(STEPS).state_dict() for c in (made, conversion))
    assert again.keys() == state.keys()
    assert all(torch.equal(again[n], state[n].float()) for n in again)
    assert all(torch.equal(found[n], before[n].float()) for n in found)


def test_of_a_graph_parameters_are_named_by_layer_and_array() -> None:
    """A file or a graph has no live model: "layer.weight"; the state leads back all the same."""
    graph = MODELS["perceptron"].graph("keras")
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=500.0)
    module = conversion.to_torch(STEPS, precision="float64")
    places = {f"{n.name}.{f}" for n in graph for f in n.layer.arrays()}
    assert set(module.state_dict()) == places
    x = {graph.inputs[0]: torch.from_numpy(MODELS["perceptron"].inputs()[0])}
    trained(module, x)
    state = {n: v.float() for n, v in module.state_dict().items()}
    module.load_state_dict(state)
    made = conversion.load_state(state)
    assert assert_same(made, {n: v.numpy() for n, v in x.items()}, STEPS) > 0
    assert all(torch.equal(made.to_torch(STEPS).state_dict()[n], state[n]) for n in state)


def test_a_state_that_does_not_fit_is_told_and_nothing_is_changed() -> None:
    """Names that are missing or unknown, other shapes, and NaN."""
    _, _, conversion, _ = same_model("perceptron", "pytorch", **SCALED)
    state = conversion.to_torch(STEPS).state_dict()
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
    model, _, conversion, inputs = same_model("perceptron", "pytorch", **SCALED)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    module = conversion.to_torch(STEPS, precision="float64")
    assert all(torch.equal(v.float(), before[n]) for n, v in module.state_dict().items())
    assert assert_same(conversion.load_state(module.state_dict()), inputs, STEPS) > 0


def test_a_model_with_other_layers_is_refused() -> None:
    """Where the live model was rebuilt, its parameters are no longer those of the conversion."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    conversion = sw.convert(model, spiking=True, example_input=torch.ones(1, 3))
    model[0], model[2] = nn.Linear(3, 5), nn.Linear(5, 2)
    with pytest.raises(TrainingError, match=r"has other layers.*convert it again"):
        conversion.to_torch(STEPS)


def test_any_name_may_be_a_parameters() -> None:
    """Names of a module's own attributes, and one name that begins another, are no obstacle."""
    rng = np.random.default_rng(0)
    names = ("steps", "forward", "forward.weight")
    nodes, before = [GraphNode("x", Input((3,)))], "x"
    for name in names:
        weight = Affine(rng.normal(size=(3, 3)).astype(np.float32), np.ones(3, np.float32))
        nodes.append(GraphNode(name, weight, (before,)))
        nodes.append(GraphNode(f"{name}.cells", Activation("relu"), (name,)))
        before = f"{name}.cells"
    conversion = sw.convert(Graph(tuple(nodes), {"y": before}), spiking=True)
    module = conversion.to_torch(3)
    state = module.state_dict()
    assert set(state) == {f"{name}.{field}" for name in names for field in ("weight", "bias")}
    module.load_state_dict({name: 100.0 * value for name, value in state.items()})
    copied, x = copy.deepcopy(module), torch.rand(4, 3)
    assert module(x).any() and torch.equal(copied(x), module(x))
