"""ONNX in, graph out.

`read` takes a `ModelProto` or a path. Operators are read by functions registered with `reads`; each
gets an `OnnxNode` and raises `UnsupportedOp` where it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikewright._base.budget import spending
from spikewright.frontends.onnx import (  # these modules register their readers
    domains,
    elementwise,
    quantised_operators,
    recurrent,
    reductions,
    resize,
    select,
    shape,
    windows,
)
from spikewright.frontends.onnx.dequantising import dequantise
from spikewright.frontends.onnx.evaluate import Evaluator, check_apart
from spikewright.frontends.onnx.files import load, opset_of
from spikewright.frontends.onnx.inputs import cut, examples_of, inputs_of
from spikewright.frontends.onnx.parameters import half_of, widen
from spikewright.frontends.onnx.registry import READERS, OnnxNode, reads
from spikewright.frontends.onnx.traversal import OnnxTraversal
from spikewright.frontends.onnx.values import UnsupportedOp
from spikewright.frontends.reading.call import afford_call
from spikewright.frontends.source import Source

__all__ = ["READERS", "OnnxNode", "UnsupportedOp", "read", "reads"]


def read(model: Any, example_input: Any = None, outputs: Sequence[str] | None = None) -> Source:
    """Read an ONNX `ModelProto`, or a path to one (external data beside it included).

    Axis 0 of every input is the batch, whether its size is free or fixed in the file, unless the
    name that all inputs share is that of another axis. Inside the model it may move, or merge with
    another axis; an output has it first again. `example_input` (an array, a tuple of arrays or
    `{name: array}`, batch axis first) is needed only where the model leaves other axes open, and
    for inputs without axes, which become constants. Inputs of whole numbers are fed as they are.
    Graph nodes are named as the ONNX nodes are, or as their first output where they have no name;
    layouts are channels-first. `outputs` names outputs, nodes or values of the model that become
    its outputs; nodes and inputs that they do not need are cut.

    onnxruntime evaluates the model where it is installed and can, else ONNX's reference evaluator.
    Half-precision numbers become single precision first, in the graph and in its activations, not
    where the model is called. The integers of a quantised model become the real numbers that they
    stand for, without rounding, which the source's notes say.

    Raises `UnsupportedLayerError` that lists every node that cannot be read, and `ReadError` for
    an opset below 7 or an input that cannot be read. Raises `GraphError` for parameters that are
    not finite, `DamagedFileError`, `MissingFileError`, or `MissingExtraError` without onnx.
    """
    proto, place, budget = load(model)
    with spending(budget):
        return _read(proto, place, example_input, outputs)


def _read(proto: Any, place: str, example_input: Any, outputs: Sequence[str] | None) -> Source:
    """Read a model that was loaded; raises as `read` does."""
    own, half = proto, half_of(proto)
    if half:
        own = type(proto).FromString(proto.SerializeToString())
        widen(proto, place)
    left_out = dequantise(proto, place)
    examples = examples_of(proto, example_input, place)
    kept = cut(proto, outputs)
    if half and not left_out.notes:
        cut(own, outputs)
    else:
        own, half = proto, ""
    inputs = inputs_of(proto, examples, place)
    walk = OnnxTraversal(proto, opset_of(proto), inputs, place, kept, left_out.origins)
    graph = walk.run()
    tensors = {name: walk.tensors[name] for name in graph.shapes if name in walk.tensors}
    layers = {node.source for node in graph}
    call = Evaluator(own, walk.returned, inputs)
    afford_call(graph)
    notes = check_apart(call, walk, graph, examples) + tuple(
        note for note in left_out.notes if note.layer in layers
    )
    return Source(
        graph,
        "onnx",
        Evaluator(proto, tensors, inputs, inside=True),
        call,
        call.ran,
        call_precision=half,
        notes=notes,
    )
