"""Values that do not depend on the data: weights, and what small subgraphs compute from shapes.

The batch size may be free, and still shape arithmetic runs over it (Shape, Gather, Concat, Reshape
is how exporters write a flatten). So constants are computed once for each of two batch sizes, and a
reader accepts what holds under both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._optional import require
from spikewright.frontends.onnx.operators import operators
from spikewright.frontends.onnx.values import Constant, Unreadable
from spikewright.graph.layers import Shape

_FOLDABLE = """
    Abs Add And Cast CastLike Ceil Clip Compress Concat Constant ConstantOfShape Cos CumSum
    DequantizeLinear Div Einsum Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements
    GatherND Gemm Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Log MatMul Max Mean
    Min Mod Mul Neg NonZero Not OneHot Or Pad Pow QuantizeLinear Range Reciprocal ReduceL2 ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round ScatterElements ScatterND Shape
    Sigmoid Sign Sin Size Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Trilu
    Unsqueeze Where Xor
"""
FOLDABLE = frozenset(_FOLDABLE.split())
"""Deterministic operators of the standard domain that are computed when all inputs are known."""

_LARGEST = 2**28  # values in a computed constant: a model file must not exhaust the memory


def shape_constant(shapes: Sequence[Shape], attributes: dict[str, Any]) -> Constant:
    """What the operator Shape says about a value of these full shapes, one for each batch size."""
    window = slice(attributes.get("start"), attributes.get("end"))
    return Constant(tuple(np.array(shape, np.int64)[window] for shape in shapes))


def size_constant(shapes: Sequence[Shape]) -> Constant:
    """What the operator Size says about a value of these full shapes."""
    return Constant(tuple(np.array(math.prod(shape), np.int64) for shape in shapes))


def fold(node: Any, inputs: Sequence[Constant | None], opset: int, worlds: int) -> list[Constant]:
    """Compute a node whose inputs are known; one constant per output.

    Raises `Unreadable` where it cannot be computed or would be too large.
    """
    results: list[tuple[NDArray, ...]] = []
    for world in range(worlds):
        arrays = [None if value is None else value.worlds[world] for value in inputs]
        if world and all(v is None or v.worlds[world] is v.worlds[0] for v in inputs):
            results.append(results[0])
        else:
            results.append(_run(node, arrays, opset))
    return [Constant(outputs) for outputs in zip(*results, strict=True)]


def _run(node: Any, arrays: Sequence[NDArray | None], opset: int) -> tuple[NDArray, ...]:
    onnx = require("onnx")
    known = {name: array for name, array in zip(node.input, arrays, strict=True) if name}
    graph = onnx.GraphProto(
        node=[node],
        input=[onnx.ValueInfoProto(name=name) for name in known],
        output=[onnx.ValueInfoProto(name=name) for name in node.output if name],
    )
    make = require("onnx.reference").ReferenceEvaluator
    try:
        _refuse_large(node.op_type, arrays)
        evaluator = make(graph, opsets={"": opset}, new_ops=operators(opset))
        with np.errstate(all="ignore"):  # an infinity that reaches a parameter is reported there
            outputs = dict(zip(evaluator.output_names, evaluator.run(None, known), strict=True))
    except Unreadable:
        raise
    except Exception as error:  # the evaluator raises whatever NumPy raised
        raise Unreadable(
            f"this constant part of the model cannot be computed ({type(error).__name__}: {error})"
        ) from error
    return tuple(np.asarray(outputs.get(name)) for name in node.output)


def _refuse_large(operator: str, arrays: Sequence[NDArray | None]) -> None:
    """Refuse results that are much larger than what they are computed from."""
    given = [array for array in arrays if array is not None]
    if operator == "Pad" and len(given) > 1:
        values = math.prod(n + int(np.abs(given[1]).sum()) for n in given[0].shape)
    elif operator in ("QuantizeLinear", "DequantizeLinear") and given:
        values = given[0].size
    elif operator == "OneHot" and len(given) == 3:
        values = given[0].size * max(int(np.ravel(given[1])[0]), 0)
    elif operator in ("ConstantOfShape", "Expand", "Tile") and given:
        values = math.prod(int(n) for n in np.ravel(given[-1]))
        values *= given[0].size if operator == "Tile" else 1
    elif operator == "Range" and len(given) == 3:
        start, limit, delta = (float(np.ravel(array)[0]) for array in given)
        values = int(min(abs((limit - start) / delta), 2.0**62)) if delta else 0
    else:
        extents = [
            max(array.shape[::-1][axis] if axis < array.ndim else 1 for array in given)
            for axis in range(max((array.ndim for array in given), default=0))
        ]
        values = math.prod(extents)  # of all inputs broadcast
    if values > _LARGEST:
        raise Unreadable(f"it computes a constant of {values} values, more than {_LARGEST}")
