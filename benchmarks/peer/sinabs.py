"""sinabs: `IAFSqueeze` over all steps at once, with one or many spikes a step."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from benchmarks.network import Workload
from benchmarks.peer.base import Contestant, Layout
from benchmarks.peer.torch_modules import LAYOUTS, TorchRunner, formatted, modules


class Sinabs(TorchRunner):
    """Samples and steps share the batch axis, as sinabs has it."""

    def __init__(self, work: Workload, layout: Layout, many: bool) -> None:
        from sinabs.activation import MultiSpike, SingleSpike
        from sinabs.layers import IAFSqueeze

        node = partial(
            IAFSqueeze,
            batch_size=work.batch,
            spike_fn=MultiSpike if many else SingleSpike,
            min_v_mem=None,
        )
        self.net, self.x = formatted(nn.Sequential(*modules(work, node)), work, layout)
        self.neurons = [m for m in self.net if isinstance(m, IAFSqueeze)]
        self.steps = work.steps

    def simulate(self) -> torch.Tensor:
        for neuron in self.neurons:
            neuron.reset_states()
        every = self.x.unsqueeze(1).expand(-1, self.steps, *self.x.shape[1:]).flatten(0, 1)
        return self.net(every).unflatten(0, (-1, self.steps)).sum(1)


def contestants() -> list[Contestant]:
    """Both spike functions."""
    return [
        Contestant(
            f"sinabs, {spikes} spike{'s' * many} a step",
            "peer",
            "many" if many else "one",
            partial(Sinabs, many=many),
            False,
            LAYOUTS,
        )
        for many, spikes in ((False, "one"), (True, "many"))
    ]
