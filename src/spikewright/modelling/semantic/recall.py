"""Modules that bind, compare and recall pointers, and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.modelling.networks import (
    CircularConvolution,
    EnsembleArray,
    IndependentAccumulator,
    ThresholdingAssociativeMemory,
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
        found = _pairs(self, vocabulary, keys, mapping, output_vocabulary)
        self.vocabulary, self.output_vocabulary, keyed, values = found
        with self:
            self.memory = ThresholdingAssociativeMemory(
                keyed, values, n_neurons, threshold, label=self.name, **memory_kwargs
            )
            if sharp:
                self.memory.add_threshold_to_outputs()
        self.input, self.output = self.memory.input, self.memory.output
        self.inputs["input"] = End(self.input, self.vocabulary)
        self.outputs["output"] = End(self.output, self.output_vocabulary)


def _pairs(
    module: Module,
    vocabulary: Vocabulary,
    keys: Iterable[str] | None,
    mapping: Mapping[str, str] | None,
    output_vocabulary: Vocabulary | None,
) -> tuple[Vocabulary, Vocabulary, NDArray, NDArray]:
    """Vocabularies of keys and of values, and the pointers `(pairs, d)` of keys and of values.

    Raises `NetworkError` naming the module where they are not given.
    """
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
    keyed = np.array([own.parse(key).v for key in found])
    return own, other, keyed, np.array([other.parse(value).v for value in found.values()])


class WinnerTakeAll(Cleanup):
    """A `Cleanup` whose pointers inhibit each other, so that only the most similar one remains.

    `inhibit_scale` is the strength of inhibition, `inhibit_synapse` its filter in seconds. A winner
    stays until another's similarity is larger than `inhibit_scale` times its own, and the
    threshold.
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
        inhibit_scale: float = 1.5,
        inhibit_synapse: Any = 0.005,
        label: str | None = None,
        seed: int | None = None,
        **memory_kwargs: Any,
    ) -> None:
        super().__init__(
            vocabulary, keys, mapping, output_vocabulary, n_neurons, threshold, sharp=sharp,
            label=label, seed=seed, **memory_kwargs,
        )  # fmt: skip
        self.memory.add_wta_network(inhibit_scale, inhibit_synapse)


class Accumulators(Module):
    """Recalls at full length the pointer most similar to the input, or its mapped one.

    Similarities are integrated until the first sum exceeds a threshold
    (`sw.networks.IndependentAccumulator`, whose arguments are `accumulator_kwargs`), so that close
    ones are separated in time. The choice is held until the number `reset` is 1. `keys`, `mapping`
    and `output_vocabulary` are those of `Cleanup`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        keys: Iterable[str] | None = None,
        mapping: Mapping[str, str] | None = None,
        output_vocabulary: Vocabulary | None = None,
        n_neurons: int = 50,
        label: str | None = None,
        seed: int | None = None,
        **accumulator_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        found = _pairs(self, vocabulary, keys, mapping, output_vocabulary)
        self.vocabulary, self.output_vocabulary, keyed, values = found
        with self:
            self.choice = IndependentAccumulator(
                len(keyed), n_neurons, label=self.name, **accumulator_kwargs
            )
            self.input, self.output = (
                Node(size_in=one.dimensions, label=f"{end} of {self.name}")
                for end, one in (("input", self.vocabulary), ("output", self.output_vocabulary))
            )
            Connection(self.input, self.choice.input, None, transform=keyed)
            Connection(self.choice.output, self.output, None, transform=values.T)
        self.reset = self.choice.reset
        self.inputs["input"] = End(self.input, self.vocabulary)
        self.inputs["reset"] = End(self.reset, None)
        self.outputs["output"] = End(self.output, self.output_vocabulary)

    def find_input(self) -> End:
        """The input of pointers."""
        return self.inputs["input"]
