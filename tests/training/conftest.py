"""A small trained network, converted, and the digits that it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import spikewright as sw


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """A thousand small digits and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[:1000] / 16.0).astype(np.float32)[:, None], found.target[:1000]


@pytest.fixture(scope="session")
def conversion(digits: tuple[Any, Any]) -> sw.Conversion:
    """A small trained network with batch normalisation; its neurons take spikes back."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(8 * 16, 24), nn.ReLU(), nn.Linear(24, 10),
    )  # fmt: skip
    x, y = (torch.from_numpy(values) for values in digits)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(4):
        for part in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    return sw.convert(
        model.eval(), spiking={"relu": sw.BipolarIntegrateAndFire()}, example_input=x[:1]
    )
