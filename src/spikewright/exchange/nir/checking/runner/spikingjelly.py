"""SpikingJelly: a module that takes a step a call."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .stepped import SteppedModel


class Model(SteppedModel):
    """A file as SpikingJelly reads it."""

    def __init__(self) -> None:
        self.exchange = import_module("spikingjelly.activation_based.nir_exchange")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `import_from_nir`."""
        return self.exchange.import_from_nir(graph, dt=dt)
