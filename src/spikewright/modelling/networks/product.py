"""Products of the values of two vectors, one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.modelling.networks.checks import above_zero, count
from spikewright.modelling.networks.ensemble_array import EnsembleArray
from spikewright.network import Connection, Network, Node
from spikewright.network.pointwise import Square

_HALF = math.sqrt(0.5)


class Product(Network):
    """`output = input_a * input_b`, value by value, by quarter squares.

    `a b = (((a + b) / sqrt 2)^2 - ((a - b) / sqrt 2)^2) / 2`: two arrays of one-dimensional
    ensembles square a sum and a difference, so that no ensemble represents two values. `n_neurons`
    is for each of `dimensions` products, half of them in each array. `input_magnitude` is the
    largest `|a|` and `|b|`. `ens_kwargs` are further arguments of every `Ensemble`.
    """

    def __init__(
        self,
        n_neurons: int,
        dimensions: int,
        input_magnitude: float = 1.0,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        half = max(1, count(n_neurons, f"{self!r}: n_neurons") // 2)
        self.dimensions = count(dimensions, f"{self!r}: dimensions")
        magnitude = above_zero(input_magnitude, f"{self!r}: input_magnitude")
        ens_kwargs = {"radius": magnitude / _HALF, **ens_kwargs}
        name = "product" if label is None else label
        with self:
            self.input_a = Node(size_in=dimensions, label=f"a of {name}")
            self.input_b = Node(size_in=dimensions, label=f"b of {name}")
            self.output = Node(size_in=dimensions, label=f"output of {name}")
            self.sq1 = EnsembleArray(half, dimensions, label=f"sum of {name}", **ens_kwargs)
            self.sq2 = EnsembleArray(half, dimensions, label=f"difference of {name}", **ens_kwargs)
            for array, sign in ((self.sq1, 1.0), (self.sq2, -1.0)):
                Connection(self.input_a, array.input, None, transform=_HALF)
                Connection(self.input_b, array.input, None, transform=sign * _HALF)
                square = array.add_output("square", Square())
                Connection(square, self.output, None, transform=0.5 * sign)


def dot_product_transform(dimensions: int, scale: float = 1.0) -> NDArray:
    """`(1, dimensions)`: makes a `Product`'s output a dot product, times `scale`."""
    return np.full((1, dimensions), float(scale))
