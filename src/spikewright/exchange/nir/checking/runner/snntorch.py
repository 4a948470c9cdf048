"""snnTorch: a module that takes a step a call, once its neurons keep their own state."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from .stepped import SteppedModel


class Model(SteppedModel):
    """A file as snnTorch reads it; it has a step of its own, and takes no other."""

    def __init__(self) -> None:
        self.snntorch = import_module("snntorch")
        self.reading = import_module("snntorch.import_nir")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `import_from_nir`; `dt` is not asked for."""
        module = self.reading.import_from_nir(graph)
        self.cells = [m for m in module.modules() if isinstance(m, self.snntorch.SpikingNeuron)]
        if any(not cell.init_hidden for cell in self.cells):
            self.notes = ("its module runs only after init_hidden=True was set on its neurons",)
        for cell in self.cells:
            cell.init_hidden = True
        return module

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        for cell in self.cells:
            cell.reset_mem()
        return super().run(x)
