"""Reading: a walk that adds a graph node for every call of a Keras layer."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    built_in,
    kind_of,
    reader_of,
)
from spikewright.frontends.keras.walking import Application, Walk, flatten
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Identity


class Reading(Walk[Value]):
    """Collects graph nodes and refusals in a builder.

    `nodes` maps (name of a call, number of its output) to the node that has that output.
    """

    def __init__(self, graph: Any, builder: GraphBuilder) -> None:
        super().__init__(graph)
        self.builder = builder
        self.nodes: dict[tuple[str, int], str] = {}

    def apply(self, call: Application[Value]) -> Sequence[Value]:
        """Read one layer or operation; the value is unknown if it is refused."""
        try:
            node = self._read(call)
        except Unreadable as why:
            return self.refused(call, why)
        return [self._value(call, 0, node)]

    def enter(self, call: Application[Value], graph: Any) -> Sequence[Value]:
        """The inputs of a nested model, once it is clear that it runs as it would on its own."""
        if call.kwargs.get("training"):
            raise _in_training()
        inputs = super().enter(call, graph)
        for value, tensor in zip(inputs, graph.inputs, strict=True):
            if len(value.shape) != len(tensor.shape) - 1:
                raise Unreadable(
                    f"it is called with an input of shape {value.shape} where its own input has "
                    f"the shape {tuple(tensor.shape[1:])}",
                    "Put a Reshape layer before it",
                )
        return inputs

    def leave(self, call: Application[Value], outputs: Sequence[Value]) -> Sequence[Value]:
        """Give the outputs of a nested model its name."""
        named = []
        for index, value in enumerate(outputs):
            name = f"{call.name}_{index}" if index else call.name
            kind = type(call.operation).__name__
            node = self.builder.add(name, Identity(), value.node, source=call.source, kind=kind)
            named.append(self._value(call, index, node))
        return named

    def refused(self, call: Application[Value], why: Unreadable) -> Sequence[Value]:
        """Remember why; the outputs are unknown."""
        kind = kind_of(call.operation)
        self.builder.refuse(call.source, kind, why.reason, why.options)
        return [self._value(call, index, None) for index in range(len(call.outputs))]

    def _value(self, call: Application[Value], index: int, node: str | None) -> Value:
        if node is None:
            return Value(None, stand_in_shape(call.outputs[index]))
        self.nodes[call.name, index] = node
        return Value(node, self.builder.shapes[node])

    def _read(self, application: Application[Value]) -> str | None:
        operation = application.operation
        reader = reader_of(operation)
        kwargs = dict(application.kwargs)
        if kwargs.pop("training", None) and accepts_training(operation):
            raise _in_training()
        bound = inspect.signature(operation.call).bind(*application.args, **kwargs)
        call = Call(
            operation,
            application.name,
            application.source,
            kind_of(operation),
            tuple(v for v in flatten(bound.arguments) if isinstance(v, Value)),
            bound.arguments,
            self.builder,
        )
        if built_in(reader) and not call.kind.startswith("ops."):
            _only_inputs(call)
        if len(application.outputs) != 1:
            raise Unreadable(f"it has {len(application.outputs)} outputs", "Use a layer with one")
        return reader(call)


def accepts_training(operation: Any) -> bool:
    """Whether calling the layer differs between training and inference."""
    return "training" in inspect.signature(operation.call).parameters


def stand_in_shape(tensor: Any) -> tuple[int, ...]:
    """A shape for a tensor whose value is unknown, so that the layers behind it can be looked at.

    Nothing built from it is kept.
    """
    return tuple(1 if n is None else int(n) for n in tensor.shape[1:])


def _in_training() -> Unreadable:
    return Unreadable(
        "it is called with training=True, so that it behaves as in training at inference",
        "Call it without training=True",
    )


def _only_inputs(call: Call) -> None:
    """Raise if one of Keras's layers is called with more than its inputs, such as a mask."""
    for name, value in list(call.arguments.items())[1:]:
        if value is not None and value is not False:
            raise Unreadable(f"it is called with the argument {name!r}", f"Leave {name!r} out")
