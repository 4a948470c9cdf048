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
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2)
        self.lstm, self.block = nn.LSTM(WIDTH, WIDTH), nn.TransformerEncoderLayer(WIDTH, 2, 8)

    def forward(self, x: Tensor) -> Tensor:
        """The function of `(batch, 4, 6)`, with a layer before or after."""
        if self.behind:
            return self.function(self, torch.relu(self.layer(x)) + 0.1)
        return self.function(self, x)


MIXING: dict[str, Function] = {
    "less the mean of the batch": lambda m, x: x - x.mean(0),
    "over the largest of all": lambda m, x: x / (1 + x.abs().amax()),
    "rows of all samples": lambda m, x: x + x.reshape(1, -1, WIDTH).mean(1, keepdim=True),
    "flipped batch": lambda m, x: x.flip(0),
    "softmax over the batch": lambda m, x: x.softmax(0),
    "the first sample for all": lambda m, x: x[:1].expand_as(x),
    "statistics of the batch": lambda m, x: F.batch_norm(x, None, None, training=True),
    "products of samples": lambda m, x: torch.einsum("bij,cij->bcij", x, x).mean(1),
    "norm along the batch": lambda m, x: F.normalize(x, dim=0),
    "attention over samples": lambda m, x: m.attention(x, x, x)[0],
    "transformer over samples": lambda m, x: m.block(x),
    "shifted by concatenation": lambda m, x: torch.cat([x[1:], x[:1]]),
    "mean of rows and samples": lambda m, x: x - x.mean((0, 2), keepdim=True),
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
