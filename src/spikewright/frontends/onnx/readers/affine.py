"""Conv, Gemm, MatMul and BatchNormalization."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode, Unreadable
from spikewright.frontends.onnx.readers.windows import windows_of
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.layers import Affine, BatchNormalization, Convolution, Permute, Reshape

_CONSTANT = "Only products of a signal with a constant can be read"


@reads("Conv")
def convolution(node: OnnxNode) -> str:
    """Cross-correlation over one to three axes; weights must be constant."""
    weight = node.parameter(1)
    bias = node.parameter(2) if node.has(2) else None
    if weight.ndim < 3:
        raise Unreadable(f"its weights have shape {weight.shape}, (out, in, *size) is expected")
    size = node.integers("kernel_shape") or weight.shape[2:]
    if size != weight.shape[2:]:
        raise Unreadable(f"kernel_shape is {size}, its weights are {weight.shape}")
    windows = windows_of(node, size, node.shape()[1:])
    groups = int(node.attributes.get("group", 1))
    if groups < 1:
        raise Unreadable(f"group is {groups}, it must be positive")
    layer = Convolution(
        weight, bias, windows.stride, windows.padding, windows.dilation, groups=groups
    )
    return node.add(layer, node.signal(0))


@reads("Gemm")
def gemm(node: OnnxNode) -> str:
    """`alpha A B + beta C` for data A, constant B and C."""
    if node.attributes.get("transA", 0):
        raise Unreadable("transA is set: it would turn the batch axis into features", _CONSTANT)
    b = node.parameter(1)
    if b.ndim != 2:
        raise Unreadable(f"its matrix has shape {b.shape}, two axes are expected")
    weight = b if node.attributes.get("transB", 0) else b.T
    alpha = node.attributes.get("alpha", 1.0)
    bias = _gemm_bias(node, weight.shape[0])
    if len(node.shape()) != 1:
        raise Unreadable(f"its input has unbatched shape {node.shape()}, one axis is expected")
    layer = Affine(np.ascontiguousarray(weight if alpha == 1 else alpha * weight), bias)
    return node.add(layer, node.signal(0))


def _gemm_bias(node: OnnxNode, outputs: int) -> NDArray | None:
    beta = node.attributes.get("beta", 1.0)
    if not node.has(2) or beta == 0:
        return None
    c = node.per_sample(2, rank=2)
    if c.shape not in ((), (1,), (outputs,)):
        raise Unreadable(f"its constant C has shape {c.shape} a sample, it makes {outputs} values")
    return np.ascontiguousarray(np.broadcast_to(c if beta == 1 else beta * c, (outputs,)))


@reads("MatMul")
def matmul(node: OnnxNode) -> str:
    """A product with a constant matrix on the right, or on the left of one matrix a sample."""
    if node.is_constant(0):
        return _matmul_left(node)
    if not node.is_constant(1):
        for index in range(2):
            node.signal(index)  # raises where a refusal explains the input already
        raise Unreadable("it multiplies two signals with each other", _CONSTANT)
    weight = node.parameter(1)
    shape = node.shape()
    while 2 < weight.ndim <= len(shape) + 1 and weight.shape[0] == 1:
        weight = weight[0]  # an axis of one matrix broadcasts over what the signal has there
    if weight.ndim not in (1, 2):
        raise Unreadable(
            f"its constant has shape {weight.shape}: one matrix is expected", _CONSTANT
        )
    if not shape:
        raise Unreadable("its input has no axis beside the batch, which it would sum over")
    if weight.ndim == 2:
        return node.add(Affine(np.ascontiguousarray(weight.T)), node.signal(0))
    product = node.add(Affine(weight[None]), node.signal(0), part="product")
    return node.add(Reshape(shape[:-1]), product)


def _matmul_left(node: OnnxNode) -> str:
    weight, shape = node.parameter(0), node.shape(1)
    if weight.ndim != 2 or len(shape) != 2:
        raise Unreadable(
            f"its constant of shape {weight.shape} stands left of a signal of unbatched shape "
            f"{shape}; one matrix left of one matrix can be read",
            "Put the constant on the right: transpose both",
        )
    turned = node.add(Permute((1, 0)), node.signal(1), part="transposed")
    product = node.add(Affine(weight), turned, part="product")
    return node.add(Permute((1, 0)), product)


@reads("BatchNormalization")
def batch_normalization(node: OnnxNode) -> str:
    """Normalisation of axis 1 by constants, at inference."""
    if node.attributes.get("training_mode", 0):
        raise Unreadable("it is in training mode", "Export the model for inference")
    if node.opset < 14 and node.output_count > 1:
        raise Unreadable(
            "it has outputs for running statistics, so it is in training mode",
            "Export the model for inference",
        )
    gamma, beta, mean, variance = (node.parameter(index) for index in range(1, 5))
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    return node.add(
        BatchNormalization(gamma, beta, mean, variance, epsilon, axis=0), node.signal(0)
    )
