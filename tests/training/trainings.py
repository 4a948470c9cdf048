"""Short trainings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "frontends"))

from same_models import READERS as READERS
from same_models import Same
from test_same_model import MODELS as MODELS

import spikewright as sw
from spikewright.graph import Graph

STEPS = 2


def trained(conversion: sw.Conversion, x: Any, y: Any = None, **how: Any) -> Any:
    """A short training."""
    usual = {"steps": STEPS, "epochs": 3, "learning_rate": 2e-3, "progress": False}
    return conversion.train(x, y, **{**usual, **how})


def same_model(name: str, kind: str, **how: Any) -> tuple[Any, Any, sw.Conversion, Any]:
    """A model of the suite in one framework, its example, its conversion, and inputs."""
    same: Same = MODELS[name]
    made = getattr(same, {"pytorch": "of_torch", "keras": "of_keras", "onnx": "of_onnx"}[kind])()
    example = same.example() if kind == "pytorch" else None
    conversion = sw.convert(made, example_input=example, **{"spiking": True, **how})
    x = [value if kind == "keras" else same.moved(value) for value in same.inputs()]
    return made, example, conversion, dict(zip(conversion.graph.inputs, x, strict=True))


def moved_arrays(before: Graph, after: Graph) -> set[tuple[str, str]]:
    """The arrays of a graph that have other values in another, by layer and field."""
    return {
        (node.name, field)
        for node in before
        for field, array in node.layer.arrays().items()
        if not np.array_equal(array, after[node.name].layer.arrays()[field])
    }


def assert_same_run(one: sw.Conversion, other: sw.Conversion, x: Any, steps: int = STEPS) -> None:
    """Two networks send the same spikes, and some in every layer, and give the same answers."""
    runs = [c.run(x, steps=steps, progress=False) for c in (one, other)]
    sent, found = (run.spike_counts() for run in runs)
    assert sent.keys() == found.keys()
    for layer, counts in sent.items():
        assert counts.any()
        np.testing.assert_array_equal(counts, found[layer])
    np.testing.assert_array_equal(*(run.predict() for run in runs))


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
