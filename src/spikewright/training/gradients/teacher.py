"""Batches of samples as tensors, and the source as a teacher: what it answers for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.engines.torch.device import Device, Tensor, numpy_of
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.losses import JudgedOutput, Truths
from spikewright.training.gradients.rounded import RoundedNetwork

ROOM = 2**30
"""Bytes that the outputs of all samples may take; fixed, so that results depend on nothing else."""


class TrainingBatch:
    """Some samples, whose tensors are made as they are asked for."""

    def __init__(self, samples: TrainingSamples, teacher: Teacher) -> None:
        self.samples, self._teacher = samples, teacher

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Inputs by name."""
        return {name: self._teacher.tensor(x) for name, x in self.samples.x.items()}

    @cached_property
    def truths(self) -> Truths:
        """Labels and targets by output, as they were given and as tensors."""
        types = {"labels": np.int64}
        return {
            name: (truth, self._teacher.tensor(truth.values, types.get(truth.kind, np.float32)))
            for name, truth in self.samples.y.items()
        }

    @cached_property
    def wanted(self) -> dict[str, Tensor]:
        """The source's outputs by name, as losses compare them."""
        return self._teacher.outputs(self)


@dataclass(frozen=True, eq=False)
class Teacher:
    """The network that is imitated, and how many samples stand side by side, on which device.

    Its outputs are computed once for all epochs where they fit into memory.
    """

    network: RoundedNetwork
    judged: Mapping[str, JudgedOutput]
    size: int
    device: Device

    def batches(self, samples: TrainingSamples) -> Iterator[TrainingBatch]:
        """All samples in their order."""
        return (TrainingBatch(part, self) for part in samples.batches(self.size))

    def tensor(self, values: NDArray, kind: type = np.float32) -> Tensor:
        """An array as a tensor of a type."""
        return torch.from_numpy(np.ascontiguousarray(values, kind)).to(self.device)

    @torch.no_grad()
    def outputs(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """The outputs for a batch: those that are known, or computed now."""
        if aside := batch.samples.aside:
            return {name: self.tensor(aside[name]) for name in self.judged}
        values, _ = self.network(batch.inputs)
        return {name: values[one.node] for name, one in self.judged.items()}

    def remembered(self, samples: TrainingSamples) -> TrainingSamples:
        """The same samples with these outputs aside; unchanged where they would take more room."""
        shapes = (self.network.graph.shapes[one.node] for one in self.judged.values())
        if 4 * len(samples) * sum(map(math.prod, shapes)) > ROOM:
            return samples
        parts = [batch.wanted for batch in self.batches(samples)]
        outputs = {n: numpy_of(torch.cat([part[n] for part in parts])) for n in self.judged}
        return replace(samples, aside=outputs)
