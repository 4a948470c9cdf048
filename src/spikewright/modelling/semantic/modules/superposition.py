"""Several pointers, added."""

from __future__ import annotations

import string
from typing import Any

from spikewright.errors import NetworkError
from spikewright.modelling.networks.checks import count
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.modules.state import State
from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Connection, Node


class Superposition(State):
    """A `State` of the sum of its inputs, which are `a`, `b` and so on.

    Every input takes pointers of the vocabulary; further arguments are those of `State`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_inputs: int = 2,
        n_neurons: int = 50,
        label: str | None = None,
        seed: int | None = None,
        **state_kwargs: Any,
    ) -> None:
        super().__init__(vocabulary, n_neurons, label=label, seed=seed, **state_kwargs)
        n, most = count(n_inputs, f"{self!r}: n_inputs"), len(string.ascii_lowercase)
        if n > most:
            raise NetworkError(f"{self!r}: n_inputs is at most {most}, got {n_inputs!r}")
        self.inputs.clear()
        with self:
            for name in string.ascii_lowercase[:n]:
                node = Node(size_in=self.vocabulary.dimensions, label=f"{name} of {self.name}")
                Connection(node, self.input, None)
                setattr(self, name, node)
                self.inputs[name] = End(node, self.vocabulary)
