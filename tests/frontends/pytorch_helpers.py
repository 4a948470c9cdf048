"""Small models, and the comparison that every reading must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from spikewright.frontends import Source
from spikewright.frontends.pytorch import read
from spikewright.graph import Graph, evaluate_all
from spikewright.graph.integer_inputs import random_inputs
from spikewright.testing.frontends import check_call


class Of(nn.Module):
    """A module whose forward pass is a function of its submodules and its inputs."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self, *inputs)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with random weights and statistics; variances stay positive."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point():
                values = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(values.abs() + 0.5 if "var" in name else values)
    return module


def samples(graph: Graph, batch: int = 3, seed: int = 1) -> dict[str, np.ndarray]:
    """Random inputs of another batch size than any example's."""
    found = random_inputs(graph, seed, batch)
    return {name: value.astype(np.float32) for name, value in found.items()}


def check_values(source: Source, tolerance: float = 1e-5, batch: int = 3) -> None:
    """Every node that PyTorch shows has the value that the graph gives it."""
    inputs = samples(source.graph, batch)
    ours, theirs = evaluate_all(source.graph, inputs), source.activations(inputs)
    assert set(source.graph.outputs.values()) <= set(theirs) <= set(ours)
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        error, scale = np.abs(ours[name] - value).max(), np.abs(value).max()
        assert error <= tolerance * scale, f"{name}: {error} of {scale}"
    check_call(source, inputs, tolerance)


def check(model: nn.Module, *shapes: tuple[int, ...], batch: int = 2) -> Graph:
    """Read a model from random example inputs of these unbatched shapes, and compare values."""
    generator = torch.Generator().manual_seed(2)
    example = tuple(torch.randn(batch, *shape, generator=generator) for shape in shapes)
    source = read(model, example)
    check_values(source)
    return source.graph
