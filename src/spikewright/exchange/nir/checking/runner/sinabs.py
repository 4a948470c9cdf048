"""sinabs: samples and steps share the batch axis."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from .stepped import listen


class Model:
    """A file as sinabs reads it; it counts time in steps."""

    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.exchange = import_module("sinabs.nir")
        self.torch = import_module("torch")

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file; `dt` is not asked for."""
        self.graph = import_module("nir").read(path)
        self.neurons = neurons
        self._module(1, {})

    def _module(self, batch: int, sent: dict[str, Any]) -> Any:
        """A module for so many samples, whose neurons write what they send."""
        module = self.exchange.from_nir(self.graph, batch_size=batch).eval()
        listen(module, self.neurons, sent.__setitem__)
        return module

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        sent: dict[str, Any] = {}
        module = self._module(len(x), sent)
        with self.torch.no_grad():
            output = module(self.torch.from_numpy(x.reshape(-1, *x.shape[2:])))
        output = output[0] if isinstance(output, tuple) else output
        split = (len(x), x.shape[1])
        spikes = {name: s.reshape(*split, *s.shape[1:]) for name, s in sent.items()}
        return output.numpy().reshape(*split, *output.shape[1:]), spikes
