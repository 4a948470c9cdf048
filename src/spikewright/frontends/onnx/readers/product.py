"""MatMul, Gemm, Einsum and Attention: sums of products of signals and constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Unreadable
from spikewright.frontends.reading.attention import HEADS_INSIDE, Axes, attend, band, hiding
from spikewright.frontends.reading.call import Operand, Value
from spikewright.frontends.reading.contraction import Labels
from spikewright.frontends.reading.products import by_equation, contracted, matrix_product, ranks
from spikewright.graph.layers import Reshape


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
        return contracted(
            node, given[:2], labels, result=("row", "column"), bias=bias, alpha=alpha, beta=beta
        )

    return product_of(node, product)


_STATELESS = "Export the model without a cache of keys and values"


@reads("Attention")
def attention(node: OnnxNode) -> Value:
    """Of signals or constants; inputs of three axes hold the heads side by side."""
    if any(node.has(index) for index in (4, 5, 6)):
        raise Unreadable("it reads keys and values of earlier calls", _STATELESS)
    given = [_sample(node, index) for index in range(3)]
    joined = len(given[0].shape) == 2
    axes = HEADS_INSIDE if joined else Axes.of_rank(3)
    names = ("q_num_heads", "kv_num_heads", "kv_num_heads")
    query, key, value = (_heads(node, *pair) for pair in zip(given, names, strict=True))
    scale = float(node.attributes.get("scale") or query.shape[-1] ** -0.5)
    cap = float(node.attributes.get("softcap", 0.0))
    extents = dict(zip((*axes.key, *axes.query), (*key.shape, *query.shape), strict=True))
    masks = _masks(node, *(extents[label] for label in axes.scores[-2:]))
    part = "mixed" if joined else ""
    made, _ = attend(
        node,
        query,
        key,
        value=value,
        axes=axes,
        scale=scale,
        masks=masks,
        cap=cap,
        zero_rows=True,
        part=part,
    )
    if not joined:
        return made
    return node.add(Reshape((made.shape[0], made.shape[1] * made.shape[2])), made)


def _sample(node: OnnxNode, index: int) -> Operand:
    """An input as a sample has it."""
    if node.is_constant(index):
        return node.per_sample(index, node.known(index).ndim)
    return node.signal(index)


def _heads(node: OnnxNode, x: Operand, attribute: str) -> Operand:
    """An input of two axes as `(length, heads, size)`, one of three as it is."""
    if len(x.shape) == 3:
        return x
    heads = int(node.attributes.get(attribute, 0))
    if len(x.shape) != 2 or heads < 1 or x.shape[1] % heads:
        raise Unreadable(f"an input of unbatched shape {x.shape} has not {heads} heads")
    split = (x.shape[0], heads, x.shape[1] // heads)
    return node.add(Reshape(split), x, part="heads") if isinstance(x, Value) else x.reshape(split)


def _masks(node: OnnxNode, rows: int, columns: int) -> list[Operand]:
    """The masks of a node, as terms of scores `(heads, rows, columns)`."""
    left, right = (int(node.attributes.get(f"{s}_window_size", -1)) for s in ("left", "right"))
    if node.attributes.get("is_causal", 0):
        right = 0
    masks: list[Operand] = []
    if max(left, right) >= 0:
        limits = (None if n < 0 else n for n in (left, right))
        masks.append(band(rows, columns, *limits))
    if node.has(3):
        mask = node.per_sample(3, 4) if node.is_constant(3) else node.signal(3)
        if not isinstance(mask, Value):
            mask = hiding(mask) if mask.dtype == np.bool_ else mask
            short = columns - mask.shape[-1]
            if short > 0:
                pairs = [(0, 0)] * (mask.ndim - 1) + [(0, short)]
                mask = np.pad(mask, pairs, constant_values=-np.inf)
        masks.append(mask)
    return masks
