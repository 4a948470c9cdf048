"""Reading: a walk that adds a graph node for every call of a Keras layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.fallback import CannotCall, calling, format_returned, is_asked_for
from spikewright.frontends.keras.code import read_code
from spikewright.frontends.keras.registry import (
    TAILS,
    KerasCall,
    Output,
    OwnCode,
    Reader,
    UnsupportedInput,
    UnsupportedOp,
    Value,
    built_in,
    kind_of,
    reader_of,
    understood_by,
)
from spikewright.frontends.keras.running import (
    calling_layer,
    constant_value,
    folded,
    given_masks,
    masks_when_run,
    values_of,
    with_constants,
)
from spikewright.frontends.keras.symbolic import masks_beside, record
from spikewright.frontends.keras.traversal import (
    Application,
    CallTraversal,
    flatten,
    graph_of,
    makes_masks,
    uses_masks,
    values_in,
)
from spikewright.frontends.reading.call import finite
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Identity


class KerasReading(CallTraversal[Value]):
    """Collects graph nodes and refusals in a builder.

    `nodes` maps (name of a call, number of its output) to the node that has that output. `hidden`
    are those of them, by node, that are minus infinity in places, which only a softmax can take.
    """

    follows_masks = True

    def __init__(self, graph: Any, builder: GraphBuilder) -> None:
        super().__init__(graph)
        self.builder = builder
        self.batch: int | None = graph.inputs[0].shape[0]
        self.nodes: dict[tuple[str, int], str] = {}
        self.hidden: dict[str, Value] = {}
        self._masks_when_run: Callable[[], Mapping[str, Sequence[bool]]] | None = None
        self._has_masks = False

    def start(self, graph: Any, inputs: Sequence[Value], name: str) -> None:
        """As of any walk: masks are looked for in the outermost model."""
        if self._masks_when_run is None:
            shapes = [value.shape for value in inputs]
            self._masks_when_run = cache(partial(masks_when_run, graph, shapes, name))
            self._has_masks = any(map(makes_masks, graph.operations))

    def _masks(self, call: Application[Value]) -> dict[str, Value]:
        """The masks of a call's inputs that are there when the model runs, by node of those.

        Raises `UnsupportedOp` for a mask that only a run has, of a layer that takes account of it.
        """
        known = {
            value.name: mask
            for value, mask in call.masks
            if _is_known(value) and isinstance(mask, Value)
        }
        uses = self._has_masks and uses_masks(call.operation)
        if not (known or uses) or self._masks_when_run is None:
            return {}
        leaves = flatten([call.args, dict(call.kwargs)])
        there = zip(leaves, self._masks_when_run()[call.name], strict=True)
        names = {leaf.name for leaf, has_mask in there if has_mask and isinstance(leaf, Value)}
        if uses and not names <= known.keys():
            raise UnsupportedOp(
                "its input has a mask when the model runs, and none in the graph of Keras",
                "Give the layer that makes the mask supports_masking = True, or give the mask as "
                "an argument: mask=",
            )
        return {str(name): mask for name, mask in known.items() if name in names}

    def apply(self, call: Application[Value]) -> Sequence[Value]:
        """Read one layer or operation; the value is unknown if it is refused."""
        self.builder.meet(call.source, kind_of(call.operation))
        try:
            if not values_of(call):
                constants: Sequence[Any] = folded(call)  # arrays stand for themselves
                return constants
            found = self._read(call)
        except UnsupportedOp as why:
            return self.refused(call, why)
        except UnsupportedInput:
            found = [None] * len(call.outputs)
        outputs: list[Any] = [
            one if isinstance(one, np.ndarray) else self._value(call, index, one)
            for index, one in enumerate(found)
        ]
        return outputs

    def inside(self, call: Application[Value], graph: Any) -> Sequence[Value]:
        """The outputs of a nested model; masks of its inputs go on to the layers inside."""
        masks = self._masks(call)
        if not masks:
            return super().inside(call, graph)
        try:
            self.enter(call, graph)
            given = inspect.signature(call.operation.call).bind(*call.args, **call.kwargs)
            values = values_in(given.arguments)
            recorded = record(call.operation, given.arguments, values, self.batch, masks)
            if recorded is None:
                raise UnsupportedOp(
                    "the masks of its inputs cannot be followed", "Read it unmasked"
                )
        except UnsupportedOp as why:
            return self.refused(call, why)
        inner, inputs = recorded.graph, [*values, *masks_beside(values, masks)]
        places = f"{call.name}/", f"{call.source}/"
        made = KerasReading(inner, self.builder).through(inner, inputs, *places)
        return self.leave(call, made)

    def enter(self, call: Application[Value], graph: Any) -> Sequence[Value]:
        """The inputs of a nested model, once it is clear that it runs as it would on its own."""
        if call.kwargs.get("training"):
            raise _in_training()
        inputs = super().enter(call, graph)
        for value, tensor in zip(inputs, graph.inputs, strict=True):
            if len(value.shape) != len(tensor.shape) - 1:
                raise UnsupportedOp(
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
            node = self.builder.add(name, Identity(), value.name, source=call.source, kind=kind)
            self._note_hidden(node, value)
            named.append(self._value(call, index, node))
        return named

    def refused(self, call: Application[Value], why: UnsupportedOp) -> Sequence[Value]:
        """Call the layer where that is asked for, else remember why: the outputs are unknown."""
        kind, reason = kind_of(call.operation), why.reason
        runs_alone = not call.masks  # those would be lost
        if runs_alone and is_asked_for() and all(map(_is_known, values_of(call))):
            try:
                return self._called(call, kind)
            except CannotCall as other:
                reason = f"{reason}, and {other}"
        cut = self._read_by(call) if kind in TAILS else None
        self.builder.refuse(call.source, kind, reason, why.options, cut=cut, callable=runs_alone)
        return [self._value(call, index, None) for index in range(len(call.outputs))]

    def _called(self, call: Application[Value], kind: str) -> Sequence[Value]:
        """The outputs of a layer that is called as it is; raises `CannotCall`."""
        found = []
        inputs = [value.name for value in values_of(call)]
        for index in range(len(call.outputs)):
            name = f"{call.name}_{index}" if index else call.name
            layer = calling_layer(call, index, kind)
            node = self.builder.add(name, layer, *inputs, source=call.source, kind=kind)
            found.append(self._value(call, index, node))
        return found

    def _read_by(self, call: Application[Value]) -> dict[str, str]:
        """The first outputs of other calls that a call reads, by the names of those."""
        read = {value.name for value in flatten([call.args, call.kwargs]) if _is_known(value)}
        first = ((name, node) for (name, index), node in self.nodes.items() if index == 0)
        return {name: node for name, node in first if node in read}

    def _value(self, call: Application[Value], index: int, node: str | None) -> Value:
        tensor = call.outputs[index]
        shape = stand_in_shape(tensor) if node is None else self.builder.shapes[node]
        if node is not None:
            self.nodes[call.name, index] = node
        whole, truth = "int" in tensor.dtype, tensor.dtype == "bool"
        hidden = self.hidden.get(node or "", Value(None, ()))
        return replace(hidden, name=node, shape=shape, whole=int(whole), truth=truth)

    def _note_hidden(self, node: Any, value: Any) -> None:
        """Remember an output that is minus infinity in places."""
        if isinstance(node, str) and isinstance(value, Value) and not value.is_finite:
            self.hidden[node] = value

    def _read(self, application: Application[Value]) -> Sequence[str | NDArray | None]:
        operation = application.operation
        if kind_of(operation) in ("Add", "ops.Add") and _adds_truths(application):
            raise UnsupportedOp("a sum of truth values is another", "Use ops.logical_or")
        found = read_call(
            operation,
            application.name,
            application.source,
            args=application.args,
            kwargs=application.kwargs,
            builder=self.builder,
            batch=self.batch,
            masks=self._masks(application),
        )
        nodes = [self._own(application, value) for value in found]
        for node, value in zip(nodes, found, strict=True):
            self._note_hidden(node, value)
        wanted = [tuple(tensor.shape[1:]) for tensor in application.outputs]
        if len(nodes) != len(wanted):
            raise UnsupportedOp(
                f"its reader makes {len(nodes)} values and the layer has {len(wanted)} outputs"
            )
        for node, declared in zip(nodes, wanted, strict=True):
            if isinstance(node, str) and not fits(self.builder.shapes[node], declared):
                raise UnsupportedOp(
                    f"its reader makes a value of shape {self.builder.shapes[node]} where Keras "
                    f"has {declared}"
                )
        return nodes

    def _own(self, call: Application[Value], value: Output) -> str | NDArray | None:
        """The node of a reader's result; the layer's own node where the result is its input."""
        node = value.name if isinstance(value, Value) else value
        if isinstance(node, np.ndarray) or node not in [given.name for given in values_of(call)]:
            return node
        kind = kind_of(call.operation)
        return self.builder.add(call.name, Identity(), node, source=call.source, kind=kind)


def read_call(
    operation: Any,
    name: str,
    source: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    builder: GraphBuilder,
    batch: int | None = None,
    masks: Mapping[str, Value] = MappingProxyType({}),
) -> Sequence[Output]:
    """Read one call of a layer or operation: its outputs, in order; raises `UnsupportedOp`."""
    given, signature = dict(kwargs), inspect.signature(operation.call)
    trains = signature.parameters.get("training")
    if given.pop("training", None) and trains is not None and trains.default is not True:
        raise _in_training()  # True is the default where augmentation acts
    bound = signature.bind(*args, **given)
    arguments = given_masks(operation, bound.arguments, masks) if masks else bound.arguments
    values = tuple(v for v in flatten(arguments) if isinstance(v, Value))
    kind = kind_of(operation)
    call = KerasCall(
        operation,
        name,
        source,
        kind=kind,
        inputs=values,
        arguments=arguments,
        builder=builder,
        batch=batch,
        masks=masks,
    )
    try:
        return _read_with(reader_of(operation), call)
    except OwnCode as why:
        return read_code(call, why, partial(_through, builder))


def _through(
    builder: GraphBuilder, graph: Any, values: Sequence[Value], name: str, source: str
) -> Sequence[Value]:
    """The outputs of a graph of Keras for these inputs; its names begin with others."""
    return KerasReading(graph, builder).through(graph, values, name, source)


_TAKES_HIDDEN = {"Activation", "Softmax", "ops.Softmax", "ops.Add", "ops.Subtract", "ops.Where"}
"""Kinds whose readers look for minus infinity themselves."""


def _read_with(reader: Reader, call: KerasCall) -> Sequence[Output]:
    """The outputs that a reader makes of a call."""
    builder = call.builder
    if built_in(reader) and not call.kind.startswith("ops."):
        _only_inputs(call, understood_by(reader))
        call = with_constants(call)
    if call.kind not in _TAKES_HIDDEN:
        for value in call.inputs:
            finite(value)
    refused = len(builder.refusals)
    with calling(reader, call.source, call.kind, UnsupportedOp, UnsupportedInput):
        found = reader(call)
    lone = found is None or isinstance(found, str | Value | np.ndarray)
    outputs: Any = [found] if lone else found
    known = refused == len(builder.refusals) and all(x.name is not None for x in call.inputs)
    _check_outputs(outputs, builder, known, built_in(reader))
    return list(outputs)


def _check_outputs(outputs: Any, builder: GraphBuilder, known: bool, constants: bool) -> None:
    """Raise `UnsupportedOp` unless a reader returned values, or `constants` where it may.

    The values of `known` inputs are known.
    """
    for output in outputs if isinstance(outputs, list | tuple) else [outputs]:
        node = output.name if isinstance(output, Value) else output
        constant = constants and isinstance(node, np.ndarray)
        if constant or (isinstance(node, str) and node in builder.shapes):
            continue
        if node is not None or known:
            raise UnsupportedOp(
                f"its reader returns {format_returned(output)}, which is no value of the graph",
                "Return the result of call.value, or a list of such, one for each output",
            )


def read_layer(
    call: KerasCall, layer: Any, value: Value, builder: GraphBuilder | None = None
) -> Value:
    """Read a layer or model that another layer applies, as `<name>/<its name>`."""
    builder = call.builder if builder is None else builder
    name, source = f"{call.name}/{layer.name}", f"{call.source}/{layer.name}"
    graph = graph_of(layer)
    if graph is not None:
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise UnsupportedOp(
                f"the model inside it has {len(graph.inputs)} inputs and {len(graph.outputs)} "
                f"outputs",
                "Use a model with one of each",
            )
        return finite(_through(builder, graph, [value], f"{name}/", f"{source}/")[0])
    (found,) = read_call(
        layer, name, source, args=(value,), kwargs={}, builder=builder, batch=call.batch
    )
    if isinstance(found, np.ndarray):
        return constant_value(builder, found, name, source, kind_of(layer))
    if isinstance(found, Value):
        return finite(found)
    if found is None:
        raise UnsupportedInput
    return Value(found, builder.shapes[found])


def _adds_truths(call: Application[Value]) -> bool:
    """True where the terms of a sum, or the sum, are truth values: the sum then is an `or`."""
    values = values_of(call)
    every = len(values) > 1 and all(value.truth for value in values)
    return every or any(tensor.dtype == "bool" for tensor in call.outputs)


def _is_known(value: Any) -> bool:
    return isinstance(value, Value) and value.name is not None and value.is_finite


def fits(shape: Sequence[int], declared: Sequence[int | None]) -> bool:
    """Whether a shape is the declared one, where that is not open."""
    return len(shape) == len(declared) and all(
        m is None or n == m for n, m in zip(shape, declared, strict=True)
    )


def stand_in_shape(tensor: Any) -> tuple[int, ...]:
    """A shape for a tensor whose value is unknown, so that the layers behind it can be looked at.

    Nothing built from it is kept.
    """
    return tuple(1 if n is None else int(n) for n in tensor.shape[1:])


def _in_training() -> UnsupportedOp:
    return UnsupportedOp(
        "it is called with training=True, so that it behaves as in training at inference",
        "Call it without training=True",
    )


def _only_inputs(call: KerasCall, understood: frozenset[str]) -> None:
    """Raise if one of Keras's layers is called with more than its inputs, such as a mask."""
    for name, value in list(call.arguments.items())[1:]:
        if value is not None and value is not False and name not in understood:
            raise UnsupportedOp(f"it is called with the argument {name!r}", f"Leave {name!r} out")
