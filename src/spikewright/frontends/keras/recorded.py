"""Whole models that are Python code, as the graph of Keras that they record; outputs of graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright._base.samples import TreePath, leaves
from spikewright.errors import Refusal, UnsupportedLayerError
from spikewright.frontends.keras.reading import KerasReading
from spikewright.frontends.keras.registry import Value
from spikewright.frontends.keras.running import (
    GraphRun,
    precision_of,
    ran,
    to_numpy,
)
from spikewright.frontends.keras.symbolic import Recorded, is_recorded_right, mixed_in, record
from spikewright.frontends.keras.torch_trace import called
from spikewright.frontends.keras.traversal import filled, graph_of, map_structure, paths, values_in
from spikewright.frontends.outputs import pick
from spikewright.frontends.source import GraphBuilder, Source
from spikewright.graph import unique_name
from spikewright.graph.integer_inputs import whole_inputs
from spikewright.graph.layers import Shape


class GraphEnd(NamedTuple):
    """A tensor that an output needs: its own, or that of the model which it is a layer inside."""

    tensor: Any
    inside: bool = False


def ends(
    graph: Any, reading: KerasReading, own: Mapping[str, Any], names: Sequence[str] | None
) -> dict[str, GraphEnd]:
    """The tensors of outputs by name: `own`, or outputs and layers of these names.

    Raises `ReadError` for an unknown name.
    """
    outputs = {name: GraphEnd(tensor) for name, tensor in own.items()}
    if names is None:
        return outputs
    layers = {call: GraphEnd(node.outputs[0]) for call, node in reading.calls.items()}
    nested = {
        path: GraphEnd(layers[around].tensor, inside=True)
        for path in [*paths(graph), *_inside_code(reading)]
        if (around := path.partition("/")[0]) in layers and around != path
    }
    return pick(names, {**nested, **layers, **outputs})


def nodes_of(
    found: Mapping[str, GraphEnd], values: Sequence[Any], reading: KerasReading
) -> dict[str, Any]:
    """The nodes of outputs by name, None for those that are unknown; `values` are the tensors'."""
    nodes: dict[str, Any] = {}
    for (name, end), value in zip(found.items(), values, strict=True):
        inside = name if name in reading.builder.shapes else None
        if end.inside:
            nodes[name] = reading.nodes.get((name, 0), inside)
        else:
            nodes[name] = value.name if isinstance(value, Value) else None
    return nodes


_DEPENDS = "Give a model of the outputs that depend on its inputs: keras.Model(inputs, outputs)"


def refuse_outputs(reading: KerasReading, nodes: dict[str, Any], values: Sequence[Any]) -> None:
    """Refuse outputs that are constants, or minus infinity in places: their nodes become None."""
    for (name, node), value in zip(list(nodes.items()), values, strict=True):
        if not isinstance(value, Value):
            reading.builder.refuse_output(name, "it is the same for every input", _DEPENDS)
        elif node in reading.hidden:
            reading.builder.refuse_output(name, "it is minus infinity in places")
            nodes[name] = None


def _inside_code(reading: KerasReading) -> Iterator[str]:
    """The paths of layers inside layers that are code."""
    for call, node in reading.calls.items():
        layer = node.operation
        if isinstance(layer, require("keras").Layer) and graph_of(layer) is None:
            yield from (f"{call}/{name}" for name in _paths(layer))


def _paths(layer: Any, around: str = "") -> Iterator[str]:
    for part in layer._flatten_layers(include_self=False, recursive=False):
        name = f"{around}/{part.name}".lstrip("/")
        yield name
        yield from _paths(part, name)


UNKNOWN_WHOLE = "some of its inputs are whole numbers, and which ones is not known"
"""The reason why a model without an example is refused."""


def read_recorded(
    model: Any,
    arguments: Mapping[str, Any],
    invented: bool,
    outputs: Sequence[str] | None,
    batch: int | None,
) -> Source | None:
    """The model as it records itself, or None where symbolic tensors do not do.

    `arguments` hold arrays `(batch, *shape)`, which are `invented` where no example was given: then
    what their code takes for whole numbers is. Raises `UnsupportedLayerError`.
    """
    given = dict(arguments)
    if invented:
        given = map_structure(lambda x: x.astype(np.float32), given)
    made = _read(model, given, outputs, batch)
    if made is None or not invented or not whole_inputs(made.graph):
        return made
    if len(made.graph.inputs) > 1:
        return None  # the way behind refuses that with a reason
    return _read(model, map_structure(lambda x: x.astype(np.int32), given), outputs, batch)


def input_of(
    builder: GraphBuilder, shape: Shape, place: TreePath, alone: bool, flat: bool, whole: bool
) -> str:
    """Add the input at a place in the arguments of a model's call.

    A single argument's inputs are known by its keys, if it is a dict, and taken in its structure.
    """
    argument, *rest = place
    keys = all(isinstance(step, str) for step in rest)
    steps = rest if alone and rest and keys else [argument, *rest]
    own = tuple(rest) if alone else (argument, *rest)
    return builder.input("_".join(map(str, steps)), shape, None if flat else own, whole)


def _read(
    model: Any, given: dict[str, Any], outputs: Sequence[str] | None, batch: int | None
) -> Source | None:
    builder = GraphBuilder()
    arguments = _with_values(builder, given)
    values = values_in(arguments)
    found = record(model, arguments, values, batch, {})
    if found is None or found.graph is None:
        return None
    if not is_recorded_right(model, arguments, found, _arrays(given)):
        return None
    made = source_of(
        model,
        found.graph,
        KerasReading(found.graph, builder),
        names=[str(value.name) for value in values],
        inputs=values,
        own=_outputs(found),
        outputs=outputs,
        ask=lambda tensors: called(model, filled(arguments, tensors)),
    )
    depend = [isinstance(end, require("keras").KerasTensor) for end in found.outputs]
    mixed = mixed_in(model, arguments, _arrays(given), depend)
    if mixed is not None:
        reason = f"samples of a batch do not stay apart in its code: {mixed}"
        kind, advice = type(model).__name__, "Keep the batch axis first, and samples apart"
        raise UnsupportedLayerError([Refusal(model.name, kind, reason, advice)])
    return made


def source_of(
    model: Any,
    graph: Any,
    reading: KerasReading,
    names: Sequence[str],
    inputs: Sequence[Value],
    own: Mapping[str, Any],
    outputs: Sequence[str] | None,
    ask: Callable[[Sequence[Any]], Any],
) -> Source:
    """A model, read from a graph of Keras.

    `names` are those of the graph's inputs, `own` its outputs by name, and `ask` calls the model
    with tensors. Raises `UnsupportedLayerError` or `ReadError`.
    """
    builder, wanted = reading.builder, ends(graph, reading, own, outputs)
    tensors = [end.tensor for end in wanted.values()]
    values = _through(reading, graph, inputs, tensors)
    nodes = nodes_of(wanted, values, reading)
    if None not in nodes.values():
        builder.refusals.clear()  # they stand beside the kept layers, in the models around them
    refuse_outputs(reading, nodes, values)
    made = builder.build(nodes)
    kept = {
        place: node
        for place, node in reading.nodes.items()
        if node in made and node not in reading.hidden
    }
    run = GraphRun(model, graph, made, names, list(own), ends=tensors, nodes=kept, ask=ask)
    notes = builder.notes_of(made)
    ran_by = partial(ran, as_they_are=bool(notes))
    precision = precision_of(model)
    return Source(made, "keras", run.activations, run.call, ran_by, precision, notes=notes)


def _with_values(builder: GraphBuilder, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a model's call with a value of the graph in the place of each array."""
    places = list(leaves(given))
    alone = len(given) == 1
    flat = alone and all(len(place) <= 2 for place, _ in places)
    made = []
    for place, leaf in places:
        found = to_numpy(leaf)
        whole, truth = found.dtype.kind in "iu", found.dtype.kind == "b"
        node = input_of(builder, found.shape[1:], place, alone, flat, whole)
        made.append(Value(node, builder.shapes[node], whole=int(whole), truth=truth))
    each = iter(made)
    return {name: map_structure(lambda _: next(each), given[name]) for name in given}


def _arrays(given: Mapping[str, Any]) -> list[NDArray]:
    return [to_numpy(leaf) for _, leaf in leaves(given)]


def _through(
    reading: KerasReading, graph: Any, values: Sequence[Value], tensors: Sequence[Any]
) -> list[Any]:
    """The values of tensors of a graph; a constant output is its array."""
    symbolic = [t for t in tensors if isinstance(t, require("keras").KerasTensor)]
    made = iter(reading.through(graph, values, ends=symbolic))
    return [next(made) if any(t is s for s in symbolic) else np.asarray(0) for t in tensors]


def _outputs(found: Recorded) -> dict[str, Any]:
    """The outputs of code by name: the keys on the way to each, or numbers."""
    own: dict[str, Any] = {}
    for place, tensor in zip(found.places, found.outputs, strict=True):
        if not all(isinstance(step, int) for step in place):
            name = "_".join(map(str, place))
        else:
            name = "_".join(["output", *map(str, place)]) if len(found.outputs) > 1 else "output"
        own[unique_name(name, own)] = tensor
    return own
