"""MatMul, Gemm and Einsum: sums of products of signals and constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Unreadable
from spikewright.frontends.reading.equation import Labels
from spikewright.frontends.reading.products import by_equation, contracted, matrix_product, ranks
from spikewright.frontends.reading.values import Value


def product_of(node: OnnxNode, product: Callable[[list[Any]], Value]) -> Value:
    """A product of the inputs: signals, and indices of constants.

    Where the axis of one that is the batch is summed, or meets others, it is an axis like others.
    """
    indices = range(len(node.inputs))
    given = [i if node.is_constant(i) or not node.has(i) else node.view(i) for i in indices]
    try:
        return product(given)
    except Unreadable:
        whole = [x if isinstance(x, int) else node.whole_sample(i) for i, x in enumerate(given)]
    return product(whole)


@reads("MatMul")
def matmul(node: OnnxNode) -> Value:
    """A product of matrices; axes before the last two broadcast."""
    return product_of(node, lambda given: matrix_product(node, given))


@reads("Einsum")
def einsum(node: OnnxNode) -> Value:
    """Any number of operands; letters may repeat, but for the batch's."""
    equation = str(node.attributes.get("equation", ""))
    return product_of(node, lambda given: by_equation(node, equation, given))


@reads("Gemm")
def gemm(node: OnnxNode) -> Value:
    """`alpha A B + beta C`, A and B transposed where that is said."""
    alpha, beta = (float(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    labels: list[Labels] = [
        own[::-1] if node.attributes.get(name, 0) else own
        for own, name in ((("row", "inner"), "transA"), (("inner", "column"), "transB"))
    ]

    def product(given: list[Any]) -> Value:
        if ranks(node, given[:2]) != [2, 2]:
            raise Unreadable("its inputs A and B must have two axes each")
        bias = given[2] if node.has(2) and beta else None
        return contracted(node, given[:2], labels, ("row", "column"), bias, alpha, beta)

    return product_of(node, product)
