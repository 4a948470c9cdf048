"""norse: a module that takes a step a call."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .stepped import SteppedModel


class Model(SteppedModel):
    """A file as norse reads it."""

    def __init__(self) -> None:
        self.norse = import_module("norse.torch")

    def module(self, graph: Any, dt: float) -> Any:
        """The module of `from_nir`."""
        return self.norse.from_nir(graph, dt=dt)
