"""sinabs: `IAFSqueeze` over all steps at once, with one or many spikes a step."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from benchmarks.network import Workload
from benchmarks.peer.base import Contestant, Layout
from benchmarks.peer.torch_modules import TorchRunner, formatted, modules
from benchmarks.peer.torch_modules import contestants as made_both


class Sinabs(TorchRunner):
    """Samples and steps share the batch axis, as sinabs has it."""

    def __init__(self, work: Workload, layout: Layout, many: bool, once: bool = False) -> None:
        from sinabs.activation import MultiSpike, SingleSpike
        from sinabs.layers import IAFSqueeze

        node = partial(
            IAFSqueeze,
            batch_size=work.batch,
            spike_fn=MultiSpike if many else SingleSpike,
            min_v_mem=None,
        )
        layers = self.made(modules(work, node), work, layout, once)
        self.net, _ = formatted(nn.Sequential(*layers), work, layout)
        self.neurons = [m for m in self.net if isinstance(m, IAFSqueeze)]
        self.steps = work.steps

    def simulate(self) -> torch.Tensor:
        for neuron in self.neurons:
            neuron.reset_states()
        every = self.inputs.transpose(0, 1).flatten(0, 1)
        return self.net(every).unflatten(0, (-1, self.steps)).sum(1)


def contestants() -> list[Contestant]:
    """Both spike functions."""
    one, many = (partial(Sinabs, many=many) for many in (False, True))
    return [
        *made_both([("sinabs, one spike a step", one, False)]),
        *made_both([("sinabs, many spikes a step", many, False)], "many"),
    ]
