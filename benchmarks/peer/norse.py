"""Norse: `SNNCell` with a step that subtracts the threshold, in a loop over the steps.

The library's own integrate-and-fire step resets to zero, which is another model; the step here is
what a user writes instead, with Norse's threshold function.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from benchmarks.network import Workload
from benchmarks.peer.base import Contestant, Layout
from benchmarks.peer.torch_modules import TorchRunner, compiled, formatted, modules
from benchmarks.peer.torch_modules import contestants as made_both


class Norse(TorchRunner):
    """State goes in and comes out, as Norse has it."""

    def __init__(
        self, work: Workload, layout: Layout, compile: bool = False, once: bool = False
    ) -> None:
        from norse.torch import SequentialState
        from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters
        from norse.torch.functional.threshold import threshold
        from norse.torch.module.snn import SNNCell

        def step(current: torch.Tensor, state: Any, p: Any, dt: float = 1.0) -> tuple:
            voltage = state.v + current
            spikes = threshold(voltage - p.v_th, p.method, p.alpha)
            return spikes, IAFFeedForwardState(v=voltage - spikes * p.v_th)

        def start(current: torch.Tensor) -> Any:
            return IAFFeedForwardState(v=torch.zeros_like(current))

        cell = partial(SNNCell, step, start, IAFParameters())
        layers = self.made(modules(work, cell), work, layout, once)
        net, _ = formatted(SequentialState(*layers), work, layout)
        self.neurons = [m for m in net.modules() if isinstance(m, SNNCell)]
        self.net = compiled(net) if compile else net
        self.steps = work.steps

    def spikes(self, output: tuple[torch.Tensor, Any]) -> torch.Tensor:
        return output[0]

    def simulate(self) -> torch.Tensor:
        first, *later = self.inputs
        outputs, state = self.net(first, None)
        for x in later:
            value, state = self.net(x, state)
            outputs = outputs + value
        return outputs


def contestants() -> list[Contestant]:
    """The loop as it is, and with its step compiled."""
    compiling = partial(Norse, compile=True)
    return made_both([("Norse", Norse, False), ("Norse, compiled", compiling, True)])
