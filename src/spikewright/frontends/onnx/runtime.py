"""Operators for ONNX's reference evaluator where its own differ from the standard.

==================  ===============================================================================
operator            behaviour of the evaluators of onnx 1.16 to 1.23
==================  ===============================================================================
ConvTranspose       with groups, splits neither weights nor bias
MaxPool             SAME_LOWER rounds the number of windows down
AveragePool         likewise; splits the overhang of `ceil_mode` over both ends, where the standard
                    (PyTorch's rule) puts it at the end
RNN, LSTM, GRU      know one direction, the usual functions and no clip
GlobalMaxPool       takes the maximum over two axes, right only where there are two
LpNormalization     sums values themselves, not their magnitudes, for p = 1
LRN                 normalises as many channels as there are samples
BatchNormalization  before operator set 14, uses the statistics of the batch
Softmax, LogSoftmax know only the axis form of operator set 13
Pad                 fails for negative counts
Resize, Upsample    before operator set 11, fail
DequantizeLinear,   are missing before operator set 19; fail for one scale of shape (1,)
QuantizeLinear
==================  ===============================================================================

onnxruntime computes them, node by node. Those that constants go through are here, so that reading
a model does not need it: they follow the equations of the standard, on whole arrays.

Constants that depend on nothing but shapes are computed with them while a model is read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import ReadError, SpikewrightError
from spikewright.frontends.onnx.files import needed_nodes, opset_of
from spikewright.frontends.onnx.parameters import evaluated_dequantize, evaluated_quantize
from spikewright.frontends.onnx.registry import EVALUATORS
from spikewright.frontends.onnx.values import ConstantValue, UnsupportedOp
from spikewright.frontends.reading.call import afford
from spikewright.graph.layers import Shape

_OTHER_FLOATS = ("float64", "float16", "bfloat16")
_RECURRENT = ("RNN", "LSTM", "GRU")
_BY_ONNXRUNTIME = (
    "ConvTranspose", "MaxPool", "AveragePool", "GlobalMaxPool", "LpNormalization", "LRN",
)  # fmt: skip


def operators(opset: int) -> list[type]:
    """The classes to hand to `ReferenceEvaluator(new_ops=...)` for a model of this opset."""
    base = require("onnx.reference.op_run").OpRun

    def delegated(self: Any, *inputs: NDArray | None, **settings: Any) -> tuple[NDArray, ...]:
        return _run(self.onnx_node, inputs, opset)

    def recurrent(self: Any, *inputs: NDArray | None, **settings: Any) -> tuple[NDArray, ...]:
        batch_first = bool(settings.get("layout"))
        return (_run_batch_first if batch_first else _run)(self.onnx_node, inputs, opset)

    equations: dict[str, Any] = {
        **dict.fromkeys(_BY_ONNXRUNTIME, delegated),
        **dict.fromkeys(_RECURRENT, recurrent),
        "Pad": _pad,
        "DequantizeLinear": evaluated_dequantize,
        "QuantizeLinear": evaluated_quantize,
    }
    if opset < 14:
        equations["BatchNormalization"] = delegated
    if opset < 13:
        equations |= {"Softmax": _flat_softmax, "LogSoftmax": delegated}
    if opset < 11:
        equations |= {"Resize": delegated, "Upsample": delegated}
    made = [type(n, (base,), {"op_domain": "", "_run": run}) for n, run in equations.items()]
    return [*reversed(EVALUATORS), *made]  # the evaluator takes the first of a name


def _run(node: Any, inputs: Sequence[NDArray | None], opset: int) -> tuple[NDArray, ...]:
    """One node by onnxruntime, which computes most operators in single precision only."""
    onnx, ort = require("onnx"), require("onnxruntime")
    values = {n: v for n, v in zip(node.input, inputs, strict=False) if n and v is not None}
    others = {v.dtype for v in values.values() if v.dtype.name in _OTHER_FLOATS}
    given = {n: v.astype(np.float32) if v.dtype in others else v for n, v in values.items()}
    to_type, declare = onnx.helper.np_dtype_to_tensor_dtype, onnx.helper.make_tensor_value_info
    graph = onnx.GraphProto(
        name="node",
        node=[node],
        input=[declare(name, to_type(value.dtype), value.shape) for name, value in given.items()],
        output=[onnx.ValueInfoProto(name=name) for name in node.output],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made = session.run(None, given)
    if not others:
        return tuple(made)
    (dtype,) = others
    return tuple(value.astype(dtype) if value.dtype == np.float32 else value for value in made)


def _run_batch_first(
    node: Any, inputs: Sequence[NDArray | None], opset: int
) -> tuple[NDArray, ...]:
    """A recurrent operator that has the batch first; onnxruntime has time first alone."""
    time_first = require("onnx").NodeProto()
    time_first.CopyFrom(node)
    del time_first.attribute[:]
    time_first.attribute.extend(one for one in node.attribute if one.name != "layout")
    turned = [
        np.swapaxes(value, 0, 1) if index in (0, 5, 6) and value is not None else value
        for index, value in enumerate(inputs)
    ]
    outputs, *states = _run(time_first, turned, opset)
    return (outputs.transpose(2, 0, 1, 3), *(np.swapaxes(state, 0, 1) for state in states))


def _flat_softmax(self: Any, x: NDArray, **settings: Any) -> tuple[NDArray, ...]:
    """Before operator set 13: one distribution over all axes from `axis` (1 unless given) on."""
    given = [attribute.i for attribute in self.onnx_node.attribute if attribute.name == "axis"]
    axes = tuple(range(x.ndim))[given[0] if given else 1 :]
    e = np.exp(x - x.max(axis=axes, keepdims=True))
    return ((e / e.sum(axis=axes, keepdims=True)).astype(x.dtype),)


def _pad(self: Any, x: NDArray, *inputs: NDArray | None, **settings: Any) -> tuple[NDArray, ...]:
    """Negative counts remove values; then a constant or copies of values are put around."""
    given = settings.get("pads")
    counts = [int(n) for n in (inputs[0] if given is None else given)]  # type: ignore[union-attr]
    axes = range(x.ndim) if len(inputs) < 3 or inputs[2] is None else inputs[2] % x.ndim
    pairs = np.zeros((x.ndim, 2), np.int64)
    for position, axis in enumerate(axes):
        pairs[axis] = counts[position], counts[position + len(counts) // 2]
    keep = tuple(
        slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(pairs, x.shape, strict=True)
    )
    kept, added = x[keep], np.maximum(pairs, 0)
    mode = settings.get("mode") or "constant"
    if mode != "constant":
        return (np.pad(kept, added, mode=mode),)  # type: ignore[arg-type]
    value = inputs[1] if len(inputs) > 1 else settings.get("value")
    number = 0 if value is None or np.size(value) == 0 else np.ravel(value)[0]
    return (np.pad(kept, added, constant_values=number).astype(x.dtype),)


UNSATURATED = ("session.x64quantprecision", "1")
"""An entry of onnxruntime's sessions: products of bytes are added without saturation.

Without it, x86-64 processors that have no VNNI add pairs of products in 16 bits that saturate.
"""


class Runtime:
    """Computes values of a model by their names.

    onnxruntime may merge operators where it is to be `optimised`. Where it lacks an operator, a
    type or a version, ONNX's reference evaluator does the work.
    """

    def __init__(self, proto: Any, optimised: bool) -> None:
        self._proto = proto
        self._evaluator: Any = None
        self._session: Any = None
        self._why_not = "is not installed"
        if find_spec("onnxruntime") is not None:
            try:
                self._session = _session(proto, optimised)
            except Exception as error:  # of types that its versions rename
                self._why_not = f"cannot ({error})"

    @property
    def name(self) -> str:
        """The name of the program that runs the model, and its version."""
        if self._session is not None:
            return f"onnxruntime {require('onnxruntime').__version__}"
        return f"the reference evaluator of onnx {require('onnx').__version__}"

    def run(self, names: Sequence[str], feed: Mapping[str, NDArray]) -> list[NDArray]:
        """The values of these names; raises `ReadError` where nothing here can compute them."""
        if self._session is not None:
            try:
                return list(self._session.run(list(names), dict(feed)))
            except Exception as error:
                self._session, self._why_not = None, f"cannot ({error})"
        try:
            if self._evaluator is None:
                self._evaluator = _evaluator(self._proto)
            return list(self._evaluator.run(list(names), dict(feed)))
        except SpikewrightError:
            raise
        except Exception as error:  # the evaluator raises whatever NumPy raised
            raise ReadError(
                f"the model cannot be run: onnxruntime {self._why_not}, ONNX's reference "
                f"evaluator neither ({type(error).__name__}: {error})."
            ) from error


def observed(proto: Any, names: Iterable[str], inputs: Collection[str]) -> Any:
    """A copy of a model that has these inputs, and returns these values of it."""
    onnx = require("onnx")
    wanted = dict.fromkeys(name for name in names if name not in inputs)
    graph = onnx.GraphProto(
        name=proto.graph.name,
        node=needed_nodes(proto.graph),
        input=[value for value in proto.graph.input if value.name in inputs],
        initializer=proto.graph.initializer,
        output=[onnx.ValueInfoProto(name=name) for name in wanted],
    )
    return onnx.ModelProto(
        ir_version=proto.ir_version, opset_import=proto.opset_import, graph=graph
    )


def _session(proto: Any, optimised: bool) -> Any:
    ort = require("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # it raises what it logs
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # else it rounds activations
    options.add_session_config_entry(*UNSATURATED)
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    named = _named(proto, "Split", "BatchNormalization")  # onnxruntime 1.32 crashes without
    content = named.SerializeToString()
    return ort.InferenceSession(content, options, ["CPUExecutionProvider"])


def _evaluator(proto: Any) -> Any:
    known = operators(opset_of(proto))
    _refuse_unknown(proto.graph, known)
    model = _named(proto)  # else the value of one would stand for every input that is not given
    return require("onnx.reference").ReferenceEvaluator(model, new_ops=known)


def _named(proto: Any, *operators: str) -> Any:
    """The model with a name for every output that is left out, of these operators or of all."""
    model = require("onnx").ModelProto()
    model.CopyFrom(proto)
    for position, node in enumerate(model.graph.node):
        if operators and node.op_type not in operators:
            continue
        for index, name in enumerate(node.output):
            if not name:
                node.output[index] = f"left out: {position}, {index}"
    return model


def _refuse_unknown(graph: Any, known: Sequence[type]) -> None:
    """Raise `ReadError` for an operator that has a reader of the user's but no evaluator."""
    names = {(getattr(made, "op_domain", ""), made.__name__) for made in known}
    for node in graph.node:
        if node.domain and (node.domain, node.op_type) not in names:
            raise ReadError(
                f"the operator {node.op_type!r} of domain {node.domain!r} cannot be evaluated. "
                "Register its reader with reads(..., evaluator=...)."
            )


_DRAWING = """
    Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike
"""
_DRAWS = frozenset(_DRAWING.split())

_SETTINGS = 64  # values of inputs such as shapes, pads and axes, at most


def is_foldable(node: Any) -> bool:
    """Whether a node is computed when all its inputs are known: one of the standard, not random."""
    return not node.domain and node.op_type not in _DRAWS


def extents(operator: str, full: Shape, attributes: Mapping[str, Any]) -> ConstantValue:
    """The result of the operator Shape, or Size, for this full shape."""
    if operator == "Size":
        return ConstantValue(np.array(math.prod(full), np.int64))
    window = slice(attributes.get("start"), attributes.get("end"))
    return ConstantValue(np.array(full, np.int64)[window])


def fold(node: Any, inputs: Sequence[ConstantValue | None], opset: int) -> list[ConstantValue]:
    """Compute a node whose inputs are known; one constant per output.

    Raises `UnsupportedOp` where it cannot be computed or would be too large.
    """
    arrays = [None if value is None else value.array for value in inputs]
    return [ConstantValue(made) for made in _computed(node, arrays, opset)]


def _computed(node: Any, arrays: Sequence[NDArray | None], opset: int) -> tuple[NDArray, ...]:
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
    except UnsupportedOp:
        raise
    except Exception as error:  # the evaluator raises whatever NumPy raised
        raise UnsupportedOp(
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
