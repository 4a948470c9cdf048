"""The binding of two pointers."""

from __future__ import annotations

from typing import Any

from spikewright.modelling.networks import CircularConvolution
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.vocabulary import Vocabulary


class Bind(Module):
    """`output` is `a * b`, the circular convolution of its inputs.

    `invert_a` or `invert_b` take the involution of that input, so that the module unbinds.
    `n_neurons` are for each of about two products a dimension; further arguments go to the
    `CircularConvolution`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_neurons: int = 200,
        invert_a: bool = False,
        invert_b: bool = False,
        input_magnitude: float = 1.0,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        self.vocabulary = as_vocabulary(vocabulary, f"{self!r}: vocabulary")
        with self:
            self.convolution = CircularConvolution(
                n_neurons, self.vocabulary.dimensions, invert_a, invert_b, input_magnitude,
                label=self.name, **ens_kwargs,
            )  # fmt: skip
        self.a, self.b = self.convolution.input_a, self.convolution.input_b
        self.output = self.convolution.output
        self.inputs |= {"a": End(self.a, self.vocabulary), "b": End(self.b, self.vocabulary)}
        self.outputs["output"] = End(self.output, self.vocabulary)
