"""Choices by indices and the batch axis in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of, check, check_values, randomised
from torch import nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.pytorch import read
from spikewright.frontends.pytorch.custom_op_wrapper import ask_every_expert
from spikewright.graph import evaluate

LOW = torch.tensor([True, False, False, False])

MODELS: dict[str, tuple[Callable[[Any, torch.Tensor], torch.Tensor], tuple[int, ...]]] = {
    "sparse by a mask of the largest": (
        lambda m, x: x * F.one_hot(x.topk(2).indices, 4).sum(-2), (3, 4),
    ),
    "scattered shares of the largest": (
        lambda m, x: torch.zeros_like(x).scatter(-1, *x.softmax(-1).topk(2)[::-1]), (3, 4),
    ),
    "row at a computed place": (
        lambda m, x: x[torch.arange(x.shape[0]), x[..., 0].argmax(-1)], (3, 4),
    ),
    "joined with nothing": (lambda m, x: torch.cat([x[..., :0], x.relu(), x[..., 4:]], -1), (4,)),
    "distances of rows": (lambda m, x: torch.cdist(x, 2 * x.flip(1), p=1.0), (3, 4)),
    "pooled by norms": (lambda m, x: F.lp_pool2d(x, 2.0, 2), (2, 4, 4)),
    "masked by the data": (lambda m, x: x.masked_fill(x < -0.5, -torch.inf).softmax(-1), (3, 8)),
    "attention that the data masks": (
        lambda m, x: F.scaled_dot_product_attention(x, x, x, attn_mask=x @ x.mT > 0.5), (4, 3),
    ),
    "exponentials of minus infinity": (
        lambda m, x: x.masked_fill(LOW, -torch.inf).exp(), (3, 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_an_operator_computes_what_pytorch_computes(name: str) -> None:
    """On random input, at every node that PyTorch shows."""
    function, shape = MODELS[name]
    check(Of(function), shape)


def test_equal_values_have_the_first_place() -> None:
    """As PyTorch's argmax has it on a CPU; a smaller one comes later."""
    model = Of(lambda m, x: x.argmax(-1).float())
    x = np.array([[1, 3, 3, 2], [2, 2, 2, 2], [0, 1, 2, 3]], np.float32)
    graph = read(model, x).graph
    np.testing.assert_array_equal(evaluate(graph, {"inputs_0": x})["output"], [1, 0, 3])


@pytest.mark.parametrize("largest", [True, False])
def test_equal_values_are_ordered_by_their_places(largest: bool) -> None:
    """As PyTorch's stable sorting has them; its own top k leaves their order open."""
    model = Of(lambda m, x: x.topk(3, largest=largest)[0] * 10 + x.topk(3, largest=largest)[1])
    x = np.array([[1, 3, 3, 2, 1], [2, 2, 2, 2, 2], [0, 1, 0, 1, 1]], np.float32)
    ordered = torch.sort(torch.tensor(x), stable=True, descending=largest)
    expected = (ordered.values * 10 + ordered.indices)[:, :3].numpy()
    graph = read(model, np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)).graph
    np.testing.assert_array_equal(evaluate(graph, {"inputs_0": x})["output"], expected)


def test_a_sign_alone_is_refused() -> None:
    """It is read in the product with the size of its value, where it changes nothing."""
    check(Of(lambda m, x: torch.sign(x) * x.abs().relu()), (4,))
    with pytest.raises(UnsupportedLayerError, match=r"'sign'.*jumps"):
        read(Of(lambda m, x: torch.sign(x) + x), np.zeros((2, 4)))


def test_what_the_data_hides_is_for_a_softmax_alone() -> None:
    """Minus infinity that comes from the data has a stand-in, which nothing else may read."""
    for function in (
        lambda m, x: x.masked_fill(x > 0, -torch.inf),
        lambda m, x: x.masked_fill(x > 0, -torch.inf) * 2,
    ):
        with pytest.raises(UnsupportedLayerError, match="minus infinity"):
            read(Of(function), np.zeros((2, 4)))


def test_a_router_of_a_few_experts_converges_as_spikes() -> None:
    """The trace says which comparisons jump, and the error falls as the steps grow."""

    def routed(m: Any, x: torch.Tensor) -> torch.Tensor:
        weights, numbers = m.gate(x).softmax(-1).topk(2)
        chosen = numbers[..., None] == torch.arange(3)
        shares = (chosen * weights[..., None]).sum(1)
        return (torch.stack([m.one(x), m.two(x), m.three(x)], -1) * shares[:, None]).sum(-1)

    torch.manual_seed(0)
    parts = {name: nn.Linear(4, 3) for name in ("gate", "one", "two", "three")}
    model = Of(routed, **parts).eval()
    with torch.no_grad():
        model.gate.weight.mul_(8)  # apart from where the choice jumps
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    spiking = sw.convert(model, example_input=x, spiking=True, scale_firing_rates=1000.0)
    assert spiking.trace.guarantee == "convergent"
    jumps = [str(note) for note in spiking.trace if "save where f jumps" in str(note)]
    assert any("topk/1/chosen" in note for note in jumps)
    with torch.no_grad():
        expected = model(torch.tensor(x)).numpy()
    answers = (np.asarray(spiking.run(x, steps).predict()) for steps in (16, 256))
    errors = [np.abs(answer - expected).mean() for answer in answers]
    assert errors[1] < 0.25 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mixtral.Mixtral", "gpt_oss.GptOss"])
def test_all_experts_weighted_make_what_the_chosen_ones_make(kind: str) -> None:
    """With weights either way round, with biases and without."""
    import importlib

    import transformers as hf

    package, name = kind.split(".")
    modeling = importlib.import_module(f"transformers.models.{package}.modeling_{package}")
    config = getattr(hf, f"{name}Config")(
        hidden_size=16, intermediate_size=24, num_local_experts=4, experts_implementation="eager"
    )
    experts = randomised(getattr(modeling, f"{name}Experts")(config)).eval()
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    weights, numbers = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).topk(2)
    with torch.no_grad():
        expected = experts(x, numbers, weights)
        ask_every_expert(experts)
        torch.testing.assert_close(experts(x, numbers, weights), expected)


def test_places_of_an_axis_are_read_where_masks_are_looked_for() -> None:
    """A running sum before each value has none of them at first, and positions of none are none."""
    model = Of(lambda m, x: torch.clamp(x.argmax(1) // 3, 0, 3).float())
    x = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    assert max(sw.convert(model, example_input=x).verify(x).values()) < 1e-5


def _constant(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


W, ROW, STEPS = _constant(4, 5), _constant(1, 4), _constant(3, 1, 4)
ORDER = torch.tensor([[4, 0], [2, 2], [1, 3], [0, 4]])
IMAGES = (3, 4, 6, 6)


def _models() -> dict[str, tuple[Any, tuple[int, ...]]]:
    back = (0, 1)
    return {
        "time first merged": (
            lambda m, x: (x.transpose(0, 1).reshape(-1, 4) @ W).view(3, -1, 5).transpose(*back),
            (3, 4),
        ),
        "qkv": (
            lambda m, x: (
                (q := x.reshape(-1, 3, 2, 2, 2).permute(2, 0, 3, 1, 4))[0] + q.unbind(0)[1]
            ),
            (3, 8),
        ),
        "in the middle": (
            lambda m, x: x.view(-1, 2, 3, 4).permute(2, 0, 1, 3).reshape(3, -1, 4).sum(0)
            .view(-1, 2, 4),
            (6, 4),
        ),
        "one of each row of heads behind": (
            lambda m, x: x.permute(1, 0, 2, 3).flatten(0, 1)
            .gather(-1, ORDER.expand(3 * len(x), 4, 2)).view(3, -1, 4, 2).transpose(0, 1),
            (3, 4, 5),
        ),
        "another of each head": (
            lambda m, x: x.flatten(0, 1).gather(1, torch.arange(3).repeat(len(x))[:, None])
            .view(-1, 3),
            (3, 4),
        ),
        "stacked in front": (lambda m, x: torch.stack([x, x * 2]).sum(0), (3, 4)),
        "token in time": (
            lambda m, x: torch.cat([W[:1, :4].expand(x.size(0), 4)[None], x.transpose(0, 1)])
            .transpose(0, 1),
            (3, 4),
        ),
        "bias in time": (
            lambda m, x: (x.transpose(0, 1) + STEPS).transpose(0, 1), (3, 4),
        ),
        "constant with more axes": (
            lambda m, x: (x * STEPS).transpose(0, 1), (4,),
        ),
        "images of a sequence": (
            lambda m, x: m.conv(x.view(-1, 4, 6, 6)).view(-1, 3, 2, 6, 6), IMAGES,
        ),
        "pooled images of a sequence": (
            lambda m, x: F.avg_pool2d(F.max_pool2d(m.norm(x.flatten(0, 1)), 3, 1, 1), 2)
            .view(-1, 3, 4, 3, 3),
            IMAGES,
        ),
        "normalised images of a sequence": (
            lambda m, x: F.layer_norm(F.instance_norm(x.flatten(0, 1)), (6, 6)).view(x.shape),
            IMAGES,
        ),
        "shuffled pixels of a sequence": (
            lambda m, x: F.pixel_shuffle(x.flatten(0, 1), 2).view(-1, 3, 12, 12), IMAGES,
        ),
        "copies of copies": (
            lambda m, x: x.repeat_interleave(2, 0).repeat_interleave(3, 0).repeat(2, 2).repeat(2, 1)
            .view(4, -1, 6, 8)[3],
            (4,),
        ),
        "heads merged in time": (
            lambda m, x: torch.bmm(
                y := x.transpose(0, 1).reshape(3, -1, 2).transpose(0, 1), y.transpose(1, 2)
            ).view(-1, 2, 3, 3),
            (3, 4),
        ),
        "two batches in one": (
            lambda m, x: torch.mul(*m.norm(m.wide(torch.cat([x, x * 2]))).chunk(2)), (4, 6, 6),
        ),
        "three batches, some cut off": (
            lambda m, x: (
                (y := F.max_pool2d(m.conv(torch.cat([x, 2 * x, 3 * x])), 2))[: x.size(0)]
                + y[x.size(0) :][x.size(0) :] + y.split(x.size(0))[1]
            ),
            (4, 6, 6),
        ),
        "recurrence unrolled": (
            lambda m, x: torch.stack(_unrolled(m.cell, x), dim=1), (3, 4),
        ),
        "constant rows merged": (
            lambda m, x: (x.view(-1, 4) + torch.ones(x.size(0), 3, 4).cumsum(1).view(-1, 4))
            .view(x.shape),
            (3, 4),
        ),
        "written in time": (_written, (3, 4)),
        "mixed precision": (_without_autocast, (3, 4)),
    }  # fmt: skip


def _unrolled(cell: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """A recurrent network whose steps are written out."""
    state = torch.zeros(x.size(0), 4)
    states = []
    for step in x.unbind(1):
        state = torch.tanh(cell(state) + step)
        states.append(state)
    return states


def _written(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(x)
    y[:, 1:] = x[:, :-1]
    y[:, 0] = 2 * x[:, 2]
    return y


def _without_autocast(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        y = torch.relu(x)
    return y + 1


class _Parts(Of):
    def __init__(self, function: Any) -> None:
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(4)
        norm.running_mean.normal_()
        super().__init__(
            function,
            conv=nn.Conv2d(4, 2, 3, padding=1),
            norm=norm,
            cell=nn.Linear(4, 4),
            wide=nn.Conv2d(4, 4, 3),
        )


@pytest.mark.parametrize("name", list(_models()))
def test_the_batch_axis_is_followed(name: str) -> None:
    """Wherever the program has its batch axis, the graph has it in front, and the same values."""
    function, shape = _models()[name]
    check(_Parts(function), shape)


@pytest.mark.parametrize("name", list(_models())[::5])
def test_programs_of_a_fixed_batch_are_read_too(name: str) -> None:
    """A program for three samples gives the same values, whatever else has three values in it."""
    function, shape = _models()[name]
    model, x = _Parts(function).eval(), torch.randn(3, *shape)
    with torch.no_grad():
        source = read(torch.export.export(model, (x,), strict=False))
        expected = model(x).numpy()
    found = evaluate(source.graph, {source.graph.inputs[0]: x.numpy()})["output"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    check_values(source, batch=2)
