"""Neurons fed with given currents, and a small network, for checks on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw

STEPS, SIZE = 200, 40


def currents(mean: float = 0.3, deviation: float = 0.5, grid: int | None = 64) -> NDArray:
    """Currents `(steps, neurons)` of either sign, on a grid of 1/64, so that no sum is rounded.

    Without a grid no voltage is exactly a threshold.
    """
    found = np.random.default_rng(0).normal(mean, deviation, (STEPS, SIZE))
    return found if grid is None else np.round(found * grid) / grid


def driven(neuron: sw.NeuronType, given: NDArray, gain: float = 1.0, dt: float = 1e-3) -> NDArray:
    """Spikes of neurons of this type, `(steps, neurons)`, that start empty, fed with currents."""
    steps, size = given.shape
    neuron = replace(neuron, initial_state={"voltage": np.zeros(size)})
    with sw.Network(seed=0) as network:
        node = sw.Node(sw.processes.EachStep(given))
        ones, zeros = np.full(size, gain), np.zeros(size)
        cells = sw.Ensemble(size, None, neuron_type=neuron, gain=ones, bias=zeros)
        sw.Connection(node, cells, synapse=None)
        probe = sw.Probe(cells.neurons)
    simulator = sw.Simulator(network, dt, progress=False, engine="reference", precision="float64")
    simulator.run_steps(steps)
    return np.rint(np.asarray(simulator.data[probe]) * dt)


def stepped(node: Any, given: NDArray) -> NDArray:
    """Outputs of a neuron of PyTorch that is called once a step and keeps its state."""
    import torch

    return np.stack([node(torch.as_tensor(now)).detach().numpy() for now in given])


def slopes(theirs: Any, ours: Any) -> tuple[NDArray, NDArray]:
    """Slopes of two surrogates within a threshold of it."""
    import torch

    x = torch.linspace(-1, 1, 201, requires_grad=True)
    theirs(x).sum().backward()
    return x.grad.numpy(), ours.slope(np, x.detach().numpy())


def network(seed: int = 0) -> Any:
    """Two convolutions and a matrix with rectifiers between, trained for a moment on digits."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    (x, y), _ = sw.demo.digits()
    inputs, labels = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model.eval()


def images(count: int = 200) -> tuple[NDArray, NDArray]:
    """Digits that the network has not seen, and their labels."""
    _, (x, y) = sw.demo.digits()
    return (x[:count] / 16).astype(np.float32), y[:count]
