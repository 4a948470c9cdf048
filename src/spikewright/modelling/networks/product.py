"""Products of two vectors: value by value, and by circular convolution (Plate 1995)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.modelling.networks.ensemble_array import EnsembleArray
from spikewright.network import Connection, Network, Node
from spikewright.network.pointwise import Square
from spikewright.network.shapes import above_zero, count

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


class CircularConvolution(Network):
    """`output[n] = sum over m of input_a[m] input_b[n - m]`, indices modulo `dimensions`.

    In the frequency domain it is a product of complex numbers: both inputs go through the real and
    imaginary parts of the discrete Fourier transform, a `Product` multiplies, and the inverse
    transform puts the result together. Vectors are real, so half of the frequencies are enough:
    `2 dimensions - 2` products, one more where `dimensions` is odd. With `invert_a` or `invert_b`
    that input is replaced by its involution, `x[-n]`, so that the network unbinds: it correlates.

    `n_neurons` is for each product; `input_magnitude` is the expected length of the inputs.
    """

    def __init__(
        self,
        n_neurons: int,
        dimensions: int,
        invert_a: bool = False,
        invert_b: bool = False,
        input_magnitude: float = 1.0,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        self.dimensions = d = count(dimensions, f"{self!r}: dimensions")
        self.invert_a, self.invert_b = bool(invert_a), bool(invert_b)
        magnitude = above_zero(input_magnitude, f"{self!r}: input_magnitude")
        maps = fourier_products(d, self.invert_a, self.invert_b)
        name = "convolution" if label is None else label
        with self:
            self.input_a = Node(size_in=d, label=f"a of {name}")
            self.input_b = Node(size_in=d, label=f"b of {name}")
            self.output = Node(size_in=d, label=f"output of {name}")
            self.product = Product(
                n_neurons, len(maps.a), _HEADROOM * magnitude, label=f"product of {name}",
                **ens_kwargs,
            )  # fmt: skip
            Connection(self.input_a, self.product.input_a, None, transform=maps.a)
            Connection(self.input_b, self.product.input_b, None, transform=maps.b)
            Connection(self.product.output, self.output, None, transform=maps.output)


# Coefficients of random vectors of length 1, as they are scaled below, have a standard deviation of
# sqrt(1/2), and so has their sum over sqrt 2. A radius of three of these gave the smallest errors
# at 16 to 64 values, of 2 to 4.
_HEADROOM = 1.5


class FourierProducts(NamedTuple):
    """The products of a convolution: `a` and `b` `(products, d)`, `output` `(d, products)`."""

    a: NDArray
    b: NDArray
    output: NDArray


def fourier_products(dimensions: int, invert_a: bool, invert_b: bool) -> FourierProducts:
    """`output @ ((a @ x) * (b @ y))` is the circular convolution of `x` and `y`, exactly."""
    d = dimensions
    waves = np.fft.fft(np.eye(d))[: d // 2 + 1]
    real, imaginary = waves.real, waves.imag
    left = np.conj(waves) if invert_a else waves
    right = np.conj(waves) if invert_b else waves
    rows_a, rows_b, columns = [], [], []
    for k in range(d // 2 + 1):
        alone = 2 * k % d == 0  # a frequency without a conjugate, whose imaginary part is 0
        # It varies as much as both parts of the others together, and is scaled down to one of them.
        scale = np.sqrt(0.5) if alone else 1.0
        weight = 2.0 / d
        a, b = scale * left[k], scale * right[k]
        terms = [(a.real, b.real, real[k])]
        if not alone:
            terms += [
                (a.imag, b.imag, -real[k]),
                (a.real, b.imag, imaginary[k]),
                (a.imag, b.real, imaginary[k]),
            ]
        for row_a, row_b, column in terms:
            rows_a.append(row_a)
            rows_b.append(row_b)
            columns.append(weight * column)
    return FourierProducts(np.array(rows_a), np.array(rows_b), np.array(columns).T)
