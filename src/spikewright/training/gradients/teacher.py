"""The source as a teacher: its outputs, computed once for all epochs where they fit into memory."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import torch

from spikewright.engines.torch.device import Tensor, numpy_of
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.batches import TensorBatches
from spikewright.training.gradients.losses import JudgedOutput
from spikewright.training.gradients.rounded import RoundedNetwork, Values

ROOM = 2**30
"""Bytes that the outputs of all samples may take; fixed, so that results depend on nothing else."""


class Teacher:
    """Outputs of the network that is imitated, as losses compare them."""

    def __init__(
        self, network: RoundedNetwork, judged: Mapping[str, JudgedOutput], batches: TensorBatches
    ) -> None:
        self._network, self._judged, self._batches = network, judged, batches

    @torch.no_grad()
    def __call__(self, batch: TrainingSamples, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs for a batch: those that are known, or computed now."""
        if batch.aside:
            return {name: self._batches.tensor(batch.aside[name]) for name in self._judged}
        return self.outputs(self.values(inputs))

    @torch.no_grad()
    def values(self, inputs: Mapping[str, Tensor]) -> Values:
        """Values of all nodes for a batch; they are never remembered."""
        return self._network(inputs)[0]

    @torch.no_grad()
    def of(self, samples: TrainingSamples, nodes: Collection[str]) -> Iterator[Values]:
        """Values of some nodes, a batch after the other."""
        for batch in self._batches.of(samples):
            values = self.values(self._batches.inputs(batch))
            yield {name: values[name] for name in nodes}

    def outputs(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those among the values of all nodes that losses compare."""
        return {name: values[one.node] for name, one in self._judged.items()}

    def remembered(self, samples: TrainingSamples) -> TrainingSamples:
        """The same samples with these outputs aside; unchanged where they would take more room."""
        shapes = (self._network.graph.shapes[one.node] for one in self._judged.values())
        if 4 * len(samples) * sum(map(math.prod, shapes)) > ROOM:
            return samples
        parts = [self(batch, self._batches.inputs(batch)) for batch in self._batches.of(samples)]
        outputs = {n: numpy_of(torch.cat([part[n] for part in parts])) for n in self._judged}
        return replace(samples, aside=outputs)
