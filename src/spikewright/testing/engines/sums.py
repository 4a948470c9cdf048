"""Sums over analog values: each output is as exact as its own terms, whatever stands beside it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import Precision
from spikewright.network import Connection, Node, Probe
from spikewright.network.network import Network
from spikewright.network.transforms import Chain, Transform
from spikewright.testing import oracle
from spikewright.testing.engines.base import Suite, in_turn
from spikewright.testing.modelling import TransformExample, transform_examples

UNITS = {"float32": 2.0**-24, "float64": 2.0**-44}
"""The error of a sum of `n` terms, relative to `n` times the sum of their magnitudes."""


class SumTests(Suite):
    """Sums keep small terms beside large ones."""

    @in_turn(transform_examples())
    def test_every_output_is_as_exact_as_its_terms(
        self, example: TransformExample, precision: Precision
    ) -> None:
        """`|y - exact| <= n u sum |w x|` for each output, whatever other weights and inputs are.

        `n` is the number of weights of a sum, those at a border that meet nothing included.

        Weights and inputs are float32 numbers that span twenty-four orders of magnitude; in some
        samples one value alone is not zero, so that a single small weight makes the output.
        """
        rng = np.random.default_rng(5)
        transform = _spread(example.transform, rng)
        values = _sizes(rng, (3, 2, *example.shape)) * rng.choice([-1.0, 1.0], example.shape)
        alone = np.eye(int(np.prod(example.shape)))[:2].reshape(2, *example.shape)
        values[-1] *= alone[rng.permutation(2)]
        with Network() as net:
            stimulus = Node(np.zeros(example.shape))
            end = Node(size_in=transform.output_shape(example.shape))
            Connection(stimulus, end, None, transform)
            probe = Probe(end)
        data = self.run(net, 2, batch=3, feeds={stimulus: values}, precision=precision)
        found = data[probe].reshape(6, -1)
        for y, x in zip(found, values.reshape(6, *example.shape), strict=True):
            exact = oracle.apply_transform(_wide(transform), x.astype(np.longdouble)).ravel()
            sizes = oracle.apply_transform(_absolute(transform), np.abs(x)).ravel()
            terms = oracle.apply_transform(_ones(transform), np.ones(x.shape)).max(initial=1.0)
            bound = terms * UNITS[precision] * sizes
            assert np.all(np.abs(y - exact) <= bound)


def _sizes(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray:
    return (10.0 ** rng.uniform(-12.0, 12.0, shape)).astype(np.float32).astype(np.float64)


def _with_arrays(transform: Any, change: Any) -> Any:
    """A transform with other weights: `change(array)` for each array of them."""
    if isinstance(transform, Chain):
        return Chain(tuple(_with_arrays(part, change) for part in transform.parts))
    held = {f.name: getattr(transform, f.name) for f in fields(transform)}
    weights = {
        name: change(value)
        for name, value in held.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }
    return replace(transform, **weights)


def _spread(transform: Transform, rng: np.random.Generator) -> Transform:
    def change(weights: NDArray) -> NDArray:
        signs = np.where(np.asarray(weights) < 0, -1.0, 1.0)
        return signs * _sizes(rng, weights.shape)

    found: Transform = _with_arrays(transform, change)
    return found


def _wide(transform: Transform) -> Any:
    return _with_arrays(transform, lambda weights: weights.astype(np.longdouble))


def _absolute(transform: Transform) -> Any:
    return _with_arrays(transform, np.abs)


def _ones(transform: Transform) -> Any:
    return _with_arrays(transform, lambda weights: np.ones(np.shape(weights)))
