"""Batches of samples as tensors on a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.engines.torch.device import Device, Tensor
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.losses import Truths


@dataclass(frozen=True)
class TensorBatches:
    """How many samples stand side by side, and where."""

    size: int
    device: Device

    def of(self, samples: TrainingSamples) -> Iterator[TrainingSamples]:
        """All samples in their order."""
        return samples.batches(self.size)

    def tensor(self, values: NDArray, kind: type = np.float32) -> Tensor:
        """An array as a tensor of a type."""
        return torch.from_numpy(np.ascontiguousarray(values, kind)).to(self.device)

    def inputs(self, samples: TrainingSamples) -> dict[str, Tensor]:
        """Inputs by name."""
        return {name: self.tensor(values) for name, values in samples.x.items()}

    def truths(self, samples: TrainingSamples) -> Truths:
        """Labels and targets by output, as they were given and as tensors."""
        return {
            name: (t, self.tensor(t.values, np.int64 if t.kind == "labels" else np.float32))
            for name, t in samples.y.items()
        }
