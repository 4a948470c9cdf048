"""snnTorch: a module that takes a step a call, once its neurons keep their own state."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from .stepped import Stepped


class Model:
    """What snnTorch makes of a file; it has a step of its own, and takes no other."""

    def __init__(self) -> None:
        self.snntorch = import_module("snntorch")
        self.reading = import_module("snntorch.import_nir")
        self.notes: tuple[str, ...] = ()

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file; `dt` is not asked for."""
        module = self.reading.import_from_nir(import_module("nir").read(path))
        self.cells = [m for m in module.modules() if isinstance(m, self.snntorch.SpikingNeuron)]
        if any(not cell.init_hidden for cell in self.cells):
            self.notes = ("its module runs only after init_hidden=True was set on its neurons",)
        for cell in self.cells:
            cell.init_hidden = True
        self.stepped = Stepped(module, neurons)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        for cell in self.cells:
            cell.reset_mem()
        return self.stepped.run(x)
