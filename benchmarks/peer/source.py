"""The yardstick L1: as many forward passes of the source network as there are steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.network import Workload, as_torch
from benchmarks.peer.base import Contestant, Layout
from benchmarks.peer.torch_modules import LAYOUTS, TorchRunner, formatted


class ForwardPasses(TorchRunner):
    """PyTorch, float32, one pass over the whole batch for every step."""

    neurons: Sequence[torch.nn.Module] = ()

    def __init__(self, work: Workload, layout: Layout) -> None:
        self.net, self.x = formatted(as_torch(work), work, layout)
        self.steps = work.steps

    def simulate(self) -> torch.Tensor:
        for x in self.inputs:
            outputs = self.net(x)
        return outputs


def contestants() -> list[Contestant]:
    """One for each memory format: the faster of their medians is L1."""
    return [
        Contestant(
            f"forward passes, {layout.replace('_', ' ')}",
            "yardstick",
            "none",
            ForwardPasses,
            layouts=(layout,),
        )
        for layout in LAYOUTS
    ]
