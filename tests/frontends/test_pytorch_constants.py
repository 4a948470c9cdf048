"""Constants that the size of the batch is in: folded where all samples get the same of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pytorch_helpers import Of, check, check_values
from torch import nn

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.pytorch import read
from spikewright.graph import evaluate

TABLE = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
ROW = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


COUNTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "free": lambda x: x.size(0),
    "fixed": len,  # a Python number, with which the program is for one size of the batch
}


class _Tables(Of):
    """A module with tables: learned positions, and a buffer of ids; `count` counts samples."""

    def __init__(self, function: Callable[..., Any], batch: str) -> None:
        super().__init__(function, positions=nn.Embedding.from_pretrained(TABLE))
        self.register_buffer("ids", torch.arange(6)[None])
        self.count = COUNTS[batch]


def _mask_of_arange(m: Any, x: torch.Tensor) -> torch.Tensor:
    """A causal mask over (batch, query, key) as libraries build it: the batch's index is unused."""
    samples, steps = torch.arange(m.count(x))[:, None, None], torch.arange(3)
    causal = (steps[:, None] >= steps) & (samples >= 0)
    return (x @ x.mT).masked_fill(~causal, -torch.inf).softmax(-1) @ x


def _gathered(m: Any, x: torch.Tensor) -> torch.Tensor:
    kinds = (
        torch.zeros_like(m.ids)
        .expand(m.count(x), -1)
        .gather(1, m.ids[:, :3].expand(m.count(x), -1))
    )
    return x + m.positions(kinds)


FOLDED: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "kinds of zeros": lambda m, x: x + m.positions(torch.zeros(x.shape[:2], dtype=torch.long)),
    "expanded buffer": lambda m, x: x + m.positions(m.ids.expand(m.count(x), -1)[:, 1:4]),
    "mask of arange": _mask_of_arange,
    "gathered kinds": _gathered,
    "like another": lambda m, x: x + m.positions(torch.zeros_like(x[..., 0]).long()),
    "expanded to a value": lambda m, x: x * ROW.expand_as(x).sigmoid() + ROW.type_as(x),
    "positions counted": lambda m, x: x + m.positions(torch.ones(m.count(x), 3).cumsum(1).long()),
    "ends of documents": lambda m, x: (
        x + m.positions((m.ids[:, :3].expand(m.count(x), -1).diff() != 1).cumsum(1)[:, :1])
    ),
    "rows summed": lambda m, x: x + ROW.expand(m.count(x), 3, 4).mean(0),
    "rows sorted": lambda m, x: x + ROW.expand(m.count(x), 3, 4).sort(0).values.flip(0).roll(1, 0),
    "rows multiplied": lambda m, x: (
        x + torch.einsum("bij,jk->bik", ROW.expand(m.count(x), 3, 4), ROW.T @ ROW)
    ),
    "rows side by side": lambda m, x: torch.cat([ROW.repeat(m.count(x), 1, 1), x], 1),
    "rows in one axis": lambda m, x: (x.flatten(0, 1) + ROW.repeat(m.count(x), 1)).view(x.shape),
    "each row repeated": lambda m, x: (
        (x.transpose(0, 1).flatten(0, 1) + ROW.repeat_interleave(m.count(x), 0))
        .view(3, -1, 4).transpose(0, 1)
    ),
    "tokens that attend": lambda m, x: torch.cat(
        [nn.functional.scaled_dot_product_attention(t := ROW.expand(m.count(x), 3, 4), t, t), x], 1
    ),
    "filled as wide as the batch": lambda m, x: x * torch.full((m.count(x), 3, 1), 2.0),
}  # fmt: skip


@pytest.mark.parametrize(("name", "batch"), list(zip(FOLDED, cycle(COUNTS), strict=False)))
def test_rows_that_are_equal_are_folded(name: str, batch: str) -> None:
    """A constant with the same row for every sample is that row, of free and fixed batches."""
    model = _Tables(FOLDED[name], batch)
    check(model, (3, 4))
    x = torch.randn(4, 3, 4, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        check_values(read(torch.export.export(model, (x,), strict=False)))


REFUSED: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "positions of samples": lambda m, x: x + m.positions(torch.arange(m.count(x)))[:, None],
    "a mask of samples": lambda m, x: (x @ x.mT).masked_fill(
        torch.arange(m.count(x))[:, None, None] > torch.arange(3), -1e4
    ),
    "number of samples looked up": lambda m, x: x + m.positions(torch.tensor(1) * m.count(x)),
    "as many as samples": lambda m, x: x + torch.ones(m.count(x), 3, 4).sum(0),
    "one over the batch": lambda m, x: x * torch.full_like(x[:1], 1 / m.count(x)),
    "rows by turns": lambda m, x: x + (torch.arange(m.count(x)) % 2)[:, None, None],
    "rows of the other axis": lambda m, x: (
        x.flatten(0, 1) + ROW.repeat_interleave(m.count(x), 0)
    ).view(x.shape),
    "rolled as far": lambda m, x: x + TABLE.roll(m.count(x), 0)[0],
}  # fmt: skip


@pytest.mark.parametrize(("name", "batch"), list(zip(REFUSED, cycle(COUNTS), strict=False)))
def test_rows_that_differ_are_refused(name: str, batch: str) -> None:
    """What differs by sample, or depends on how many samples there are, is no constant."""
    with pytest.raises(UnsupportedLayerError, match="samples cannot be mixed"):
        read(_Tables(REFUSED[name], batch), np.zeros((4, 3, 4), np.float32))


def test_constants_of_a_batch_that_is_bounded() -> None:
    """Constants are computed for numbers of samples that the program allows."""
    many = torch.export.Dim("many", min=5, max=9)
    program = torch.export.export(
        _Tables(FOLDED["expanded buffer"], "free"),
        (torch.randn(6, 3, 4),),
        dynamic_shapes=(({0: many},),),
    )
    check_values(read(program), batch=7)


def _windows(m: Any, x: torch.Tensor) -> torch.Tensor:
    """A mask of windows, numbered slice by slice, as in Swin transformers."""
    numbers = x.new_zeros(3)
    for number, part in enumerate((slice(0, -2), slice(-2, -1), slice(-1, None))):
        numbers[part] = number
    return x * numbers[:, None] + x


def _before_and_after(m: Any, x: torch.Tensor) -> torch.Tensor:
    weights = torch.linspace(-1, 1, 4)
    first, pairs = x * weights, weights.view(2, 2)
    pairs[1].add_(0.5)
    second = first * weights
    weights.mul_(2)
    return torch.cat([first, second, x * pairs.flatten()], 1)


def _also_a_sample(m: Any, x: torch.Tensor) -> torch.Tensor:
    rows = torch.zeros(m.count(x), 3, 4)
    rows[:, 0] = 1.5
    rows[:, 1] = x[:, 1]
    return rows + x


def _a_weight(m: Any, x: torch.Tensor) -> torch.Tensor:
    m.positions.weight[0].add_(1)
    return x + m.positions.weight[0]


@pytest.mark.parametrize(
    ("forward", "alone", "batch"),
    [(_windows, True, "free"), (_before_and_after, True, "fixed"), (_also_a_sample, False, "free")],
)
def test_constants_that_are_changed_in_place(
    forward: Any, alone: bool, batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of constants alone is done where it stands, and the program is not retraced.

    What has been read of a constant before is what it was then; samples are followed as ever.
    """
    retraced = []
    decompose = torch.export.ExportedProgram.run_decompositions

    def noted(program: Any, *table: Any) -> Any:
        retraced.append(program)
        return decompose(program, *table)

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", noted)
    model = _Tables(forward, batch)
    graph = check(model, (3, 4))
    assert bool(retraced) != alone
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(2))
    found = evaluate(graph, {"inputs_0": x.numpy()})["output"]
    np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-5, atol=1e-6)


def test_weights_that_are_changed_in_place_are_refused() -> None:
    """They are what the module holds: a second call gives another result."""
    model = _Tables(_a_weight, "free")
    before = model.positions.weight.clone()
    with pytest.raises(UnsupportedLayerError):
        read(model, torch.randn(4, 3, 4))
    assert torch.equal(model.positions.weight, before)


_STEPS: dict[str, Callable[[torch.Tensor, Any], torch.Tensor]] = {
    "expand": lambda c, n: c.expand(n, 3, 4) if c.shape[0] == 1 else c,
    "ones": lambda c, n: c + torch.ones(n, 1, 1),
    "count": lambda c, n: c * 0.5 + torch.arange(n)[:, None, None] * 0.25,
    "forget": lambda c, n: c * 0,
    "first": lambda c, n: c[:1],
    "sum": lambda c, n: c.sum(0, keepdim=True),
    "mean": lambda c, n: c.mean(0, keepdim=True),
    "largest": lambda c, n: c.amax(0, keepdim=True).expand(n, 3, 4),
    "cumulate": lambda c, n: c.cumsum(0),
    "sort": lambda c, n: c.sort(0).values,
    "turn": lambda c, n: c.flip(0),
    "softmax": lambda c, n: c.softmax(1),
    "weigh": lambda c, n: c @ TABLE[:4],
    "merge": lambda c, n: (c.expand(n, 3, 4).reshape(-1, 4) + 1).view(n, 3, 4),
    "mix": lambda c, n: c.expand(n, 3, 4).reshape(3, -1, 4).transpose(0, 1),
    "compare": lambda c, n: (c > c.mean()).float() + c,
}  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(_STEPS)), min_size=1, max_size=4),
    st.sampled_from(sorted(COUNTS)),
)
@example(["count"], "free")
@example(["expand", "count", "forget"], "free")
@example(["expand", "sum"], "fixed")
@example(["expand", "mean", "merge"], "fixed")
def test_any_constant_is_right_or_refused(steps: list[str], batch: str) -> None:
    """Whatever is done to a constant, the graph computes what the module does for any batch.

    Where a sample's output depends on the others or on their number, no graph could, and there
    must be none.
    """

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        constant = ROW[None]
        for step in steps:
            constant = _STEPS[step](constant, m.count(x))
        return x + constant

    model = _Tables(forward, batch)
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(3))
    alone = torch.cat([model(x[i : i + 1]) for i in range(5)])
    together = [model(x), model(x.flip(0)).flip(0), torch.cat([model(x[:2]), model(x[2:])])]
    mixes = any(not torch.allclose(alone, found, atol=1e-5) for found in together)
    try:
        graph = read(model, x[:2]).graph
    except UnsupportedLayerError:
        return
    assert not mixes
    found = evaluate(graph, {"inputs_0": x.numpy()})["output"]
    np.testing.assert_allclose(found, together[0].numpy(), rtol=1e-4, atol=1e-5)
