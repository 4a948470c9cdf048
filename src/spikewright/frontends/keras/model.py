"""Reading a whole model: its kind, its inputs, its layers, its outputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spikewright._base.budget import budget_of, spending
from spikewright._base.files import file_at
from spikewright._base.structure import Structure
from spikewright.advice import advise
from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.keras.importing import import_keras
from spikewright.frontends.keras.loading import load
from spikewright.frontends.keras.reading import Reading, stand_in_shape
from spikewright.frontends.keras.recorded import ends, nodes_of, refuse_outputs
from spikewright.frontends.keras.registry import Value
from spikewright.frontends.keras.running import activations, call, precision_of, ran, to_numpy
from spikewright.frontends.keras.subclassed import is_code, read_model
from spikewright.frontends.keras.walking import (
    graph_of,
    input_names,
    input_places,
    needed_tensors,
    output_names,
)
from spikewright.frontends.outputs import named_examples
from spikewright.frontends.source import GraphBuilder, Source
from spikewright.graph import unique_name
from spikewright.graph.layers import Shape


def read(model: Any, example_input: Any = None, outputs: Sequence[str] | None = None) -> Source:
    """Read a Keras 3 model, or the `.keras`, `.h5` or `.hdf5` file of one.

    Sequential and Functional models are read, nested ones included, and on the torch backend live
    models that are Python code. `example_input` (an array, a
    sequence of arrays or `{input name: array}`, batch axis first) gives extents that the model
    leaves open; the batch size stays free. Inputs and outputs have the names of their layers, or
    their keys where the model has dicts of them. `outputs` names outputs or layers that become the
    outputs; layers that these do not need are cut.

    Raises `UnsupportedLayerError` listing every layer that cannot be read, `GraphError` naming a
    layer whose weights are not finite, `DamagedFileError`, `MissingFileError`, `ReadError` for an
    example that does not fit, or `MissingExtraError`.
    """
    keras = import_keras()
    if isinstance(model, str | Path):
        loaded = load(file := file_at(model))
        with spending(budget_of(file)):
            return replace(read(loaded, example_input, outputs), loaded=loaded)
    if is_code(model):
        return read_model(model, example_input, outputs)
    keras_graph = _graph(keras, model)
    names = input_names(keras_graph)
    builder = GraphBuilder()
    reading = Reading(keras_graph, builder)
    wanted = ends(keras_graph, reading, own := _own(keras_graph), outputs)
    tensors = [end.tensor for end in wanted.values()]
    needed = needed_tensors(keras_graph, tensors if outputs else [*tensors, *keras_graph.inputs])
    inputs = _inputs(builder, keras_graph, names, example_input, needed)
    values = reading.through(keras_graph, inputs, ends=tensors)
    found = nodes_of(wanted, values, reading)
    if None not in found.values():
        builder.refusals.clear()  # they stand beside the kept layers, in the models around them
    refuse_outputs(reading, found, values)
    graph = builder.build(found)
    seen = {place: node for place, node in reading.nodes.items() if node not in reading.hidden}
    run = partial(activations, model, keras_graph, tensors, names, seen, graph)
    ask = partial(call, model, keras_graph, names, list(own), graph)
    notes = builder.notes_of(graph)
    ran_by = partial(ran, as_they_are=bool(notes))
    return Source(graph, "keras", run, ask, ran_by, precision_of(model), notes=notes)


def _own(graph: Any) -> dict[str, Any]:
    """The tensors of a graph's outputs by name."""
    own: dict[str, Any] = {}
    for name, tensor in zip(output_names(graph), graph.outputs, strict=True):
        own[unique_name(name, own)] = tensor
    return own


def _graph(keras: Any, model: Any) -> Any:
    """The functional graph of a model; raises `UnsupportedLayerError` if it has none."""
    if not isinstance(model, keras.Layer):
        raise ReadError(f"a {type(model).__name__} is not a Keras model. Give a keras.Model.")
    if not isinstance(model, keras.Model):
        reason, options = "it is a layer, not a model", "Wrap it: keras.Sequential([Input, layer])"
    elif graph_of(model) is not None:
        return graph_of(model)
    else:
        reason = "it has not been built, so that it has neither weights nor an input shape"
        options = "Start it with keras.Input(shape), or call model.build((None, *shape)), and train"
    raise UnsupportedLayerError([Refusal(model.name, type(model).__name__, reason, options)])


def _inputs(
    builder: GraphBuilder,
    keras_graph: Any,
    names: Sequence[str],
    example_input: Any,
    needed: Collection[int],
) -> list[Value]:
    """Add the inputs that are needed; one whose shape stays open is refused and unknown."""
    places = input_places(keras_graph)
    ranks = {n: len(t.shape) - 1 for n, t in zip(names, keras_graph.inputs, strict=True)}
    examples = _example_shapes(Structure(places, ranks), example_input)
    values = []
    for name, tensor in zip(names, keras_graph.inputs, strict=True):
        declared, example = tuple(tensor.shape[1:]), examples.get(name)
        if example is not None and not _fits(example, declared):
            raise ReadError(
                f"example_input for {name!r} has the shape (batch, *{example}), which does not fit "
                f"the input's (batch, *{declared})"
            )
        shape = declared if example is None else example
        if id(tensor) not in needed:
            values.append(Value(None, stand_in_shape(tensor)))
        elif None in shape:
            builder.refuse(
                name,
                "InputLayer",
                f"its shape (batch, *{declared}) leaves extents open, and the graph's are fixed",
                advise("shape of an input"),
            )
            values.append(Value(None, stand_in_shape(tensor)))
        else:
            known = [int(n) for n in shape if n is not None]
            whole = "int" in tensor.dtype
            truth = tensor.dtype == "bool"
            node = builder.input(name, known, places[name], whole or truth)
            values.append(Value(node, builder.shapes[node], whole=int(whole), truth=truth))
    return values


def _fits(example: Shape, declared: tuple[int | None, ...]) -> bool:
    return len(example) == len(declared) and all(
        n is None or n == m for n, m in zip(declared, example, strict=True)
    )


def _example_shapes(structure: Structure, example_input: Any) -> dict[str, Shape]:
    """Unbatched shapes of the examples, by input name."""
    given = named_examples(example_input, structure)
    return {name: to_numpy(value).shape[1:] for name, value in given.items()}
