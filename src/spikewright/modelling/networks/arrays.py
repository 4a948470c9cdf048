"""Many small ensembles side by side, and products of two vectors that they compute.

Products are value by value, or by circular convolution (Plate 1995)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.network import Config, Connection, Ensemble, Network, Node
from spikewright.network.distributions import Choice, Exponential, Uniform
from spikewright.network.pointwise import Square
from spikewright.network.shapes import above_zero, as_value, count, finite


def free_name(owner: Any, name: Any, what: str) -> None:
    """Check the name of a new attribute; raises `NetworkError` where it is none, or taken."""
    if not (isinstance(name, str) and name.isidentifier()):
        raise NetworkError(f"{owner!r}: the name of {what} is an identifier, got {name!r}")
    if hasattr(owner, name):
        raise NetworkError(f"{owner!r} has an attribute {name!r} already; choose another name")


def vectors(value: Any, what: str) -> NDArray:
    """`(n, dimensions)` finite numbers; raises `NetworkError` naming `what` otherwise."""
    array = finite(value, what, truth_values=True)
    if array.ndim != 2 or array.size == 0:
        raise NetworkError(f"{what} must be (n, dimensions) numbers, got shape {array.shape}")
    return array


POSITIVE = Choice(np.ones((1, 1)))
"""Encoders of one value that point upwards."""

# How much of the way from the threshold to the radius intercepts may cover: at the end of it a
# neuron's gain, which falls as its distance from the radius, would be boundless.
_COVERED = 0.9


class ThresholdingEnsembles(Config):
    """Defaults for ensembles of one value that are silent below `threshold`.

    All encoders are positive; intercepts begin at the threshold and are exponentially distributed
    above it, over `intercept_width` of the radius, so that the threshold is sharp; evaluation
    points lie above it. Use it as `with ThresholdingEnsembles(0.3):`. Raises `NetworkError` unless
    the threshold lies between `-radius` and `radius`.
    """

    def __init__(
        self, threshold: float, intercept_width: float = 0.15, radius: float = 1.0
    ) -> None:
        super().__init__(Ensemble)
        scale = above_zero(radius, "ThresholdingEnsembles: radius")
        width = above_zero(intercept_width, "ThresholdingEnsembles: intercept_width")
        if not (is_number(threshold) and -scale < threshold < scale):
            raise NetworkError(
                f"ThresholdingEnsembles: threshold must lie between -radius and radius = {scale}, "
                f"got {threshold!r}"
            )
        start = float(threshold) / scale
        defaults = self[Ensemble]
        defaults.radius = scale
        defaults.encoders = POSITIVE
        defaults.intercepts = Exponential(width, start, start + _COVERED * (1.0 - start))
        defaults.eval_points = Uniform(start, 1.0)


Function = Callable[..., ArrayLike]

# Times the gain: far more than what an ensemble represents can excite its neurons by.
_INHIBITION = -10.0


class EnsembleArray(Network):
    """`n_ensembles` ensembles of `n_neurons` each, which share out a long vector.

    A vector of `n_ensembles * ens_dimensions` values goes in at `input`, `ens_dimensions` of them
    to each of `ea_ensembles`, and their values come out at `output`, joined again. So cost grows
    with the length of the vector, and not with its square; functions of values in different
    ensembles cannot be decoded. `ens_kwargs` are further arguments of every `Ensemble`.

    `add_output` adds outputs that decode a function, `add_neuron_input` and `add_neuron_output`
    nodes with a value for each neuron. Raises `NetworkError` naming the array.
    """

    input: Node
    output: Node

    def __init__(
        self,
        n_neurons: int,
        n_ensembles: int,
        ens_dimensions: int = 1,
        label: str | None = None,
        seed: int | None = None,
        **ens_kwargs: Any,
    ) -> None:
        super().__init__(label, seed)
        self.n_neurons_per_ensemble = count(n_neurons, f"{self!r}: n_neurons")
        self.n_ensembles = count(n_ensembles, f"{self!r}: n_ensembles")
        self.dimensions_per_ensemble = count(ens_dimensions, f"{self!r}: ens_dimensions")
        self.neuron_input: Node | None = None
        self.neuron_output: Node | None = None
        self.ea_ensembles: list[Ensemble] = []
        name = "array" if label is None else label
        with self:
            self.input = Node(size_in=self.dimensions, label=f"input of {name}")
            for i in range(self.n_ensembles):
                ensemble = Ensemble(
                    self.n_neurons_per_ensemble,
                    self.dimensions_per_ensemble,
                    label=f"{name}[{i}]",
                    **ens_kwargs,
                )
                self.ea_ensembles.append(ensemble)
                part = self.input[self._part(i, self.dimensions_per_ensemble)]
                Connection(part, ensemble, synapse=None)
        self.output = self.add_output("output", None)

    @property
    def dimensions(self) -> int:
        """Length of the vector that all ensembles represent together."""
        return self.n_ensembles * self.dimensions_per_ensemble

    @staticmethod
    def _part(i: int, size: int) -> slice:
        return slice(i * size, (i + 1) * size)

    def add_output(
        self,
        name: str,
        function: Function | Sequence[Function] | None,
        synapse: Any = None,
        **conn_kwargs: Any,
    ) -> Node:
        """A new node, `self.<name>`, of `function` of the value of each ensemble.

        One function for all, or one for each ensemble, whose values stand one after the other.
        `conn_kwargs` are further arguments of the `Connection` from each ensemble. Raises
        `NetworkError` for a name that is taken, or a number of functions other than of ensembles.
        """
        free_name(self, name, "an output")
        functions = self._functions(function)
        sizes = [self._size(f) for f in functions]
        with self:
            node = Node(size_in=sum(sizes), label=f"{name} of {self.label or 'array'}")
            start = 0
            for ensemble, f, size in zip(self.ea_ensembles, functions, sizes, strict=True):
                part = node[start : start + size]
                Connection(ensemble, part, synapse, function=f, **conn_kwargs)
                start += size
        setattr(self, name, node)
        return node

    def _functions(self, function: Any) -> list[Function | None]:
        if function is None or callable(function):
            return [function] * self.n_ensembles
        functions = list(function) if isinstance(function, Sequence) else []
        if len(functions) != self.n_ensembles or not all(map(callable, functions)):
            raise NetworkError(
                f"{self!r}: function must be a callable, or a list of one for each of "
                f"{self.n_ensembles} ensembles, got {function!r}"
            )
        return functions

    def _size(self, function: Function | None) -> int:
        """The number of values of a function."""
        if function is None:
            return self.dimensions_per_ensemble
        try:
            return as_value(function(np.zeros(self.dimensions_per_ensemble))).size
        except Exception as error:
            raise NetworkError(
                f"{self!r}: the function of an output failed at 0 ({type(error).__name__}: {error})"
            ) from error

    def add_neuron_input(self) -> Node:
        """A node whose values go straight to the neurons, times their gains: `neuron_input`."""
        if self.neuron_input is None:
            self.neuron_input = self._of_neurons("input")
        return self.neuron_input

    def add_neuron_output(self) -> Node:
        """A node of the output of every neuron: `neuron_output`."""
        if self.neuron_output is None:
            self.neuron_output = self._of_neurons("output")
        return self.neuron_output

    def _of_neurons(self, end: str) -> Node:
        """A node with a value for each neuron."""
        n = self.n_neurons_per_ensemble
        with self:
            node = Node(size_in=n * self.n_ensembles, label=f"neuron {end} of {self!r}")
            for i, ensemble in enumerate(self.ea_ensembles):
                part = node[self._part(i, n)]
                pre, post = (part, ensemble.neurons) if end == "input" else (ensemble.neurons, part)
                Connection(pre, post, synapse=None)
        return node

    def silenced_by(self, node: Node) -> None:
        """Let a node silence all neurons while its one value is 1, from the network around both."""
        for ensemble in self.ea_ensembles:
            weights = np.full((ensemble.n_neurons, 1), _INHIBITION)
            Connection(node, ensemble.neurons, None, transform=weights)


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
