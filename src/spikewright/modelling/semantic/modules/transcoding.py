"""Pointers and numbers, put through a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.pointer import SemanticPointer
from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Node
from spikewright.network.shapes import as_value


class Transcode(Module):
    """Applies a Python function to a pointer at every step, without neurons.

    `function` is called as `f(t, pointer)`, or as `f(t)` without `input_vocabulary`; `t` is in
    seconds. With `output_vocabulary` it returns a pointer, its values, or an expression such as `"A
    * B"`, which is read at its first use; without, a number.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        input_vocabulary: Vocabulary | None = None,
        output_vocabulary: Vocabulary | None = None,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        if not callable(function):
            raise NetworkError(f"{self!r}: function must be callable, got {function!r}")
        known = []
        for name, vocabulary in (("input", input_vocabulary), ("output", output_vocabulary)):
            what = f"{self!r}: {name}_vocabulary"
            known.append(None if vocabulary is None else as_vocabulary(vocabulary, what))
        self.input_vocabulary, self.output_vocabulary = known
        self.function = function
        self._read: dict[str, NDArray] = {}
        with self:
            self.node = Node(
                self._called,
                size_in=None if known[0] is None else known[0].dimensions,
                size_out=1 if known[1] is None else known[1].dimensions,
                label=self.name,
            )
        self.output = self.node
        self.outputs["output"] = End(self.output, self.output_vocabulary)
        if known[0] is not None:
            self.input = self.node
            self.inputs["input"] = End(self.input, known[0])

    def _called(self, t: float, *x: NDArray) -> NDArray:
        """The values of the function's result."""
        made = self.function(t, *map(SemanticPointer, x))
        if isinstance(made, str) and self.output_vocabulary is not None:
            if made not in self._read:
                self._read[made] = np.array(self.output_vocabulary.parse(made).v)
            return self._read[made]
        return as_value(made.v if isinstance(made, SemanticPointer) else made)
