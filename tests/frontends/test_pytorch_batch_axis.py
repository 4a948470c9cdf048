"""The batch axis anywhere inside a model: moved, merged with others, repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pytorch_helpers import Of, check, check_values
from torch import nn
from torch.nn import functional as F

from spikewright.frontends.pytorch import read
from spikewright.graph import evaluate


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
