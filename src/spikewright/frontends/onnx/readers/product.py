"""MatMul, Gemm and Einsum: sums of products of signals and constants."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.layout import UNBATCHED, Layout
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable
from spikewright.frontends.reading import contraction
from spikewright.frontends.reading.arithmetic import combined
from spikewright.frontends.reading.contraction import Factor
from spikewright.frontends.reading.equation import Labels, batch_label, matrix_labels, parsed
from spikewright.frontends.reading.values import Value


def contract(
    node: OnnxNode,
    labels: Sequence[Labels],
    result: Labels,
    *scalars: float,
    bias: Callable[[Layout], NDArray] | None = None,
    part: str = "",
) -> Signal:
    """The product of the first inputs and of numbers, summed over labels that the result lacks.

    Labels name all axes of an input, its batch too; `bias` is made for the result's layout.
    """
    views = {i: node.view(i) for i in range(len(labels)) if not node.is_constant(i)}
    views, batch, layout = _with_batch(node, views, labels, result)
    apart = batch is not None and not layout.shared
    factors = [Factor.of(number) for number in scalars if number != 1]
    for index, own in enumerate(labels):
        kept = tuple(label for label in own if label != batch) if apart else own
        if index in views:
            factors.append(Factor(kept, views[index].shape, views[index].node))
        elif batch in own:
            place = Layout(own.index(batch), layout.outer, layout.shared)
            factors.append(Factor.of(node.per_sample(index, len(own), place), kept))
        else:
            factors.append(Factor.of(node.parameter(index), own))
    wanted = tuple(label for label in result if label != batch) if apart else result
    shift = None if bias is None else bias(layout)
    made = contraction.contract(node.node, factors, wanted, part, shift)
    return node.placed(made.node, layout)


def _with_batch(
    node: OnnxNode, views: dict[int, Signal], labels: Sequence[Labels], result: Labels
) -> tuple[dict[int, Signal], Hashable | None, Layout]:
    """The signals, the label of the batch, and the result's layout."""
    given = {i: view.layout for i, view in views.items()}
    axes = [(labels[i], layout.axis) for i, layout in given.items() if layout.axis is not None]
    merged = {(layout.axis is None, layout.outer, layout.shared) for layout in given.values()}
    try:
        if len(merged) > 1:
            raise Unreadable("the batch axis is merged with different axes in its operands")
        batch = batch_label(axes, result)
    except Unreadable:
        if not node.alone:
            raise
        return {i: node.unbatched(i) for i in views}, None, UNBATCHED
    ((_, outer, shared),) = merged
    return views, batch, Layout(result.index(batch), outer, shared)


def _ranks(node: OnnxNode, count: int) -> list[int]:
    return [
        max(world.ndim for world in node.worlds(index) or ())
        if node.is_constant(index)
        else node.view(index).rank
        for index in range(count)
    ]


@reads("MatMul")
def matmul(node: OnnxNode) -> Signal:
    """A product of matrices; axes before the last two broadcast."""
    return contract(node, *matrix_labels(*_ranks(node, 2)))


@reads("Einsum")
def einsum(node: OnnxNode) -> Signal:
    """Any number of operands; letters may repeat, but for the batch's."""
    equation = str(node.attributes.get("equation", ""))
    return contract(node, *parsed(equation, _ranks(node, len(node.inputs))))


@reads("Gemm")
def gemm(node: OnnxNode) -> Value:
    """`alpha A B + beta C`, A and B transposed where that is said."""
    if _ranks(node, 2) != [2, 2]:
        raise Unreadable("its inputs A and B must have two axes each")
    alpha, beta = (float(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    labels: list[Labels] = [
        own[::-1] if node.attributes.get(name, 0) else own
        for own, name in ((("row", "inner"), "transA"), (("inner", "column"), "transB"))
    ]
    result = ("row", "column")
    if not node.has(2) or beta == 0:
        return contract(node, labels, result, alpha)
    if not node.is_constant(2):
        return _plus_signal(node, contract(node, labels, result, alpha, part="product"), beta)

    def bias(layout: Layout) -> NDArray:
        return beta * np.asarray(node.per_sample(2, 2, layout), np.float64)

    return contract(node, labels, result, alpha, bias=bias)


def _plus_signal(node: OnnxNode, product: Signal, beta: float) -> Value:
    """A product and `beta` times the signal C."""
    view = node.view(2)
    view = node.unbatched(2) if product.layout == UNBATCHED else view
    if view.layout.from_end(view.shape) != product.layout.from_end(product.shape):
        raise Unreadable("the batch axis of C would meet another axis of the product")
    return combined(node, (1.0, product), (beta, node.lift(view, 2)))
