"""What the tests of the diagnosis share: a study of one run, sabotage, a small trained network."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright.diagnosis.layer_losses import Batch, DiagnosedSamples
from spikewright.diagnosis.mean_propagation import MeanPropagation
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Add, Affine, Input, MaxPool, Reshape
from spikewright.showing.demo import digits

Parts = dict[str, dict[str, NDArray]]


@dataclass(frozen=True, eq=False)
class Study:
    """A run, the plan of it, and what was made of its samples."""

    conversion: sw.Conversion
    run: sw.results.Run
    plan: MeanPropagation
    batch: Batch

    def part(self, layer: str, name: str) -> NDArray:
        """One part of one layer's gap."""
        return self.batch.parts[layer][name]  # type: ignore[index]


def study(
    conversion: sw.Conversion, x: NDArray, steps: int, dt: float = 0.001, seed: int = 0
) -> Study:
    """Run a conversion and split the gaps of all its layers."""
    inputs = conversion.as_inputs(x)
    run = conversion.run(x, steps, dt, seed=seed, progress=False)
    plan = MeanPropagation.of(conversion, steps, dt, seed)
    return Study(conversion, run, plan, DiagnosedSamples(plan, inputs, run).first)


def residual(seed: int = 0) -> Graph:
    """Three convolutions with ReLU, the second passed by a sum; max pooling, weights on top."""
    rng = np.random.default_rng(seed)
    pool = MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    nodes = (
        GraphNode("x", Input((2, 6, 6))),
        GraphNode("conv1", models.convolution(rng, 6, 2), ("x",)),
        GraphNode("relu1", Activation("relu"), ("conv1",)),
        GraphNode("conv2", models.convolution(rng, 6, 6), ("relu1",)),
        GraphNode("relu2", Activation("relu"), ("conv2",)),
        GraphNode("pool", pool, ("relu2",)),
        GraphNode("skip", pool, ("relu1",)),
        GraphNode("conv3", models.convolution(rng, 6, 6), ("pool",)),
        GraphNode("sum", Add(), ("conv3", "skip")),
        GraphNode("relu3", Activation("relu"), ("sum",)),
        GraphNode("flat", Reshape((54,)), ("relu3",)),
        GraphNode("fc", Affine(rng.normal(size=(5, 54)) / 5, rng.normal(size=5) / 4), ("flat",)),
    )
    return Graph(nodes, {"output": "fc"})


def sabotaged(graph: Graph, layer: str, reader: str, factor: float = 20.0) -> Graph:
    """The same function, with one layer's values divided by `factor` and its reader's weights
    multiplied by it."""
    changes: dict[str, Any] = {}
    first, second = graph[layer].layer, graph[reader].layer
    bias = None if first.bias is None else np.asarray(first.bias, np.float64) / factor
    weight = np.asarray(first.weight, np.float64) / factor
    changes[layer] = replace(first, weight=weight, bias=bias)
    changes[reader] = replace(second, weight=np.asarray(second.weight, np.float64) * factor)
    nodes = tuple(replace(n, layer=changes.get(n.name, n.layer)) for n in graph)
    return Graph(nodes, graph.outputs, graph.aliases)


def trained() -> sw.Conversion:
    """A rate conversion of two convolutions, two max poolings and two dense layers.

    Trained on the digits for some seconds, seeded.
    """
    import torch
    from torch import nn

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums on any number of cores
    torch.manual_seed(0)
    layers = OrderedDict(
        conv1=nn.Conv2d(1, 12, 3, padding=1),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(12, 24, 3, padding=1),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(24 * 4, 48),
        relu3=nn.ReLU(),
        fc2=nn.Linear(48, 10),
    )
    model = nn.Sequential(layers)
    images, labels = map(torch.as_tensor, digits()[0])
    batches, epochs = -(-len(images) // 64), 12
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=epochs * batches)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=order).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    torch.set_num_threads(threads)
    return sw.convert(model.eval(), example_input=images[:1])
