"""Reading a whole model: its kind, its inputs, its layers, its outputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from spikewright._base.files import file_at
from spikewright._base.structure import Structure
from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.examples import named_examples
from spikewright.frontends.keras.importing import import_keras
from spikewright.frontends.keras.loading import load
from spikewright.frontends.keras.reading import Reading, stand_in_shape
from spikewright.frontends.keras.registry import Value
from spikewright.frontends.keras.running import activations, call, precision_of, ran, to_numpy
from spikewright.frontends.keras.subclassed import is_code, read_model
from spikewright.frontends.keras.walking import (
    graph_of,
    input_names,
    input_places,
    needed_tensors,
    output_names,
    paths,
)
from spikewright.frontends.outputs import pick
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
        loaded = load(file_at(model))
        return replace(read(loaded, example_input, outputs), loaded=loaded)
    if is_code(model):
        return read_model(model, example_input, outputs)
    keras_graph = _graph(keras, model)
    names = input_names(keras_graph)
    builder = GraphBuilder()
    reading = Reading(keras_graph, builder)
    ends = _ends(keras_graph, reading, outputs)
    tensors = [end.tensor for end in ends.values()]
    needed = needed_tensors(keras_graph, tensors if outputs else [*tensors, *keras_graph.inputs])
    inputs = _inputs(builder, keras_graph, names, example_input, needed)
    values = reading.through(keras_graph, inputs, ends=tensors)
    found = {}
    for (name, end), value in zip(ends.items(), values, strict=True):
        inside = reading.nodes.get((name, 0)) if end.inside else None
        found[name] = inside if end.inside else getattr(value, "name", None)
    if None not in found.values():
        builder.refusals.clear()  # they stand beside the kept layers, in the models around them
    for (name, node), value in zip(found.items(), values, strict=True):
        if not isinstance(value, Value):
            builder.refuse(name, "output", "it is the same for every input", _DEPENDS)
        if node in reading.hidden:
            builder.refuse(name, "output", "it is minus infinity in places", _KEEP)
    graph = builder.build(found)
    seen = {place: node for place, node in reading.nodes.items() if node not in reading.hidden}
    run = partial(activations, model, keras_graph, tensors, names, seen, graph)
    own = list(_ends(keras_graph, reading, None))
    ask = partial(call, model, keras_graph, names, own, graph)
    notes = builder.notes_of(graph)
    ran_by = partial(ran, as_they_are=bool(notes))
    return Source(graph, "keras", run, ask, ran_by, precision_of(model), notes=notes)


_DEPENDS = "Give a model of the outputs that depend on its inputs: keras.Model(inputs, outputs)"
_KEEP = "Name the outputs to keep: outputs=[...]"


class _End(NamedTuple):
    """A tensor that an output needs: its own, or that of the model which it is a layer inside."""

    tensor: Any
    inside: bool = False


def _ends(graph: Any, reading: Reading, names: Sequence[str] | None) -> dict[str, _End]:
    """The outputs of the graph: the model's own, or its outputs and layers of these names."""
    own: dict[str, _End] = {}
    for name, tensor in zip(output_names(graph), graph.outputs, strict=True):
        own[unique_name(name, own)] = _End(tensor)
    if names is None:
        return own
    layers = {call: _End(node.outputs[0]) for call, node in reading.calls.items()}
    nested = {
        path: _End(layers[around].tensor, inside=True)
        for path in paths(graph)
        if (around := path.partition("/")[0]) in layers and around != path
    }
    return pick(names, {**nested, **layers, **own})


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
                "Give an example_input with the extents that you want",
            )
            values.append(Value(None, stand_in_shape(tensor)))
        else:
            known = [int(n) for n in shape if n is not None]
            whole = "int" in tensor.dtype
            node = builder.input(name, known, places[name], whole)
            truth = tensor.dtype == "bool"
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
