"""Values that do not depend on the data: weights, and results of small subgraphs on shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.onnx.runtime import operators
from spikewright.frontends.onnx.values import Constant, Unreadable
from spikewright.frontends.reading.values import afford
from spikewright.graph.layers import Shape

_DRAWING = """
    Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike
"""
_DRAWS = frozenset(_DRAWING.split())

_SETTINGS = 64  # values of inputs such as shapes, pads and axes, at most


def is_foldable(node: Any) -> bool:
    """Whether a node is computed when all its inputs are known: one of the standard, not random."""
    return not node.domain and node.op_type not in _DRAWS


def extents(operator: str, full: Shape, attributes: Mapping[str, Any]) -> Constant:
    """The result of the operator Shape, or Size, for this full shape."""
    if operator == "Size":
        return Constant(np.array(math.prod(full), np.int64))
    window = slice(attributes.get("start"), attributes.get("end"))
    return Constant(np.array(full, np.int64)[window])


def fold(node: Any, inputs: Sequence[Constant | None], opset: int) -> list[Constant]:
    """Compute a node whose inputs are known; one constant per output.

    Raises `Unreadable` where it cannot be computed or would be too large.
    """
    arrays = [None if value is None else value.array for value in inputs]
    return [Constant(made) for made in _run(node, arrays, opset)]


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
        afford(_values(node, arrays, opset))
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


def _values(node: Any, arrays: Sequence[NDArray | None], opset: int) -> int:
    """The number of values in the largest result of a node, before it is computed."""
    given = [array for array in arrays if array is not None]
    operator = node.op_type
    if operator in ("ConstantOfShape", "Expand", "Tile") and given:
        times = math.prod(int(n) for n in np.ravel(given[-1]))
        return times * given[0].size if operator == "Tile" else times
    if operator == "Range" and len(given) == 3:
        start, limit, delta = (float(np.ravel(array)[0]) for array in given)
        return int(min(abs((limit - start) / delta), 2.0**62)) if delta else 0
    return _inferred(node, arrays, opset) if given else 0


def _inferred(node: Any, arrays: Sequence[NDArray | None], opset: int) -> int:
    """The number of values in the largest output, by the standard's shape inference."""
    onnx = require("onnx")
    helper, to_type = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype
    known = {name: array for name, array in zip(node.input, arrays, strict=True) if name}
    small = {name: a for name, a in known.items() if a is not None and a.size <= _SETTINGS}
    graph = helper.make_graph(
        [node],
        "constant",
        [
            helper.make_tensor_value_info(name, to_type(array.dtype), array.shape)
            for name, array in known.items()
            if array is not None
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
        [onnx.numpy_helper.from_array(array, name) for name, array in small.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    outputs = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    shapes = ([d.dim_value for d in value.type.tensor_type.shape.dim] for value in outputs)
    return max((math.prod(shape) for shape in shapes), default=0)
