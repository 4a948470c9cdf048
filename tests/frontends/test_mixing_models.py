"""Models that mix the samples of a batch are refused; those that only look like it are read.

Each is a function of `(batch, 4, 6)`, applied to the input itself and behind a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.errors import SpikewrightError
from spikewright.frontends.pytorch import read
from spikewright.graph import evaluate

ROWS, WIDTH = 4, 6
Function = Callable[[Any, Tensor], Tensor]


class Body(nn.Module):
    """A function of a value and of the parts below, in front of a layer or behind one."""

    def __init__(self, function: Function, behind: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.function, self.behind = function, behind
        self.layer, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.gate = nn.Linear(WIDTH, 3)
        self.attention = nn.MultiheadAttention(WIDTH, 2)
        self.lstm, self.gru, self.rnn = (kind(WIDTH, WIDTH) for kind in (nn.LSTM, nn.GRU, nn.RNN))
        self.block = nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.0)
        self.cell = nn.LSTMCell(WIDTH, WIDTH)
        self.norm, self.group = nn.BatchNorm1d(WIDTH), nn.GroupNorm(2, ROWS)
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.register_buffer("positions", torch.randn(9, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """The function of `(batch, 4, 6)`, with a layer before or after."""
        if self.behind:
            return self.function(self, torch.relu(self.layer(x)) + 0.1)
        return self.function(self, x)


def _gram(_: Any, x: Tensor) -> Tensor:
    flat = x.flatten(1)
    return ((flat @ flat.T / flat.shape[1]).softmax(-1) @ flat).view_as(x)


MIXING: dict[str, Function] = {
    "less the mean of the batch": lambda m, x: x - x.mean(0),
    "over the largest of all": lambda m, x: x / (1 + x.abs().amax()),
    "rows of all samples": lambda m, x: x + x.reshape(1, -1, WIDTH).mean(1, keepdim=True),
    "running sum": lambda m, x: x.cumsum(0),
    "flipped batch": lambda m, x: x.flip(0),
    "rolled batch": lambda m, x: x.roll(1, 0),
    "softmax over the batch": lambda m, x: x.softmax(0),
    "plus the sum of all": lambda m, x: x + x.sum(),
    "times the first sample": lambda m, x: x @ x[0].transpose(0, 1) @ x,
    "the first sample for all": lambda m, x: x[:1].expand_as(x),
    "statistics of the batch": lambda m, x: F.batch_norm(x, None, None, training=True),
    "less the mean of merged rows": lambda m, x: (
        (y := x.reshape(-1, WIDTH)) - y.mean(0, keepdim=True)
    ).view_as(x),
    "products of samples": lambda m, x: torch.einsum("bij,cij->bcij", x, x).mean(1),
    "norm along the batch": lambda m, x: F.normalize(x, dim=0),
    "attention over samples": lambda m, x: m.attention(x, x, x)[0],
    "LSTM over samples": lambda m, x: m.lstm(x)[0],
    "GRU over samples": lambda m, x: m.gru(x)[0],
    "RNN over samples": lambda m, x: m.rnn(x)[0],
    "transformer over samples": lambda m, x: m.block(x),
    "beyond the largest": lambda m, x: x.amax(0, keepdim=True) - x,
    "similarities of samples": _gram,
    "shifted by concatenation": lambda m, x: torch.cat([x[1:], x[:1]]),
    "over the norm of all": lambda m, x: x / torch.linalg.vector_norm(x),
    "mean of rows and samples": lambda m, x: x - x.mean((0, 2), keepdim=True),
    "logarithm of summed exponentials": lambda m, x: x - x.logsumexp(0),
    "rows side by side": lambda m, x: x + x.transpose(0, 1).flatten(1).mean(1)[:, None],
    "its own last state": lambda m, x: x + m.lstm(x)[1][0],
}
OUTPUTS: dict[str, Function] = {
    "a mean of all": lambda m, x: x.mean(),
    "a mean over the batch": lambda m, x: x.mean(0),
    "the batch as another axis": lambda m, x: x.transpose(0, 1),
    "all values in one axis": lambda m, x: x.reshape(-1),
    "a fixed number of rows": lambda m, x: x.reshape(WIDTH, -1),
    "rows of all samples": lambda m, x: x.reshape(-1, WIDTH),
    "a row": lambda m, x: x.reshape(1, -1),
}


def _windows(m: Any, x: Tensor) -> Tensor:
    """Two windows of two rows, merged with the batch, as Swin has them."""
    parts = x.view(-1, 2, 2, WIDTH).flatten(0, 1)
    scores = (parts @ parts.transpose(1, 2)).softmax(-1)
    return (scores @ m.layer(parts)).view(-1, ROWS, WIDTH)


def _heads(m: Any, x: Tensor) -> Tensor:
    batch = x.shape[0]
    q = m.layer(x).view(batch, ROWS, 2, 3).transpose(1, 2).reshape(batch * 2, ROWS, 3)
    mixed = torch.bmm(torch.bmm(q, q.transpose(1, 2)).softmax(-1), q)
    return mixed.view(batch, 2, ROWS, 3).transpose(1, 2).reshape(batch, ROWS, WIDTH)


def _experts(m: Any, x: Tensor) -> Tensor:
    """Every token by three experts, weighted by its gate: tokens of all samples lie in one axis."""
    tokens = x.reshape(-1, WIDTH)
    weights = m.gate(tokens).softmax(-1)
    parts = torch.stack([m.layer(tokens), m.last(tokens), tokens], 1)
    return (weights[..., None] * parts).sum(1).view_as(x)


def _best_expert(m: Any, x: Tensor) -> Tensor:
    tokens = x.reshape(-1, WIDTH)
    scores = m.gate(tokens)
    hard = (scores == scores.amax(-1, keepdim=True)).to(x.dtype)
    parts = torch.stack([m.layer(tokens), m.last(tokens), tokens], 1)
    return (hard[..., None] * parts).sum(1).view_as(x)


def _frames(m: Any, x: Tensor) -> Tensor:
    images = x.view(-1, 1, 2, 3)
    return m.conv(images).view(x.shape[0], ROWS, -1)


def _cells(m: Any, x: Tensor) -> Tensor:
    h = c = x.new_zeros(x.shape[0], WIDTH)
    for row in x.unbind(1):
        h, c = m.cell(row, (h, c))
    return h


def _transposed(layer: Callable[[Any, Tensor], Tensor], m: Any, x: Tensor) -> Tensor:
    return layer(m, x.transpose(0, 1)).transpose(0, 1)


ALIKE: dict[str, Function] = {
    "merged windows": _windows,
    "merged heads": _heads,
    "squeezed": lambda m, x: m.last(x.mean(1, keepdim=True).squeeze()),
    "one number, squeezed": lambda m, x: m.last(x)[:, :1, :1].squeeze(),
    "by its own size": lambda m, x: x.view(x.shape[0], -1),
    "rows, merged and taken apart": lambda m, x: m.last(x.flatten(0, 1)).view_as(x),
    "experts of all tokens": _experts,
    "one expert a token": _best_expert,
    "attention, transposed": partial(_transposed, lambda m, x: m.attention(x, x, x)[0]),
    "LSTM, transposed": partial(_transposed, lambda m, x: m.lstm(x)[0]),
    "GRU, transposed": partial(_transposed, lambda m, x: m.gru(x)[0]),
    "transformer, transposed": partial(_transposed, lambda m, x: m.block(x)),
    "statistics of training": lambda m, x: m.norm(x.reshape(-1, WIDTH)).view_as(x),
    "normalised groups": lambda m, x: m.group(x),
    "copies of every sample": lambda m, x: (
        x.repeat_interleave(3, 0).view(x.shape[0], 3, ROWS, WIDTH).mean(1)
    ),
    "two batches in a row": lambda m, x: (
        torch.cat([x, 2 * x]).view(2, -1, ROWS, WIDTH).sum(0)
    ),
    "an axis in front": lambda m, x: m.last(x[None]).mean(0),
    "batches, stacked": lambda m, x: torch.stack([x, m.last(x)]).sum(0),
    "frames as images": _frames,
    "positions": lambda m, x: x + m.positions[: x.shape[1]],
    "cells with zeros for a state": _cells,
    "a token in front": lambda m, x: torch.cat([m.token.expand(x.shape[0], -1, -1), x], 1),
    "the batch last for a while": lambda m, x: torch.tanh(x.permute(1, 2, 0)).permute(2, 0, 1),
    "rolled rows": lambda m, x: x.roll(1, 1) + x.flip(1),
    "halves in front": lambda m, x: sum(x.view(-1, 2, 2, WIDTH).transpose(0, 1).unbind(0)),
    "the last row of every sample": lambda m, x: x[torch.arange(x.shape[0]), -1],
    "scaled products": lambda m, x: F.scaled_dot_product_attention(x, x, m.last(x)),
    "less its own mean": lambda m, x: x - x.mean((1, 2), keepdim=True),
    "a mask by its shape": lambda m, x: x * torch.tril(x.new_ones(x.shape[1], x.shape[2])),
    "shuffled channels": lambda m, x: x.view(-1, 2, 2, WIDTH).transpose(1, 2).reshape(x.shape),
    "a product over an axis in front": lambda m, x: torch.matmul(x[:, None], m.layer.weight)[:, 0],
}  # fmt: skip

PLACES = pytest.mark.parametrize("behind", [False, True], ids=["itself", "behind a layer"])


def _example() -> Tensor:
    return torch.randn(3, ROWS, WIDTH, generator=torch.Generator().manual_seed(1))


@PLACES
@pytest.mark.parametrize("name", [*MIXING, *(f"returns {name}" for name in OUTPUTS)])
def test_a_model_that_mixes_samples_is_refused(name: str, behind: bool) -> None:
    """No network that runs on one sample at a time computes it, so reading says where it mixes."""
    function = OUTPUTS[name[8:]] if name.startswith("returns ") else MIXING[name]
    with pytest.raises(SpikewrightError, match=r"sample|batch"):
        read(Body(function, behind).eval(), _example())


@PLACES
@pytest.mark.parametrize("name", ALIKE)
def test_a_model_that_keeps_samples_apart_is_read(name: str, behind: bool) -> None:
    """However it arranges its batch on the way; every sample is computed as the model does."""
    model, x = Body(ALIKE[name], behind).eval(), _example()
    graph = read(model, x).graph
    (found,) = evaluate(graph, {next(iter(graph.inputs)): x.numpy()}).values()
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_there_are_enough_of_both() -> None:
    """Sixty and more of either kind."""
    assert 2 * (len(MIXING) + len(OUTPUTS)) >= 60
    assert 2 * len(ALIKE) >= 60
