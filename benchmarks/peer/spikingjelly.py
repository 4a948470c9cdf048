"""SpikingJelly: `IFNode` with soft reset, step by step and over all steps at once."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import nn

from benchmarks.network import Workload
from benchmarks.peer.base import Contestant, Layout
from benchmarks.peer.torch_modules import Makers, TorchRunner, compiled, formatted, modules
from benchmarks.peer.torch_modules import contestants as made_both

Mode = Literal["s", "m"]


class SpikingJelly(TorchRunner):
    """`mode` is SpikingJelly's step mode: "s" is called once a step, "m" once a run."""

    def __init__(
        self, work: Workload, layout: Layout, mode: Mode, compile: bool = False, once: bool = False
    ) -> None:
        from spikingjelly.activation_based import functional, layer, neuron

        makers = Makers(
            *(
                partial(kind, step_mode=mode)
                for kind in (layer.Conv2d, layer.Linear, layer.AvgPool2d, layer.Flatten)
            )
        )
        node = partial(neuron.IFNode, v_threshold=1.0, v_reset=None, step_mode=mode)
        layers = self.made(modules(work, node, makers), work, layout, once)
        net, _ = formatted(nn.Sequential(*layers), work, layout)
        self.neurons = [m for m in net if isinstance(m, neuron.IFNode)]
        self.reset = partial(functional.reset_net, net)
        self.net = compiled(net) if compile else net
        self.steps, self.mode = work.steps, mode

    def simulate(self) -> torch.Tensor:
        self.reset()
        if self.mode == "m":
            return self.net(self.inputs).sum(0)
        first, *later = self.inputs
        outputs = self.net(first)
        for x in later:
            outputs = outputs + self.net(x)
        return outputs


def contestants() -> list[Contestant]:
    """Both step modes, and the single step compiled."""
    single, multi = (partial(SpikingJelly, mode=mode) for mode in ("s", "m"))
    return made_both(
        [
            ("SpikingJelly, single step", single, False),
            ("SpikingJelly, multi step", multi, False),
            ("SpikingJelly, single step, compiled", partial(single, compile=True), True),
        ]
    )
