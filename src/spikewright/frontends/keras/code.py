"""Layers of a model that are Python code: a Lambda, a class with a call of its own, a function.

Code is read as the graph of Keras that it records when it is called with symbolic tensors, by the
same readers as any graph. What it does beside Keras is read from the operators of PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from spikewright._base.optional import require
from spikewright.advice import advise
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.keras.registry import (
    KerasCall,
    OwnCode,
    UnsupportedInput,
    UnsupportedOp,
    Value,
    plain_array,
)
from spikewright.frontends.keras.symbolic import (
    Recorded,
    is_recorded_right,
    masks_beside,
    mixed_by,
    record,
    samples_like,
)
from spikewright.frontends.keras.torch_trace import (
    TracedCode,
    TracedSubgraph,
    called,
    can_trace,
    is_layer,
    sample_of,
    way_to,
)
from spikewright.frontends.keras.traversal import filled, values_in
from spikewright.frontends.source import GraphBuilder
from spikewright.graph.layers import Identity

Through = Callable[[Any, Sequence[Value], str, str], Sequence[Any]]
"""Reads a graph of Keras: from its inputs and the prefixes of names and sources to its outputs."""


_TRACED = (
    "On Keras's torch backend a live model's code is read: set KERAS_BACKEND=torch before Keras is "
    "imported"
)


def read_code(call: KerasCall, why: OwnCode, through: Through) -> list[Any]:
    """The outputs of what no reader reads, `why` not: values, or constants.

    Raises `why` on backends other than torch and of operations that PyTorch's readers cannot read,
    `UnsupportedOp` where code cannot be traced or mixes samples, and `UnsupportedInput` where parts
    of it are refused.
    """
    if not can_trace(call.layer):
        known = "KERAS_BACKEND" in why.options
        raise OwnCode(why.reason, why.options if known else f"{why.options.rstrip('.')}. {_TRACED}")
    if not is_layer(call.layer):
        return _read_operation(call, why)
    first = None
    for batch in (None, 1):  # code that needs the size of its batch is read at one sample
        attempt = Attempt(call.builder)
        found = _recorded(call, batch, through)
        if (
            found is not None
            and not attempt.refused
            and (first is None or not mixed_by(call, found))
        ):
            return _apart(call, found)
        attempt.undo()
        if found is not None:
            first = first or attempt
    try:
        given = {value.name for value in values_in(dict(call.arguments))}
        if any(mask.name not in given for mask in call.masks.values()):
            raise UnsupportedOp(
                "layers in its code look for masks",
                f"Give them as arguments. {advise('reader of a Keras layer', kind=call.kind)}",
            )
        return _traced(call)
    except (UnsupportedOp, UnsupportedInput):
        if first is None:
            raise
        if is_asked_for():  # where a part of it cannot be called, the layer itself may be
            raise UnsupportedOp("; ".join(first.reasons)) from None
        reader = advise("reader of a Keras layer", kind=call.kind)
        first.redo(f"Or: {reader[:1].lower()}{reader[1:]}")  # under the names of Keras
        raise UnsupportedInput from None


def _read_operation(call: KerasCall, why: OwnCode) -> list[Any]:
    """The outputs of an operation of Keras without a reader of its own."""
    attempt = Attempt(call.builder)
    try:
        return _traced(call)
    except (UnsupportedOp, UnsupportedInput):
        if any(value.name is None for value in call.inputs):
            raise UnsupportedInput from None
        attempt.undo()
        raise why from None


def _apart(call: KerasCall, outputs: list[Any]) -> list[Any]:
    """The outputs of code whose own call keeps samples apart; raises `UnsupportedOp` for others."""
    found = mixed_by(call, outputs)
    if found is None:
        return outputs
    reason = f"samples of a batch do not stay apart in its code: {found}"
    raise UnsupportedOp(reason, "Keep the batch axis first, and every sample to itself")


def _recorded(call: KerasCall, batch: int | None, through: Through) -> list[Any] | None:
    """The outputs of code as Keras records it, None where it does not."""
    values = values_in(dict(call.arguments))
    recorded = record(call.layer, call.arguments, values, batch, call.masks)
    if recorded is None or not _is_right(call, recorded):
        return None
    made: list[Any] = []
    if recorded.graph is not None:
        beside = masks_beside(values, call.masks)
        places = f"{call.name}/", f"{call.source}/"
        made += through(recorded.graph, [*values, *beside], *places)
    waiting = iter(made)
    keras = require("keras")
    outputs = [
        next(waiting) if isinstance(output, keras.KerasTensor) else plain_array(output)
        for output in recorded.outputs
    ]
    return list(_named(call, outputs))


def _is_right(call: KerasCall, recorded: Recorded) -> bool:
    """Whether the recorded graph computes what the code does, of random samples."""
    values = values_in(dict(call.arguments))
    if recorded.graph is None or any(value.name is None for value in values):
        return True
    beside = samples_like(masks_beside(values, call.masks))
    return is_recorded_right(call.layer, call.arguments, recorded, samples_like(values), beside)


def _traced(call: KerasCall) -> list[Any]:
    """The outputs of code, from the operators of PyTorch that it runs."""
    arguments = dict(call.arguments)
    tensors = values_in(arguments)

    def made(given: Sequence[Any]) -> list[Any]:
        return list(require("keras").tree.flatten(called(call.layer, filled(arguments, given))))

    code = TracedCode(call.layer, made)
    graft = TracedSubgraph(call.builder, code, call.name, call.source)
    try:
        source = code.read(list(map(sample_of, tensors)))
    except UnsupportedLayerError as error:
        if is_asked_for():  # where no operator of it can be called, the layer itself may be
            raise UnsupportedOp("; ".join(refusal.reason for refusal in error.refusals)) from error
        graft.refuse(error)
        raise UnsupportedInput from None
    except ReadError as error:
        if any(value.name is None and 1 in value.shape for value in tensors):
            raise UnsupportedInput from None  # the shape may be a stand-in for another
        reason = f"it runs Python code, and {error}"
        raise UnsupportedOp(reason, advise("reader of a Keras layer", kind=call.kind)) from error
    graph = source.graph
    inputs = {name: tensors[int(way_to(graph[name])[0])].name for name in graph.inputs}
    nodes = graft.add(graph, inputs)
    ends = graph.outputs.values()
    return list(_named(call, [Value(nodes[end], graph.shapes[end]) for end in ends]))


def _named(call: KerasCall, outputs: Sequence[Any]) -> Iterator[Any]:
    """The outputs, values under the layer's own name and constants as they are."""
    for index, output in enumerate(outputs):
        name = f"{call.name}_{index}" if index else call.name
        if not isinstance(output, Value) or output.name == name:
            yield output
        else:
            node = call.builder.add(
                name, Identity(), output.name, source=call.source, kind=call.kind
            )
            yield replace(output, name=node)


class Attempt:
    """The nodes and refusals that are added to a builder from now on."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self._before = _contents(builder)
        self._after = self._before

    @property
    def refused(self) -> bool:
        """True where something was refused since then."""
        pairs = zip(_all(self._builder), self._before, strict=True)
        return any(len(now.refusals) > len(before["refusals"]) for now, before in pairs)

    @property
    def reasons(self) -> list[str]:
        """The reasons of what was refused, before it was undone."""
        pairs = zip(self._after, self._before, strict=True)
        return [why.reason for now, old in pairs for why in now["refusals"][len(old["refusals"]) :]]

    def undo(self) -> None:
        """Take everything out of the builder again."""
        self._after = _contents(self._builder)
        self._set(self._before)

    def redo(self, advice: str) -> None:
        """Put back what was taken out; its refusals advise this too."""
        self._set(self._after)
        for builder, before in zip(_all(self._builder), self._before, strict=True):
            for refusal in builder.refusals[len(before["refusals"]) :]:
                builder.advise(refusal, advice)

    def _set(self, contents: list[dict[str, Any]]) -> None:
        for builder, held in zip(_all(self._builder), contents, strict=True):
            for name, value in held.items():
                own = getattr(builder, name)
                own.clear()
                own.update(value) if isinstance(own, dict) else own.extend(value)


def _all(builder: GraphBuilder) -> Iterator[GraphBuilder]:
    """The builder, and those that it adds to."""
    yield builder
    outer = getattr(builder, "outer", None)
    if outer is not None:
        yield from _all(outer)


def _contents(builder: GraphBuilder) -> list[dict[str, Any]]:
    return [
        {name: v.copy() for name, v in vars(each).items() if isinstance(v, list | dict)}
        for each in _all(builder)
    ]
