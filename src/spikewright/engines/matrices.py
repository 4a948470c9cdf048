"""Chains of transforms as matrices, for solvers and for parameters shown at build time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.analog import weights_of
from spikewright.engines.compensation import Compensation
from spikewright.engines.operators import Linear
from spikewright.engines.reference.linear import LinearKernel
from spikewright.network.transforms import Dense, Reshape, Scale, Shape, Transform


def matrix_of(chain: tuple[Transform, ...], shape: Shape) -> NDArray:
    """The `(out, in)` matrix of a chain of transforms on an array of `shape`, flattened."""
    matrix = np.eye(math.prod(shape))
    for transform in chain:
        shape_out = transform.output_shape(shape)
        if isinstance(transform, Dense) and len(shape) == 1:
            matrix = np.asarray(transform.matrix, np.float64) @ matrix
        elif isinstance(transform, Scale):
            matrix = np.broadcast_to(transform.factor, shape).reshape(-1, 1) * matrix
        elif not isinstance(transform, Reshape):
            weights = weights_of(transform)
            whole = None if weights is None else Compensation.of(weights, "float64")
            kernel = LinearKernel(Linear("a matrix", (), 0, transform, 1.0, whole), "float64")
            (columns,) = kernel.run([matrix.T.reshape(-1, 1, *shape)], 0, 1)
            matrix = columns.reshape(len(columns), -1).T
        shape = shape_out
    return matrix
