"""Numbers: a represented one, and the product of two."""

from __future__ import annotations

from typing import Any

from spikewright.modelling.networks import EnsembleArray
from spikewright.modelling.networks import Product as ProductNetwork
from spikewright.modelling.networks.checks import count
from spikewright.modelling.semantic.ends import End
from spikewright.modelling.semantic.module import Module


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
