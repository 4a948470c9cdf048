"""Short trainings."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import spikewright as sw

STEPS = 2


def trained(conversion: sw.Conversion, x: Any, y: Any = None, **how: Any) -> Any:
    """A short training."""
    usual = {"steps": STEPS, "epochs": 3, "learning_rate": 2e-3, "progress": False}
    return conversion.train(x, y, **{**usual, **how})


def learn(model: nn.Module, digits: tuple[Any, Any], epochs: int) -> nn.Module:
    """Train a model on images and labels, and return it as it is evaluated."""
    x, y = map(torch.from_numpy, digits)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    return model.eval()


class Twice(nn.Module):
    """A network that calls one of its layers twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.layer(torch.relu(self.layer(x)))))


class Transposed(nn.Module):
    """A network with a weight and its transpose, and a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.4 * torch.randn(6, 6))
        self.last = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        hidden = torch.relu(x @ self.weight)
        return self.last(torch.relu(hidden @ self.weight.t()))
