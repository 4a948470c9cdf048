"""The similarity of two pointers."""

from __future__ import annotations

from typing import Any

from spikewright.modelling.networks import Product, dot_product_transform
from spikewright.modelling.networks.checks import above_zero
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.vocabulary import Vocabulary
from spikewright.network import Connection, Node

# Values of random pointers of length 1 are 1 / sqrt(d) in quadratic mean; three times that is rare.
_HEADROOM = 3.0


class Compare(Module):
    """`output` is a number, the dot product of the inputs `a` and `b`.

    `n_neurons` are for each dimension's product; `input_magnitude` is the expected length of the
    inputs, and further arguments go to the `Product`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_neurons: int = 200,
        input_magnitude: float = 1.0,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        self.vocabulary = as_vocabulary(vocabulary, f"{self!r}: vocabulary")
        d = self.vocabulary.dimensions
        magnitude = above_zero(input_magnitude, f"{self!r}: input_magnitude")
        largest = magnitude * min(1.0, _HEADROOM / d**0.5)
        with self:
            self.product = Product(n_neurons, d, largest, label=self.name, **ens_kwargs)
            self.output = Node(size_in=1, label=f"output of {self.name}")
            Connection(self.product.output, self.output, None, transform=dot_product_transform(d))
        self.a, self.b = self.product.input_a, self.product.input_b
        self.inputs |= {"a": End(self.a, self.vocabulary), "b": End(self.b, self.vocabulary)}
        self.outputs["output"] = End(self.output, None)
