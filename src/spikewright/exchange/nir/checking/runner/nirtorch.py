"""nirtorch with a map of its user's: neurons with the reset and start that the file states.

nirtorch wires modules and brings no neurons. So this is the reader that can be right: its neurons
keep the remainder with it, sends several spikes a step, and starts where the metadata say.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from .stepped import SteppedModel

TOLERANCE = 2.0**-16  # of a threshold, for sums that should be whole


class Model(SteppedModel):
    """A file as nirtorch reads it with the map below."""

    notes = ("with a map of IF, LIF, CubaLIF and Affine that is the check's own",)

    def __init__(self) -> None:
        self.nirtorch = import_module("nirtorch")
        self.nir = import_module("nir")
        self.torch = import_module("torch")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `nir_to_torch`, in double precision."""
        neuron = _neuron(self.torch)

        def made(node: Any) -> Any:
            return neuron(node, dt)

        neurons = (self.nir.IF, self.nir.LIF, self.nir.CubaLIF)
        node_map = {**dict.fromkeys(neurons, made), self.nir.Affine: self._affine}
        made_of = self.nirtorch.nir_to_torch
        return made_of(graph, node_map, dtype=self.torch.float64).double()

    def _affine(self, node: Any) -> Any:
        made = self.torch.nn.Linear(*reversed(node.weight.shape))
        made.weight.data = self.torch.from_numpy(np.asarray(node.weight))
        made.bias.data = self.torch.from_numpy(np.asarray(node.bias))
        return made

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        return super().run(x.astype(np.float64))


def _neuron(torch: Any) -> Any:
    """The class of IF, LIF and CubaLIF: a module of PyTorch, which is imported by then."""

    class Neuron(torch.nn.Module):
        def __init__(self, node: Any, dt: float) -> None:
            super().__init__()
            said = node.metadata
            self.threshold = _tensor(torch, node.v_threshold)
            self.start = _tensor(torch, said.get("v_init", 0.0))
            self.floor, self.most = said.get("voltage_floor"), said.get("max_spikes")
            tau = getattr(node, "tau_mem", getattr(node, "tau", None))
            leaks = tau is not None
            self.keeps = torch.exp(-dt / _tensor(torch, tau)) if leaks else 1.0
            self.synapse = None
            if hasattr(node, "tau_syn"):
                kept = torch.exp(-dt / _tensor(torch, node.tau_syn))
                self.synapse = kept, (1.0 - kept) * _tensor(torch, node.w_in)
            self.gain = _tensor(torch, node.r) * (1.0 - self.keeps if leaks else dt)
            self.rest = (1.0 - self.keeps) * _tensor(torch, node.v_leak) if leaks else 0.0

        def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
            before, current = (self.start, 0.0) if state is None else state
            if self.synapse is not None:
                x = current = self.synapse[0] * current + self.synapse[1] * x
            voltage = self.keeps * before + self.gain * x + self.rest
            count = torch.floor(voltage / self.threshold + TOLERANCE).clamp(min=0, max=self.most)
            voltage = voltage - count * self.threshold
            if self.floor is not None:
                voltage = torch.maximum(voltage, -float(self.floor) * self.threshold)
            return count, (voltage, current)

    return Neuron


def _tensor(torch: Any, values: Any) -> Any:
    return torch.from_numpy(np.asarray(values, np.float64))
