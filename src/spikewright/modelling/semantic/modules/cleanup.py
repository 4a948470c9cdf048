"""The pointers of a vocabulary that are similar to an input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.networks import ThresholdingAssociativeMemory
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.vocabulary import Vocabulary


class Cleanup(Module):
    """Recalls the pointers with a similarity to the input from `threshold` on, or mapped ones.

    `keys` are the names it knows (None: all of `vocabulary` at present). With `mapping`, names or
    expressions of `vocabulary` to expressions of `output_vocabulary` (None: the same), it is a
    hetero-associative memory. `sharp` gives recalled pointers full length, whatever the similarity.
    `memory` is the `ThresholdingAssociativeMemory` inside, which takes all further arguments.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        keys: Iterable[str] | None = None,
        mapping: Mapping[str, str] | None = None,
        output_vocabulary: Vocabulary | None = None,
        n_neurons: int = 50,
        threshold: Any = 0.3,
        sharp: bool = False,
        label: str | None = None,
        seed: int | None = None,
        **memory_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        found = pairs(self, vocabulary, keys, mapping, output_vocabulary)
        self.vocabulary, self.output_vocabulary = found.vocabulary, found.output_vocabulary
        with self:
            self.memory = ThresholdingAssociativeMemory(
                found.inputs, found.outputs, n_neurons, threshold, label=self.name, **memory_kwargs
            )
            if sharp:
                self.memory.add_threshold_to_outputs()
        self.input, self.output = self.memory.input, self.memory.output
        self.inputs["input"] = End(self.input, self.vocabulary)
        self.outputs["output"] = End(self.output, self.output_vocabulary)


class Pairs(NamedTuple):
    """Pointers `(pairs, d)` of a vocabulary, and their mapped pointers, `(pairs, d_out)`."""

    inputs: NDArray
    outputs: NDArray
    vocabulary: Vocabulary
    output_vocabulary: Vocabulary


def pairs(
    module: Module,
    vocabulary: Vocabulary,
    keys: Iterable[str] | None,
    mapping: Mapping[str, str] | None,
    output_vocabulary: Vocabulary | None,
) -> Pairs:
    """Keys and values of a memory; raises `NetworkError` naming it where they are not given."""
    own = as_vocabulary(vocabulary, f"{module!r}: vocabulary")
    other = own if output_vocabulary is None else output_vocabulary
    other = as_vocabulary(other, f"{module!r}: output_vocabulary")
    if keys is not None and mapping is not None:
        raise NetworkError(f"{module!r}: give keys or a mapping, whose keys they are, not both")
    if isinstance(keys, str) or not (mapping is None or isinstance(mapping, Mapping)):
        raise NetworkError(
            f"{module!r}: keys are a list of names, a mapping is a dict of expressions, got "
            f"{keys if mapping is None else mapping!r}"
        )
    known = list(own.keys if keys is None else keys)
    found = dict(zip(known, known, strict=True)) if mapping is None else dict(mapping)
    if not found:
        raise NetworkError(f"{module!r}: there is nothing to clean up to; add pointers first")
    return Pairs(
        np.array([own.parse(key).v for key in found]),
        np.array([other.parse(value).v for value in found.values()]),
        own,
        other,
    )
