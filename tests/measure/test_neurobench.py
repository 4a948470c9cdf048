"""Operations beside those of NeuroBench 2.3.0, on the same network and the same spikes.

NeuroBench brings large packages for its data sets along, so it is no part of the `dev` extra: what
it counted is written down here, and CI installs it alone and counts again (`-m neurobench`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from counting import PADDED, RELU, counter_of, totals_of

import spikewright as sw
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Affine, Convolution, Input, Reshape
from spikewright.measure.operations import Operations

STEPS, SAMPLES = 6, 4

# What NeuroBench 2.3.0 counts of `network()`, a sample on average, one sample a batch, under torch
# 2.13: effective multiply-accumulates and accumulates, and dense operations.
COUNTED = {1: (1378.5, 3044.25, 11298.0), None: (2947.75, 1386.25, 11298.0)}


def eighths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights that are multiples of 1/8, so that every sum is exact; some are zero."""
    return rng.integers(-5, 8, shape) / 8


def network() -> Graph:
    """An image of 8 x 8, two padded convolutions (one strided), a matrix to 5 outputs."""
    rng = np.random.default_rng(20)
    nodes = (
        GraphNode("x", Input((1, 8, 8))),
        GraphNode(
            "conv1", Convolution(eighths(rng, 3, 1, 3, 3), None, (2, 2), PADDED, (1, 1)), ("x",)
        ),
        GraphNode("relu1", RELU, ("conv1",)),
        GraphNode(
            "conv2", Convolution(eighths(rng, 4, 3, 3, 3), None, (1, 1), PADDED, (1, 1)), ("relu1",)
        ),
        GraphNode("relu2", RELU, ("conv2",)),
        GraphNode("flat", Reshape((64,)), ("relu2",)),
        GraphNode("fc", Affine(eighths(rng, 5, 64), None), ("flat",)),
    )
    return Graph(nodes, {"y": "fc"})


def images() -> np.ndarray:
    """Images of eighths, a quarter of which are dark."""
    rng = np.random.default_rng(21)
    return rng.integers(1, 8, (SAMPLES, 1, 8, 8)) / 8 * (rng.random((SAMPLES, 1, 8, 8)) > 0.25)


def counted(cap: int | None) -> Operations:
    """Operations of the network's spiking form, from its own spikes, step by step."""
    conversion = sw.convert(network(), spiking=True, max_spikes_per_step=cap)
    runs = [
        totals_of(conversion.run(images(), steps=t, dt=1.0, progress=False))
        for t in range(1, STEPS + 1)
    ]
    events = {
        name: (np.diff([run[name] for run in runs], axis=0, prepend=0.0) > 0).sum(axis=0)
        for name in runs[0]
    }
    return counter_of(conversion).count(runs[-1], STEPS, {"x": images()}, events)


def test_counts_are_those_that_neurobench_gave() -> None:
    """Accumulates, multiply-accumulates and dense operations of one-spike neurons are the same."""
    total = counted(1).total()
    found = total.input_per_step, total.accumulates, total.dense
    assert tuple(values.mean() for values in found) == COUNTED[1]


def test_bursts_are_events_for_neurobench() -> None:
    """It counts all spikes of a neuron in a step once, and as products in a step with bursts.

    So do the ways to count events here, but for a whole run: the sum of both is the same.
    """
    total = counted(None).total()
    products, sums, dense = COUNTED[None]
    events = total.event_accumulates + total.event_multiply_accumulates
    assert (events + total.input_per_step).mean() == products + sums
    assert total.dense.mean() == dense
    assert events.mean() < total.accumulates.mean()  # there are bursts


@pytest.mark.neurobench
@pytest.mark.parametrize("cap", [1, None])
def test_neurobench_still_counts_so(cap: int | None) -> None:
    """The numbers above, counted again by the installed NeuroBench on the network in torch."""
    assert by_neurobench(cap) == COUNTED[cap]


def by_neurobench(cap: int | None) -> tuple[float, float, float]:
    """Multiply-accumulates, accumulates and dense operations, a sample on average."""
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel

    data = torch.utils.data.TensorDataset(
        torch.tensor(images(), dtype=torch.float32), torch.zeros(SAMPLES)
    )
    loader = torch.utils.data.DataLoader(data, batch_size=1)
    model = TorchModel(in_torch(cap))
    found = Benchmark(model, loader, [], [], [[], [SynapticOperations]]).run()
    counts = found["SynapticOperations"]
    return counts["Effective_MACs"], counts["Effective_ACs"], counts["Dense"]


def in_torch(cap: int | None) -> Any:
    """The spiking network in torch: the weights of `network()`, one call of each layer a step."""
    import torch
    from torch import nn

    layers = {node.name: node.layer for node in network()}

    def weigh(module: Any, name: str) -> Any:
        module.weight.data = torch.tensor(layers[name].weight, dtype=torch.float32)  # type: ignore[attr-defined]
        return module

    class Fire(nn.Module):
        """Integrates and fires from half a spike on, up to `cap` spikes a step."""

        def __init__(self) -> None:
            super().__init__()
            self.voltage: Any = 0.5

        def forward(self, current: Any) -> Any:
            voltage = self.voltage + current
            spikes = torch.clamp(torch.floor(voltage), 0, cap)
            self.voltage = voltage - spikes
            return spikes

    class Spiking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = weigh(nn.Conv2d(1, 3, 3, 2, 1, bias=False), "conv1")
            self.conv2 = weigh(nn.Conv2d(3, 4, 3, 1, 1, bias=False), "conv2")
            self.fc = weigh(nn.Linear(64, 5, bias=False), "fc")
            self.fire1, self.fire2 = Fire(), Fire()

        def forward(self, image: Any) -> Any:
            self.fire1.voltage = self.fire2.voltage = 0.5
            total = 0
            for _ in range(STEPS):
                spikes = self.fire1(self.conv1(image))
                total = total + self.fc(self.fire2(self.conv2(spikes)).flatten(1))
            return total

    return Spiking()
