"""The multiply-accumulates of a layer for one sample."""

from __future__ import annotations

import math

import numpy as np

from spikewright.graph.layers import (
    Affine,
    Convolution,
    ConvolutionTranspose,
    Interpolate,
    Layer,
    MatMul,
    Shape,
)


def multiply_accumulates(layer: Layer, *shapes: Shape) -> int:
    """Products that a layer sums, for one sample with inputs of these unbatched shapes.

    ======================  ====================================================================
    Affine                  rows x outputs x inputs
    Convolution             output positions x out x in / groups x taps, padding included
    ConvolutionTranspose    input positions x in x out / groups x taps, cropped positions included
    MatMul                  batch of matrices x rows x columns x inner extent
    Interpolate             along each axis in turn: lines x entries of its matrix that are not 0
    any other               0: elementwise products, sums, maxima and moves sum no products
    ======================  ====================================================================

    As is customary (resnet18 at 224 x 224 has 1.81e9): a batch normalisation folds into weights.
    """
    match layer:
        case Affine():
            return math.prod(shapes[0][:-1]) * layer.weight.size
        case Convolution():
            made = layer.output_shape(*shapes)
            return math.prod(made) // layer.weight.shape[0] * layer.weight.size
        case ConvolutionTranspose():
            return math.prod(shapes[0]) // layer.weight.shape[0] * layer.weight.size
        case MatMul():
            inner = shapes[0][-2 if layer.transpose_a else -1]
            return math.prod(layer.output_shape(*shapes)) * inner
        case Interpolate():
            return _interpolation(layer, shapes[0])
    return 0


def _interpolation(layer: Interpolate, shape: Shape) -> int:
    extents, total = list(shape), 0
    for matrix, axis in zip(layer.matrices, layer.axes, strict=True):
        lines = math.prod(extents) // extents[axis]
        total += lines * int(np.count_nonzero(matrix))
        extents[axis] = len(matrix)
    return total
