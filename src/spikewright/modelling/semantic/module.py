"""The base of modules: networks whose inputs and outputs carry pointers or numbers."""

from __future__ import annotations

import re
from typing import Any

from spikewright.errors import NetworkError
from spikewright.modelling.semantic.expression import Reference
from spikewright.modelling.semantic.operators import Operand
from spikewright.modelling.semantic.vocabulary import End, Vocabulary
from spikewright.network import Network


class Module(Network, Operand):
    """A network with named inputs and outputs; a single one needs no name.

    Subclasses fill `inputs` and `outputs`. Expressions name a module by its label in the `Model`
    around it, and an end of several as `module.end`; operators take the module itself.
    """

    def __init__(self, label: str | None = None, seed: int | None = None) -> None:
        super().__init__(label, seed)
        self.inputs: dict[str, End] = {}
        self.outputs: dict[str, End] = {}

    @property
    def expression(self) -> Reference:
        """The module's output."""
        return Reference(self)

    @property
    def name(self) -> str:
        """The name in the labels of its parts: its own label, or its class where it has none."""
        return type(self).__name__.lower() if self.label is None else self.label

    def rename(self, label: str) -> None:
        """Set its label, also within the labels of its parts."""
        old = re.compile(rf"\b{re.escape(self.name)}\b")
        self.label = label
        parts: list[Any] = [*self.all_nodes, *self.all_ensembles, *self.all_connections]
        for part in (*parts, *self.all_networks):
            if part.label is not None:
                part.label = old.sub(label, part.label)

    def find_input(self, name: str | None) -> End:
        """The input of a name, or the only one; raises `NetworkError` with the known names."""
        return self._find(self.inputs, name, "input")

    def find_output(self, name: str | None) -> End:
        """The output of a name, or the only one; raises `NetworkError` likewise."""
        return self._find(self.outputs, name, "output")

    def _find(self, ends: dict[str, End], name: str | None, what: str) -> End:
        if name is None and len(ends) == 1:
            return next(iter(ends.values()))
        if name is None or name not in ends:
            wanted = f"no {what} {name!r}" if name is not None and ends else f"no single {what}"
            there = ", ".join(ends) or f"it has no {what}"
            raise NetworkError(f"{self!r} has {wanted}; there are: {there}")
        return ends[name]


def as_vocabulary(value: Any, what: str) -> Vocabulary:
    """A vocabulary; raises `NetworkError` naming `what` for anything else."""
    if not isinstance(value, Vocabulary):
        raise NetworkError(
            f"{what} must be a Vocabulary, such as sw.semantic.Vocabulary(64), got {value!r}"
        )
    return value
