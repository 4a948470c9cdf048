"""Modules that represent: pointers that are held or added, stimuli, numbers, functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.networks import EnsembleArray
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.pointer import SemanticPointer
from spikewright.modelling.semantic.vocabulary import End, Vocabulary
from spikewright.network import Connection, Node
from spikewright.network.shapes import as_value, count, number

_LARGEST_PART = 16
# `k` of `d` values of a random direction are sqrt(k / d) long, give or take sqrt(1 / (2 d)): this
# is two deviations more.
_HEADROOM = 1.5


class State(Module):
    """Represents a pointer: an ensemble for every `subdimensions` of its values.

    `n_neurons` are for each dimension. `feedback` 1 remembers the input, with a lowpass filter of
    `feedback_synapse` seconds in the loop; below 1 the memory decays, at 0 the state follows its
    input. `subdimensions` (None: the largest divisor up to 16) divides
    the vocabulary's dimensions. `ens_kwargs` are further arguments of every `Ensemble`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_neurons: int = 50,
        subdimensions: int | None = None,
        feedback: float = 0.0,
        feedback_synapse: Any = 0.1,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        self.vocabulary = as_vocabulary(vocabulary, f"{self!r}: vocabulary")
        d = self.vocabulary.dimensions
        part = _largest_part(d) if subdimensions is None else subdimensions
        part = count(part, f"{self!r}: subdimensions")
        if d % part:
            divisors = [k for k in range(1, d + 1) if d % k == 0]
            raise NetworkError(
                f"{self!r}: subdimensions must divide {d}, got {part}; there are {divisors}"
            )
        kept = number(feedback, f"{self!r}: feedback")
        radius = min(1.0, (math.sqrt(part) + _HEADROOM) / math.sqrt(d))
        with self:
            self.state_ensembles = EnsembleArray(
                count(n_neurons, f"{self!r}: n_neurons") * part,
                d // part,
                part,
                label=self.name,
                **{"radius": radius, **ens_kwargs},
            )
            self.input, self.output = self.state_ensembles.input, self.state_ensembles.output
            if kept != 0:
                Connection(self.output, self.input, feedback_synapse, transform=kept)
        self.inputs["input"] = End(self.input, self.vocabulary)
        self.outputs["output"] = End(self.output, self.vocabulary)


def _largest_part(d: int) -> int:
    return max(k for k in range(1, min(d, _LARGEST_PART) + 1) if d % k == 0)


class Transcode(Module):
    """Sends an expression, or applies a Python function at every step, without neurons.

    `function` is an expression of `output_vocabulary`, such as `"A * B"`, or is called as
    `f(t, pointer)`, without `input_vocabulary` as `f(t)`; `t` is in seconds. With
    `output_vocabulary` it returns a pointer, its values, or an expression, which is read at its
    first use (`"0"` is the zero vector); without, a number.
    """

    def __init__(
        self,
        function: str | Callable[..., Any],
        input_vocabulary: Vocabulary | None = None,
        output_vocabulary: Vocabulary | None = None,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        known = []
        for name, vocabulary in (("input", input_vocabulary), ("output", output_vocabulary)):
            what = f"{self!r}: {name}_vocabulary"
            known.append(None if vocabulary is None else as_vocabulary(vocabulary, what))
        self.input_vocabulary, self.output_vocabulary = known
        if not (callable(function) or (isinstance(function, str) and known[1] and not known[0])):
            raise NetworkError(
                f"{self!r}: function must be a callable, or with an output_vocabulary alone an "
                f"expression, got {function!r}"
            )
        self.function = function
        self._read: dict[str, NDArray] = {}
        with self:
            self.node = self._node()
        self.output = self.node
        self.outputs["output"] = End(self.output, self.output_vocabulary)
        if known[0] is not None:
            self.input = self.node
            self.inputs["input"] = End(self.input, known[0])

    def _node(self) -> Node:
        """The node of the function, or of the constant."""
        if isinstance(self.function, str):
            return Node(self._pointer(self.function), label=self.name)
        given, made = self.input_vocabulary, self.output_vocabulary
        return Node(
            self._called,
            size_in=None if given is None else given.dimensions,
            size_out=1 if made is None else made.dimensions,
            label=self.name,
        )

    def _pointer(self, text: str) -> NDArray:
        """The values of an expression, read once."""
        assert self.output_vocabulary is not None
        if text not in self._read:
            self._read[text] = np.array(self.output_vocabulary.parse(text).v)
        return self._read[text]

    def _called(self, t: float, *x: NDArray) -> NDArray:
        """The values of the function's result."""
        made = self.function(t, *map(SemanticPointer, x))  # type: ignore[operator]
        if isinstance(made, str) and self.output_vocabulary is not None:
            return self._pointer(made)
        return as_value(made.v if isinstance(made, SemanticPointer) else made)
