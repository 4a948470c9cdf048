"""Layers of a model that are Python code: a Lambda, a class with a call of its own, a function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spikewright._base.optional import require
from spikewright.advice import advise
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.keras.registry import Call, OwnCode, Unknown, Unreadable, Value
from spikewright.frontends.keras.tracing import (
    Code,
    Graft,
    called,
    can_trace,
    samples_of,
    way_to,
)
from spikewright.frontends.keras.walking import filled, values_in
from spikewright.graph.layers import Identity


def read_code(call: Call, why: OwnCode) -> list[Value]:
    """The outputs of a layer that no reader reads, `why` not: read from the operators of its code.

    Raises `why` on backends other than torch, `Unreadable` where the code cannot be traced, and
    `Unknown` where operators of it are refused.
    """
    if not can_trace(call.layer):
        raise why
    arguments = dict(call.arguments)
    tensors = values_in(arguments)

    def made(given: Sequence[Any]) -> list[Any]:
        return list(require("keras").tree.flatten(called(call.layer, filled(arguments, given))))

    code = Code(call.layer, made)
    graft = Graft(call.builder, code, call.name, call.source)
    try:
        source = code.read([samples_of(value.shape, bool(value.whole)) for value in tensors])
    except UnsupportedLayerError as error:
        if is_asked_for():  # where no operator of it can be called, the layer itself may be
            raise Unreadable("; ".join(refusal.reason for refusal in error.refusals)) from error
        graft.refuse(error)
        raise Unknown from None
    except ReadError as error:
        if any(value.name is None and 1 in value.shape for value in tensors):
            raise Unknown from None  # the shape may be a stand-in, which the code need not take
        reason = f"it runs Python code, and {error}"
        raise Unreadable(reason, advise("reader of a Keras layer", kind=call.kind)) from error
    graph = source.graph
    inputs = {name: tensors[int(way_to(graph[name])[0])].name for name in graph.inputs}
    nodes = graft.add(graph, inputs)
    ends = [nodes[end] for end in graph.outputs.values()]
    shapes = [graph.shapes[end] for end in graph.outputs.values()]
    own = _named(call, ends)
    return [Value(node, shape) for node, shape in zip(own, shapes, strict=True)]


def _named(call: Call, ends: Sequence[str | None]) -> Iterator[str | None]:
    """The nodes of the outputs under the layer's own name."""
    for index, end in enumerate(ends):
        name = f"{call.name}_{index}" if index else call.name
        if end == name:
            yield end
        else:
            yield call.builder.add(name, Identity(), end, source=call.source, kind=call.kind)
