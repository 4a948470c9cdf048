"""Models that mix the samples of a batch are refused.

`test_pytorch_batch_axis.py` has those that only look like it, which are read.

Each is a function of `(batch, 4, 6)`, applied to the input itself and behind a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.errors import SpikewrightError
from spikewright.frontends.pytorch import read

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


NAMES = [*MIXING, *(f"returns {name}" for name in OUTPUTS)]


def _example() -> Tensor:
    return torch.randn(3, ROWS, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "behind"), list(zip(NAMES, cycle([False, True]), strict=False)))
def test_a_model_that_mixes_samples_is_refused(name: str, behind: bool) -> None:
    """No network that runs on one sample at a time computes it, so reading says where it mixes."""
    function = OUTPUTS[name[8:]] if name.startswith("returns ") else MIXING[name]
    with pytest.raises(SpikewrightError, match=r"sample|batch"):
        read(Body(function, behind).eval(), _example())
