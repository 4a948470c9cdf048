"""SpikingJelly: a module that takes a step a call."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from .stepped import Stepped


class Model:
    """What SpikingJelly makes of a file."""

    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.exchange = import_module("spikingjelly.activation_based.nir_exchange")

    def read(self, path: str, dt: float, neurons: tuple[str, ...]) -> None:
        """Read a file for steps of `dt` of its units of time."""
        graph = import_module("nir").read(path)
        self.stepped = Stepped(self.exchange.import_from_nir(graph, dt=dt), neurons)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and spikes of values `(batch, steps, *shape)`."""
        return self.stepped.run(x)
