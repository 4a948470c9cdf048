"""Reading a whole model: its kind, its inputs, its layers, its outputs; models that are code."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikewright._base.budget import budget_of, spending
from spikewright._base.files import file_at
from spikewright._base.optional import require
from spikewright._base.samples import InputTree
from spikewright.advice import advise
from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.keras.loading import import_keras, load
from spikewright.frontends.keras.reading import KerasReading, fits, stand_in_shape
from spikewright.frontends.keras.recorded import (
    UNKNOWN_WHOLE,
    ends,
    input_of,
    read_recorded,
    source_of,
)
from spikewright.frontends.keras.registry import Value, why_not_code
from spikewright.frontends.keras.running import (
    checked,
    ran,
    to_numpy,
)
from spikewright.frontends.keras.torch_trace import (
    TracedCode,
    TracedSubgraph,
    called,
    can_trace,
    sample_of,
    way_to,
)
from spikewright.frontends.keras.traversal import (
    calls_as_keras,
    graph_of,
    input_names,
    input_places,
    map_structure,
    needed_tensors,
    output_names,
)
from spikewright.frontends.outputs import named_examples
from spikewright.frontends.source import GraphBuilder, Source, Values
from spikewright.graph import Graph, GraphNode, unique_name
from spikewright.graph.integer_inputs import whole_inputs
from spikewright.graph.layers import Input, Shape

_EXAMPLE = "Give an example_input, the arguments of the model's call, arrays (batch, *shape)"


def is_code(model: Any) -> bool:
    """True for a model that is Python code of its own, and no graph of layers."""
    return isinstance(model, require("keras").Model) and not calls_as_keras(model)


def read_model(model: Any, example_input: Any, outputs: Sequence[str] | None) -> Source:
    """Read a model that is code; its layers have their Keras names, as paths.

    Raises `UnsupportedLayerError`, or `ReadError` where it cannot be traced.
    """
    if not can_trace(model):
        raise _refused(model, *why_not_code(f"{type(model).__module__}.{type(model).__name__}"))
    _check_built(model)
    arguments = _arguments(model, example_input)
    refused = None
    for batch in (None, 1):  # code that needs the size of its batch is read at one sample
        try:
            found = read_recorded(model, arguments, example_input is None, outputs, batch)
        except UnsupportedLayerError as error:
            refused = refused or error
        else:
            if found is not None:
                return found
    try:
        return _traced(model, arguments, example_input, outputs)
    except (UnsupportedLayerError, ReadError) as error:
        raise refused or error from None


def _traced(
    model: Any, arguments: dict[str, Any], example_input: Any, outputs: Sequence[str] | None
) -> Source:
    """The model, read from the operators of PyTorch that its code runs."""
    code, builder = TracedCode(model, partial(called, model)), GraphBuilder()
    graft, alone = TracedSubgraph(builder, code), len(arguments) == 1
    try:
        source = code.read(arguments, None if outputs is None else _meant(code, outputs))
    except UnsupportedLayerError as error:
        graft.add(error.read, _add_inputs(builder, error.read, alone))
        graft.refuse(error)
        raise UnsupportedLayerError(builder.refusals, builder.nodes, builder.met) from None
    if example_input is None and len(source.graph.inputs) > 1 and whole_inputs(source.graph):
        raise _refused(model, UNKNOWN_WHOLE)
    inputs = _add_inputs(builder, source.graph, alone)
    nodes = graft.add(source.graph, inputs)
    graph = builder.build(
        {code.keras_name(n): nodes[end] for n, end in source.graph.outputs.items()}
    )
    renamed = _Renamed(source, graph, code, inputs, nodes)
    notes = builder.notes_of(graph)
    ran_by = partial(ran, as_they_are=bool(notes))
    return Source(
        graph, "keras", renamed.activations, renamed.call, ran_by, source.precision, notes=notes
    )


@dataclass(frozen=True)
class _Renamed:
    """Runs a source under the names of another graph: by its own names, those of the other."""

    source: Source
    graph: Graph
    code: TracedCode
    inputs: Mapping[str, str]
    nodes: Mapping[str, str | None]

    def activations(self, inputs: Values) -> dict[str, NDArray]:
        """As `Source.activations`."""
        found = self.source.activations(self._given(inputs))
        names = {name: self.nodes.get(name) for name in found}
        return {own: found[name] for name, own in names.items() if own is not None}

    def call(self, inputs: Values) -> dict[str, NDArray]:
        """As `Source.call`."""
        found = self.source.call(self._given(inputs))
        return {self.code.keras_name(name): value for name, value in found.items()}

    def _given(self, inputs: Values) -> Values:
        arrays = checked(self.graph, list(self.inputs.values()), inputs)
        return {name: arrays[own] for name, own in self.inputs.items()}


def _check_built(model: Any) -> None:
    """Raise for a model without all of its weights: those made in tracing would be no numbers."""
    unbuilt = [layer.name for layer in model._flatten_layers() if not layer.built]
    if unbuilt:
        reason = f"it has no weights yet, as {', '.join(unbuilt)} have not been called"
        raise _refused(model, reason, "Call it, model(x[:2]), and train it or load its weights")


def _arguments(model: Any, example: Any) -> dict[str, Any]:
    """The arguments of the model's call for tracing, by name."""
    parameters = inspect.signature(model.call).parameters
    needed = [name for name, p in parameters.items() if p.default is p.empty]
    needed = needed or list(parameters)[:1]
    if example is None:
        return {needed[0]: _built_for(model)}
    if len(needed) == 1 and not (isinstance(example, Mapping) and needed[0] in example):
        return {needed[0]: example}
    if isinstance(example, list | tuple) and len(example) == len(needed):
        return dict(zip(needed, example, strict=True))
    if isinstance(example, Mapping) and set(needed) <= set(example) <= set(parameters):
        return dict(example)
    raise ReadError(
        f"example_input: {type(model).__name__}.call takes {', '.join(needed)}. Give an array "
        "(batch, *shape) for each, in a list or by name."
    )


def _built_for(model: Any) -> Any:
    """Samples of the shapes that the model was built for."""
    inputs = getattr(model, "_inputs_struct", None)
    if inputs is not None:
        return map_structure(lambda tensor: _sample(_closed(model, tensor.shape)), inputs)
    shapes = (model.get_build_config() or {}).get("input_shape")
    if shapes is None:
        raise _refused(model, "the shapes of its inputs are unknown")
    return _samples(model, shapes)


def _sample(shape: tuple[int, ...]) -> NDArray:
    """A sample of numbers that are tried as real ones first, and may be whole."""
    return sample_of(Value(None, shape, whole=1))


def _samples(model: Any, shapes: Any) -> Any:
    """Samples in the structure in which shapes, tuples of extents, are."""
    if isinstance(shapes, Mapping):
        return {key: _samples(model, item) for key, item in shapes.items()}
    if shapes and not any(isinstance(item, list | tuple | Mapping) for item in shapes):
        return _sample(_closed(model, shapes))
    return type(shapes)(_samples(model, item) for item in shapes)


def _closed(model: Any, shape: Sequence[int | None]) -> tuple[int, ...]:
    """The unbatched shape, all of whose extents are known."""
    if None in shape[1:]:
        reason = f"its input's shape (batch, *{tuple(shape[1:])}) leaves extents open"
        raise _refused(model, reason)
    return tuple(int(n) for n in shape[1:] if n is not None)


def _meant(code: TracedCode, outputs: Sequence[str]) -> list[str]:
    """The names that PyTorch's readers have for outputs and layers of these names."""
    layers = {name: path for path, name in code.names.items()}
    return [layers.get(name, name) for name in outputs]


def _add_inputs(builder: GraphBuilder, nodes: Iterable[GraphNode], alone: bool) -> dict[str, str]:
    """Add the inputs among nodes: their names to those of the graph.

    Those of a single argument are known by its keys, if it is a dict, and taken in its structure.
    """
    inputs = [(node, node.layer) for node in nodes if isinstance(node.layer, Input)]
    places = [way_to(node) for node, _ in inputs]
    flat = alone and all(len(place) <= 2 for place in places)
    return {
        node.name: input_of(builder, layer.shape, place, alone, flat, layer.whole)
        for (node, layer), place in zip(inputs, places, strict=True)
    }


def _refused(model: Any, reason: str, options: str = _EXAMPLE) -> UnsupportedLayerError:
    return UnsupportedLayerError([Refusal(model.name, type(model).__name__, reason, options)])


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
    reading, own = KerasReading(keras_graph, builder), _own(keras_graph)
    tensors = [end.tensor for end in ends(keras_graph, reading, own, outputs).values()]
    needed = needed_tensors(keras_graph, tensors if outputs else [*tensors, *keras_graph.inputs])
    inputs = _inputs(builder, keras_graph, names, example_input, needed)
    pack, structure = keras.tree.pack_sequence_as, keras_graph._inputs_struct
    return source_of(
        model,
        keras_graph,
        reading,
        names=names,
        inputs=inputs,
        own=own,
        outputs=outputs,
        ask=lambda tensors: model(pack(structure, tensors), training=False),
    )


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
    examples = _example_shapes(InputTree(places, ranks), example_input)
    values = []
    for name, tensor in zip(names, keras_graph.inputs, strict=True):
        declared, example = tuple(tensor.shape[1:]), examples.get(name)
        if example is not None and not fits(example, declared):
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


def _example_shapes(structure: InputTree, example_input: Any) -> dict[str, Shape]:
    """Unbatched shapes of the examples, by input name."""
    given = named_examples(example_input, structure)
    return {name: to_numpy(value).shape[1:] for name, value in given.items()}
