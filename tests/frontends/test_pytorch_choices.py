"""Truth values, places and masks that come from the input, and what people's models use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of, check, randomised
from torch import nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.pytorch import read
from spikewright.frontends.pytorch.packed import ask_every_expert
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
