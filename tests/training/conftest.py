"""A small trained network, converted, and the digits that it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trainings import learn

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
    neurons = {"relu": sw.BipolarIntegrateAndFire()}
    return sw.convert(learn(model, digits, 4), spiking=neurons, example_input=digits[0][:1])
