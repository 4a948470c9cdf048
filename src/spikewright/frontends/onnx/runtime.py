"""A runtime for ONNX models: onnxruntime where it is installed and can, else ONNX's evaluator."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import ReadError, SpikewrightError
from spikewright.frontends.onnx.files import opset_of
from spikewright.frontends.onnx.needed import needed_nodes
from spikewright.frontends.onnx.operators import operators

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
