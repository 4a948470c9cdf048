"""snnTorch: `Leaky` without leak and with soft reset, in a loop over the steps."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from benchmarks.network import Workload
from benchmarks.peer.base import Contestant, Layout
from benchmarks.peer.torch_modules import TorchRunner, compiled, formatted, modules
from benchmarks.peer.torch_modules import contestants as made_both


class Step(nn.Module):
    """One step of the network; the voltages go in and come out."""

    def __init__(self, layers: list[nn.Module], spiking: list[bool]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.spiking = spiking

    def forward(
        self, value: torch.Tensor, voltages: list[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The output `(batch, 10)` of this step and the voltages after it."""
        after: list[torch.Tensor] = []
        for layer, spikes in zip(self.layers, self.spiking, strict=True):
            if spikes:
                value, voltage = layer(value, voltages[len(after)])
                after.append(voltage)
            else:
                value = layer(value)
        return value, after


class SnnTorch(TorchRunner):
    """The loop that snnTorch's own examples write."""

    def __init__(
        self, work: Workload, layout: Layout, compile: bool = False, once: bool = False
    ) -> None:
        import snntorch

        node = partial(snntorch.Leaky, beta=1.0, threshold=1.0, reset_mechanism="subtract")
        layers = self.made(modules(work, node), work, layout, once)
        spiking = [isinstance(layer, snntorch.Leaky) for layer in layers]
        net, _ = formatted(Step(layers, spiking), work, layout)
        self.neurons = [layer for layer in layers if isinstance(layer, snntorch.Leaky)]
        self.steps = work.steps
        self.zeros = self._voltages(layers)
        self.net = compiled(net) if compile else net

    def _voltages(self, layers: list[nn.Module]) -> list[torch.Tensor]:
        """A zero for every neuron, in the format of what arrives there."""
        zeros = []
        with torch.inference_mode():
            value = self.inputs[0]
            for layer in layers:
                if layer in self.neurons:
                    zeros.append(torch.zeros_like(value))
                else:
                    value = layer(value)
        return zeros

    def spikes(self, output: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return output[0]

    def simulate(self) -> torch.Tensor:
        first, *later = self.inputs
        outputs, voltages = self.net(first, [torch.zeros_like(zero) for zero in self.zeros])
        for x in later:
            value, voltages = self.net(x, voltages)
            outputs = outputs + value
        return outputs


def contestants() -> list[Contestant]:
    """The loop as it is, and with its step compiled."""
    compiling = partial(SnnTorch, compile=True)
    return made_both([("snnTorch", SnnTorch, False), ("snnTorch, compiled", compiling, True)])
