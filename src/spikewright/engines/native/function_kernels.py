"""Node functions described to the kernels: normalisations, softmax and matrix products."""

from __future__ import annotations

import math

import numpy as np

from spikewright.engines.native._kernels import FunctionKernel, FunctionKind
from spikewright.network import NodeFunction
from spikewright.network.node_functions import (
    LayerNormalization,
    MatMul,
    RMSNormalization,
    Softmax,
)
from spikewright.network.transforms import Shape

_NORMS: dict[type[NodeFunction], FunctionKind] = {
    LayerNormalization: FunctionKind.normalise,
    RMSNormalization: FunctionKind.normalise_size,
}


def function_kernel(function: NodeFunction, shape: Shape) -> FunctionKernel | None:
    """The description of a function of an input of this shape; None if it has no kernel."""
    made, last = FunctionKernel(), 0
    if isinstance(function, MatMul):
        return _product(function)
    if isinstance(function, LayerNormalization | RMSNormalization):
        last = len(function.axes)
        if function.axes != tuple(range(-last, 0)):  # kernels sum over contiguous values
            return None
        made.kind, made.epsilon = _NORMS[type(function)], function.epsilon
    elif isinstance(function, Softmax) and function.axis == -1:
        made.kind, last = FunctionKind.softmax, 1
    if not last:
        return None
    made.rows, made.inner = math.prod(shape[:-last]), math.prod(shape[-last:])
    return made


def _product(function: MatMul) -> FunctionKernel | None:
    """A batch of matrix products, of matrices stored one after the other."""
    a, b = function.shapes
    *lead, rows, columns = function.value_shape()
    made = FunctionKernel()
    made.kind, made.rows, made.columns = FunctionKind.product, rows, columns
    made.inner = a[-2] if function.transpose_a else a[-1]
    made.transpose_a, made.transpose_b = function.transpose_a, function.transpose_b
    made.first = _starts(a, tuple(lead), 0)
    made.second = _starts(b, tuple(lead), math.prod(a))
    return made


def _starts(shape: Shape, lead: Shape, start: int) -> list[int]:
    """The offsets of the matrices of an array, broadcast to the leading axes `lead`."""
    numbers = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])
    matrices = np.broadcast_to(numbers, lead).ravel()
    return (start + matrices * math.prod(shape[-2:])).tolist()
