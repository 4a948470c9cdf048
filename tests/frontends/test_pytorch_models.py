"""Modules, views, names, inputs and outputs of PyTorch models."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pytorch_helpers import Of, check, check_values, randomised, samples
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils import _pytree as pytree

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.pytorch import read, reads, registry
from spikewright.graph import evaluate, to_text
from spikewright.graph.layers import Affine


def _names(graph: Any) -> list[str]:
    return [node.name for node in graph]


class _Block(nn.Module):
    """Two convolutions around one reused ReLU, and a residual sum."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(self.relu(self.bn1(self.conv1(x))))
        y += x
        return self.relu(y)


class _Gate(nn.Module):
    """A module without submodules whose forward pass has several operators."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(F.avg_pool2d(x, 2)) * 0.5


def test_nodes_are_named_after_modules() -> None:
    """A module's last operator has its path, others path/operator, functions path.operator."""
    model = Of(
        lambda m, x: m.head(torch.flatten(m.gate(m.layer(m.stem(x))), 1)),
        stem=nn.Conv2d(3, 4, 1),
        layer=nn.Sequential(_Block(False), _Block(False)),
        gate=_Gate(),
        head=nn.Linear(36, 5),
    )
    graph = check(randomised(model), (3, 6, 6))
    assert _names(graph) == [
        "inputs_0", "stem",
        "layer.0.conv1", "layer.0.bn1", "layer.0.relu", "layer.0.conv2", "layer.0.add",
        "layer.0.relu_1",
        "layer.1.conv1", "layer.1.bn1", "layer.1.relu", "layer.1.conv2", "layer.1.add",
        "layer.1.relu_1",
        "gate/avg_pool2d", "gate/relu", "gate", "flatten", "head",
    ]  # fmt: skip
    assert dict(graph.outputs) == {"output": "head"}


def test_source_layers_are_kept_beside_the_names() -> None:
    """Every node says which layer it belongs to, and what the source calls it."""
    graph = check(
        randomised(Of(lambda m, x: m.gate(m.a(x)) + 1, a=nn.ReLU(), gate=_Gate())), (3, 4, 4)
    )
    assert [(n.name, n.source, n.source_kind) for n in graph][1:] == [
        ("a", "a", "ReLU"),
        ("gate/avg_pool2d", "gate", "_Gate"),
        ("gate/relu", "gate", "_Gate"),
        ("gate", "gate", "_Gate"),
        ("add", "add", "add"),
    ]


def test_functions_give_way_to_modules_and_inputs_of_their_name() -> None:
    """A module keeps its path; functions are numbered, and each is a layer of its own."""
    model = Of(lambda m, x: m.relu(F.relu(x * 2) + F.relu(x)), relu=nn.ReLU())
    graph = check(model, (3,))
    assert [(node.name, node.source) for node in graph][1:] == [
        ("mul", "mul"), ("relu_1", "relu_1"), ("relu_2", "relu_2"),
        ("add", "add"), ("relu", "relu"),
    ]  # fmt: skip


class _Keywords(nn.Module):
    def forward(self, mul: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
        return mul * 2 + others["bias"]


def test_inputs_given_by_keyword() -> None:
    """Arguments that forward collects keep their names; functions give way to inputs."""
    example = {"bias": np.ones((2, 3)), "mul": np.zeros((2, 3))}
    source = read(_Keywords(), example)
    check_values(source)
    assert source.graph.inputs == ("mul", "bias")
    assert _names(source.graph)[2:] == ["mul_1", "add"]


def test_in_place_operators_read_as_ordinary_ones() -> None:
    """In-place ReLU and `+=` give the graph that their ordinary forms give."""
    ordinary = check(randomised(nn.Sequential(_Block(False), _Block(False))), (4, 5, 5))
    in_place = check(randomised(nn.Sequential(_Block(True), _Block(True))), (4, 5, 5))
    assert to_text(ordinary) == to_text(in_place)


def test_in_place_change_of_a_view_reaches_the_whole_value() -> None:
    """A change through a view, and a later use of the changed value, are both seen."""

    def forward(_: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        z = F.relu_(y)
        y.view(-1, 12).add_(1.0)
        return y + z

    graph = check(Of(forward), (3, 4))
    x = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    expected = 2 * (np.maximum(2 * x, 0) + 1)
    np.testing.assert_allclose(evaluate(graph, {"inputs_0": x})["output"], expected, rtol=1e-6)


class _Juggling(nn.Module):
    """Values changed in place, handed on, viewed, and used again, as `steps` says."""

    def __init__(self, steps: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values, constant = [x * 2, x + 1], torch.linspace(-1, 1, 4)
        for what, first, second in self.steps:
            a, b = values[first % len(values)], values[second % len(values)]
            if what == "relu_":
                values.append(F.relu_(a))
            elif what == "dropped":
                values.append(F.dropout(a, training=False))
            elif what == "handed on":
                values.append(a.contiguous().float().type_as(a))
            elif what == "mul_":
                a.mul_(0.5)
            elif what == "add_":
                a.view(-1, 4).add_(1 if a is b else b.float().view(-1, 4))
            elif what == "row":
                a[:, 1].sub_(1)
            elif what == "weighed":
                values.append(a * constant)
            elif what == "written":
                constant[first % 3 : first % 3 + 2].add_(0.5)
            elif what == "written over":
                constant.view(2, 2)[second % 2] = 2.0
            elif what == "view":
                values.append(a.view(a.size(0), 2, 2).flatten(1))
            else:
                values.append(a + b)
        return torch.stack(values, 1).sum(1) + values[-1]


_JUGGLED = (
    "relu_", "dropped", "handed on", "mul_", "add_", "row", "view", "sum",
    "weighed", "written", "written over",
)  # fmt: skip


_STEPS = st.lists(
    st.tuples(st.sampled_from(_JUGGLED), st.integers(0, 5), st.integers(0, 5)),
    min_size=1,
    max_size=7,
)


@settings(max_examples=5, deadline=None)
@given(_STEPS)
@example([("weighed", 0, 0), ("written", 1, 1), ("weighed", 0, 0), ("written over", 0, 1)])
@example([("written over", 0, 0), ("weighed", 1, 0), ("add_", 2, 0), ("written", 0, 0)])
def test_any_sequence_of_changes_in_place(steps: Any) -> None:
    """Whatever shares memory with what, the graph computes what the module itself computes.

    Or it is refused, where PyTorch's own exported program does not.
    """
    _check_juggling(steps)


def _check_juggling(steps: Any) -> None:
    model = _Juggling(steps).eval()
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    try:
        source = read(model, x[:2])
    except UnsupportedLayerError as error:
        assert any(what in ("dropped", "handed on") for what, *_ in steps)
        assert "inplace=False" in str(error)
        return
    check_values(source)
    expected = model(torch.from_numpy(x)).numpy()
    ours = evaluate(source.graph, {"x": x})["output"]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_gradient_modes_inside_the_forward_pass_are_seen_through(mode: Any) -> None:
    """Blocks under no_grad or enable_grad are part of the network."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        with mode():
            y = m.a(x)
        return m.b(y)

    assert _names(check(Of(forward, a=nn.Linear(4, 4), b=nn.ReLU()), (4,)))[-1] == "b"


def _options() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    image, row = (4, 7, 6), (5,)
    return {
        "same": (nn.Conv2d(4, 2, (3, 4), padding="same", dilation=(2, 1)), image),
        "valid": (nn.Conv1d(4, 2, 3, padding="valid", stride=2), (4, 9)),
        "asymmetric": (nn.Conv2d(4, 2, (1, 3), stride=(2, 1), padding=(0, 2), bias=False), image),
        "volume": (nn.Conv3d(2, 3, 2, stride=2, padding=1), (2, 4, 5, 4)),
        "bn1d sequence": (nn.BatchNorm1d(4), (4, 5)),
        "bn2d plain": (nn.BatchNorm2d(4, affine=False, eps=0.1), image),
        "max surrounded": (
            nn.Sequential(nn.ConstantPad2d((0, 1, 2, 0), -np.inf), nn.MaxPool2d(3, 2)),
            image,
        ),
        "avg divisor ceil": (nn.AvgPool2d(3, 2, 1, True, True, divisor_override=5), image),
        "avg 3d": (nn.AvgPool3d(2, divisor_override=7), (2, 4, 4, 4)),
        "adaptive": (nn.AdaptiveAvgPool2d((3, None)), image),
        "adaptive 3d": (nn.AdaptiveAvgPool3d(2), (2, 5, 3, 4)),
        "hardtanh 6": (nn.Hardtanh(0.0, 6.0), image),
        "constant pad": (nn.ConstantPad1d((2, 1), 0.0), (4, 5)),
        "upsample to size": (nn.Upsample(size=(7, 18)), image),
        "unflatten": (nn.Unflatten(1, (2, 2)), image),
        "identity": (nn.Sequential(nn.Identity(), nn.Tanh()), image),
        "spectral norm": (parametrizations.spectral_norm(nn.Linear(5, 3)), row),
    }


@pytest.mark.parametrize("name", list(_options()))
def test_module_options(name: str) -> None:
    """Modules compute what they compute in PyTorch under each option, alone and in a row."""
    torch.manual_seed(0)
    module, shape = _options()[name]
    graph = check(Of(lambda m, x: m.layer(x), layer=randomised(module)), shape)
    last = graph.nodes[-1]
    assert last.name in ("layer", "layer.1")


def test_parametrised_weights_are_computed_once() -> None:
    """Weight normalisation leaves one convolution, named as the layer."""
    layer = randomised(parametrizations.weight_norm(nn.Conv2d(4, 3, 2)))
    assert _names(check(Of(lambda m, x: m.conv(x), conv=layer), (4, 5, 5))) == ["inputs_0", "conv"]


_sizes = st.integers(1, 4)


@settings(max_examples=12, deadline=None)
@given(
    kernel=st.tuples(_sizes, _sizes),
    stride=st.tuples(_sizes, _sizes),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pad=st.integers(0, 3),
    ceil=st.booleans(),
    include=st.booleans(),
    what=st.sampled_from(["conv", "max", "avg"]),
)
def test_windows_of_any_geometry(
    kernel: Any, stride: Any, dilation: Any, pad: int, ceil: bool, include: bool, what: str
) -> None:
    """Convolution and pooling agree with PyTorch for every size, stride, padding and dilation."""
    pads = tuple(min(pad, k // 2) for k in kernel)
    layers = {
        "conv": nn.Conv2d(2, 3, kernel, stride, pad, dilation),
        "max": nn.MaxPool2d(kernel, stride, pads, dilation, ceil_mode=ceil),
        "avg": nn.AvgPool2d(kernel, stride, pads, ceil, include),
    }
    check(randomised(layers[what]), (2, 8, 9))


def test_program_of_fixed_batch_size_runs_on_any_number_of_samples() -> None:
    """A literal batch size in a view fixes the program, yet neither the graph nor its check."""
    source = read(Of(lambda m, x: F.relu(x.view(4, -1)), a=nn.ReLU()), np.zeros((4, 2, 3)))
    for batch in (1, 3, 4, 9):
        check_values(source, batch=batch)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_size_of_the_example_gives_the_same_graph(batch: int) -> None:
    """An example of one sample does not tie the network to one sample."""
    model = randomised(nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.Linear(9, 2)))
    texts = [to_text(check(model, (2, 5), batch=n)) for n in (batch, 3)]
    assert texts[0] == texts[1]


class _Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, image: torch.Tensor, *, context: torch.Tensor, scale: float = 2.0) -> Any:
        total = self.first(image) + self.second(context) * scale
        return {"total": total, "parts": (F.relu(total), image)}


def test_several_inputs_and_outputs_have_the_names_of_the_source() -> None:
    """Inputs are named after forward's arguments, outputs after the keys of what it returns."""
    example = {"context": np.zeros((2, 2)), "image": torch.zeros(2, 3)}
    source = read(randomised(_Several()), example)
    assert source.graph.inputs == ("image", "context")
    assert dict(source.graph.outputs) == {"total": "add", "parts_0": "relu", "parts_1": "image"}
    check_values(source)


class _Answer(OrderedDict):
    """A result with names that says no keys to PyTorch, like those of diffusers."""


pytree.register_pytree_node(
    _Answer,
    lambda answer: (list(answer.values()), list(answer)),
    lambda values, names: _Answer(zip(names, values, strict=True)),
    serialized_type_name="test_pytorch_models._Answer",
)


def test_outputs_of_any_mapping_have_its_names() -> None:
    """Also of a class that is registered without a function for its keys, and inside a tuple."""
    one = Of(lambda m, x: _Answer(sample=x + 1, rest=_Answer(twice=x * 2)))
    assert dict(check(one, (3,)).outputs) == {"sample": "add", "rest_twice": "mul"}
    inside = Of(lambda m, x: (_Answer(sample=x + 1), x * 2))
    assert dict(check(inside, (3,)).outputs) == {"0_sample": "add", "output_1": "mul"}


def test_outputs_of_tuples_are_numbered() -> None:
    """Several outputs without names are output_0, output_1, ..."""
    graph = check(Of(lambda m, x: (x + 1, [x * 2])), (3,))
    assert dict(graph.outputs) == {"output_0": "add", "output_1_0": "mul"}
    assert dict(check(Of(lambda m, x: (x + 1, None)), (3,)).outputs) == {"output_0": "add"}


def test_unused_layers_and_inputs() -> None:
    """What the outputs do not need is left out, even if it has no reading; inputs stay."""
    graph = check(Of(lambda m, x, y: (torch.floor(x), F.relu(x))[1]), (3,), (2,))
    assert _names(graph) == ["inputs_0", "inputs_1", "relu"]


def test_graph_holds_its_own_weights() -> None:
    """Training the module afterwards does not change what was read."""
    model = nn.Linear(3, 2)
    graph = read(model, np.zeros((2, 3))).graph
    (layer,) = [node.layer for node in graph if isinstance(node.layer, Affine)]
    before = layer.weight.copy()
    with torch.no_grad():
        model.weight.add_(1)
    np.testing.assert_array_equal(layer.weight, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_of_other_precision(dtype: Any) -> None:
    """Double precision stays, half precision is widened; examples follow the model's precision."""
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).to(dtype)
    source = read(model, np.zeros((2, 3), np.float32))
    (layer,) = [node.layer for node in source.graph if isinstance(node.layer, Affine)]
    assert layer.weight.dtype == (np.float64 if dtype is torch.float64 else np.float32)
    check_values(source, 1e-12 if dtype is torch.float64 else 2e-2)


def test_exported_programs_are_read_as_they_are() -> None:
    """A program of the user's own, decomposed or not, gives the same network as its module."""
    model = randomised(
        nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(True), nn.AvgPool2d(2), nn.Dropout(),
            nn.Flatten(), nn.Linear(12, 4), nn.Hardtanh(0, 6), nn.Softmax(-1),
        )
    ).eval()  # fmt: skip
    x = torch.randn(4, 2, 6, 6)
    batch = {0: torch.export.Dim("batch")}
    programs = [
        torch.export.export(model, (x,), dynamic_shapes=(batch,)),
        torch.export.export(model, (x[:1],)),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        programs.append(programs[0].run_decompositions())
    expected = read(model, x)
    inputs = samples(expected.graph)
    wanted = evaluate(expected.graph, inputs)["output"]
    for program in programs:
        source = read(program)
        check_values(source)
        names = {name.partition(" ")[0] for name in _names(source.graph)}
        assert {"0", "1", "2", "3", "6", "7", "8"} <= names
        np.testing.assert_allclose(evaluate(source.graph, inputs)["output"], wanted, rtol=1e-6)


def test_compiled_modules_are_unwrapped() -> None:
    """What torch.compile wraps is read."""
    graph = check(torch.compile(randomised(nn.Sequential(nn.Linear(3, 2)))), (3,))
    assert _names(graph) == ["input", "0"]


def test_wrong_reading_is_noticed() -> None:
    """A reading whose result has another shape than PyTorch's is refused, not believed."""
    target = "aten.sinc.default"
    reads(target)(lambda call: call.add(Affine(np.eye(2, 4)), call.value("self")))
    try:
        with pytest.raises(ValueError, match="does not match its reading"):
            read(Of(lambda m, x: torch.sinc(x)), np.zeros((2, 4)))
    finally:
        registry._registry.pop(target)
