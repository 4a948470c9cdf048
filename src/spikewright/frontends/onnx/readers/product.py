"""MatMul and Gemm, of a signal with a constant or of two signals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.layout import UNBATCHED
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.arithmetic import operands, spread
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable, View
from spikewright.graph.layers import Add, Affine, MatMul, Permute, Reshape, ScaleShift, Shape


@reads("MatMul")
def matmul(node: OnnxNode) -> Signal:
    """A product of matrices; axes before the last two broadcast."""
    for index, product in ((1, _times_matrix), (0, _matrix_times)):
        if node.is_constant(index):
            weight = _matrix(node, index, 1 - index)
            if weight.ndim <= 2:
                return product(node, weight)
    return _signals(node)


def _matrix(node: OnnxNode, index: int, other: int) -> NDArray:
    """A constant as each sample sees it, without leading axes of one matrix that broadcast."""
    view, rank = node.view(other), node.view(other).rank
    apart = view.layout.axis is not None and view.layout.axis < rank - 2
    if apart and all(2 < world.ndim <= rank for world in node.worlds(index) or ()):
        weight = node.per_sample(index, rank, view.layout)
    else:
        weight = node.parameter(index)
    while 2 < weight.ndim <= rank and weight.shape[0] == 1:
        weight = weight[0]
    return weight


def _times_matrix(node: OnnxNode, weight: NDArray) -> Signal:
    """A signal times a constant vector or matrix on its right."""
    view = node.view(0, -1)
    if weight.ndim == 2:
        return view.signal(node.add(Affine(np.ascontiguousarray(weight.T)), view.name))
    product = node.add(Affine(weight[None]), view.name, part="product")
    return view.signal(node.add(Reshape(view.shape[:-1]), product))


def _matrix_times(node: OnnxNode, weight: NDArray) -> Signal:
    """A constant vector or matrix times a signal on its right."""
    view = node.view(1, -2) if node.view(1).rank > 1 else node.view(1, -1)
    if view.rank == 1:
        name = node.add(Affine(np.atleast_2d(weight)), view.name, part="product")
        shape: Shape = weight.shape[:-1]
        return Signal(node.add(Reshape(shape), name), UNBATCHED)
    view = node.view(1, -1, -2)
    axes = _swapped(len(view.shape))
    turned = node.add(Permute(axes), view.name, part="transposed")
    product = node.add(Affine(np.atleast_2d(weight)), turned, part="product")
    if weight.ndim == 2:
        return view.signal(node.add(Permute(axes), product))
    layout = view.layout.without([view.full_axis(-2)])
    return Signal(node.add(Reshape(node.shape_of(product)[:-1]), product), layout)


def _swapped(rank: int) -> tuple[int, ...]:
    """The permutation that exchanges the last two axes."""
    return (*range(rank - 2), rank - 1, rank - 2)


def _signals(node: OnnxNode) -> Signal:
    """Two signals, or a signal and a stack of constant matrices."""
    given = operands(node, needed=(-1, -2))
    names: list[str] = []
    vectors: list[int] = []
    for index in range(2):
        if index in given.constants:
            value = given.constants[index]
            name, shape = node.add_constant(value, f"constant {index}"), value.shape
        else:
            name, shape = given.signals[index].name, given.signals[index].shape
        if len(shape) < 2:  # of one sample without a batch axis: elsewhere it is an axis needed
            vectors.append(-2 if index == 0 else -1)
            matrix = (1, *shape) if index == 0 else (*shape, 1)
            name = node.add(Reshape(matrix), name, part=f"matrix {index}")
        names.append(name)
    if not vectors:
        return given.result(node.add(MatMul(), *names))
    product = node.add(MatMul(), *names, part="product")
    shape = node.shape_of(product)
    kept = tuple(n for i, n in enumerate(shape) if i - len(shape) not in vectors)
    return given.result(node.add(Reshape(kept), product))


@reads("Gemm")
def gemm(node: OnnxNode) -> Signal:
    """`alpha A B + beta C`, A and B transposed where that is said."""
    signals = [i for i in range(3) if node.has(i) and not node.is_constant(i)]
    if 0 in signals and 1 not in signals and not node.attributes.get("transA", 0):
        views, layout, _ = node.aligned(signals, 2, needed=(-1,))
    else:  # rows and columns change places, or meet the other's: none may be the batch
        views, layout = [node.unbatched(i) for i in signals or (0,)], UNBATCHED
    given = dict(zip(signals, views, strict=True))
    if any(given[i].rank != 2 for i in (0, 1) if i in given):
        raise Unreadable("its inputs A and B must have two axes each")
    beta = float(node.attributes.get("beta", 1.0))
    if not node.has(2) or beta == 0:
        return Signal(_gemm_product(node, given, None, last=True), layout)
    if 2 in given:
        name = _gemm_product(node, given, None, last=False)
        other = spread(node, given[2], node.shape_of(name), "C repeated")
        if beta != 1:
            other = node.add(ScaleShift(np.array(beta)), other, part="C scaled")
        return Signal(node.add(Add(), name, other), layout)
    c = beta * np.asarray(node.per_sample(2, 2, layout), np.float64)
    if c.size == 1 or c.size == c.shape[-1]:
        return Signal(_gemm_product(node, given, c.reshape(-1), last=True), layout)
    name = _gemm_product(node, given, None, last=False)
    return Signal(node.add(ScaleShift(shift=c), name), layout)


def _gemm_product(node: OnnxNode, given: dict[int, View], bias: NDArray | None, last: bool) -> str:
    """`alpha A B`, and a bias of the last axis; `last` says whether nothing follows."""
    alpha = float(node.attributes.get("alpha", 1.0))
    transposed = [bool(node.attributes.get(name, 0)) for name in ("transA", "transB")]
    part = "" if last else "product"
    constants = {i: _gemm_matrix(node, i, transposed[i]) for i in range(2) if i not in given}
    if 1 in constants:
        name = given[0].name
        if transposed[0]:
            name = node.add(Permute((1, 0)), name, part="A transposed")
        weight = constants[1].T if alpha == 1 else alpha * constants[1].T
        if bias is not None:
            bias = np.ascontiguousarray(_outputs(bias, len(weight)), weight.dtype)
        return node.add(Affine(np.ascontiguousarray(weight), bias), name, part=part)
    scale = None if alpha == 1 else np.array(alpha)
    if 0 in constants:
        name = given[1].name
        if not transposed[1]:
            name = node.add(Permute((1, 0)), name, part="B transposed")
        name = node.add(Affine(constants[0]), name, part="product transposed")
        steps = [("turned", Permute((1, 0)))]
    else:
        name = node.add(MatMul(*transposed), given[0].name, given[1].name, part="product of A, B")
        steps = []
    return node.chain(name, [*steps, (part, ScaleShift(scale, bias))])


def _gemm_matrix(node: OnnxNode, index: int, transposed: bool) -> NDArray:
    matrix = node.parameter(index)
    if matrix.ndim != 2:
        raise Unreadable(f"its matrix has shape {matrix.shape}, two axes are expected")
    return matrix.T if transposed else matrix


def _outputs(bias: NDArray, outputs: int) -> NDArray:
    if bias.size not in (1, outputs):
        raise Unreadable(f"its constant C has shape {bias.shape}, it makes {outputs} values")
    return np.broadcast_to(bias, (outputs,))
