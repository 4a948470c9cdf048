"""Modules of two inputs: the binding and similarity of pointers, products; and numbers alone."""

from __future__ import annotations

from typing import Any

from spikewright.modelling.networks import (
    CircularConvolution,
    EnsembleArray,
    dot_product_transform,
)
from spikewright.modelling.networks import Product as ProductNetwork
from spikewright.modelling.semantic.module import Module, as_vocabulary
from spikewright.modelling.semantic.vocabulary import End, Vocabulary
from spikewright.network import Connection, Node
from spikewright.network.shapes import above_zero, count


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
            self.product = ProductNetwork(n_neurons, d, largest, label=self.name, **ens_kwargs)
            self.output = Node(size_in=1, label=f"output of {self.name}")
            Connection(self.product.output, self.output, None, transform=dot_product_transform(d))
        self.a, self.b = self.product.input_a, self.product.input_b
        self.inputs |= {"a": End(self.a, self.vocabulary), "b": End(self.b, self.vocabulary)}
        self.outputs["output"] = End(self.output, None)


class Scalar(Module):
    """Represents a number by `n_neurons`; `ens_kwargs` are further arguments of the `Ensemble`."""

    def __init__(
        self, n_neurons: int = 50, label: str | None = None, seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(label, seed)
        n = count(n_neurons, f"{self!r}: n_neurons")
        with self:
            self.scalar = EnsembleArray(n, 1, label=self.name, **ens_kwargs)
        self.input, self.output = self.scalar.input, self.scalar.output
        self.inputs["input"] = End(self.input, None)
        self.outputs["output"] = End(self.output, None)


class Product(Module):
    """`output` is the product of two numbers, `a * b`.

    `n_neurons` are for the product, `input_magnitude` is the largest magnitude of the numbers;
    further arguments go to the `sw.networks.Product`.
    """

    def __init__(
        self, n_neurons: int = 200, input_magnitude: float = 1.0, label: str | None = None,
        seed: int | None = None, **ens_kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(label, seed)
        with self:
            self.product = ProductNetwork(
                n_neurons, 1, input_magnitude, label=self.name, **ens_kwargs
            )
        self.a, self.b = self.product.input_a, self.product.input_b
        self.output = self.product.output
        self.inputs |= {"a": End(self.a, None), "b": End(self.b, None)}
        self.outputs["output"] = End(self.output, None)
