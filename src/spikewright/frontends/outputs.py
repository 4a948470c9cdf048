"""Names of layers and outputs, and other parts of a model that a user names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, TypeVar

from spikewright._base.arguments import is_array
from spikewright._base.formatting import label_to_name, layer_label
from spikewright._base.samples import InputTree
from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.source import Source, Values
from spikewright.graph import Graph, GraphNode, prune
from spikewright.graph.layers import Input


def with_shown_names(source: Source, outputs: Sequence[str] | None) -> Source:
    """A source whose layers have the names that are printed.

    Raises `ReadError` for one of `outputs` whose kind is another than the layer's.
    """
    names = _names_of_nodes(source.graph)
    graph = source.graph if not names else _renamed(source.graph, names)
    _check_kinds(graph, outputs or ())
    if not names:
        return source
    layers = _names_of_layers(source.graph)
    notes = (replace(note, layer=layers.get(note.layer, note.layer)) for note in source.notes)

    def activations(inputs: Values) -> Any:
        values = source.activations(inputs)
        return {names.get(name, name): value for name, value in values.items()}

    return replace(source, graph=graph, activations=activations, notes=tuple(notes))


def with_layer_labels(error: UnsupportedLayerError) -> UnsupportedLayerError:
    """The error with the names that are printed."""
    layers = {name: layer_label(name, kind) for name, kind in error.met.items()}
    nodes = _names_of_nodes(error.read)
    refusals = [
        replace(
            refusal,
            layer=layers.get(refusal.layer) or _name_in(refusal),
            keeping=tuple(nodes.get(name, layers.get(name, name)) for name in refusal.keeping),
        )
        for refusal in error.refusals
    ]
    met = {layers[name]: kind for name, kind in error.met.items()}
    found = UnsupportedLayerError(refusals, _renamed_nodes(error.read, nodes), met)
    found.details, found.__cause__ = error.details, error.__cause__
    return found


def _name_in(refusal: Refusal) -> str:
    """The printed name of a layer that was not met on the way: its class stands in its kind."""
    if refusal.kind in ("output", "argument", "method", "attribute"):
        return refusal.layer
    return layer_label(refusal.layer, refusal.kind.partition(":")[0])


def _names_of_layers(nodes: Iterable[GraphNode]) -> dict[str, str]:
    """The printed name of each layer of the source whose name is a number."""
    kinds: dict[str, str] = {}
    for node in nodes:
        if not isinstance(node.layer, Input) and (node.name == node.source or node.source_kind):
            kinds.setdefault(node.source, node.source_kind)
    found = {source: layer_label(source, kind) for source, kind in kinds.items()}
    return {source: name for source, name in found.items() if name != source}


def _names_of_nodes(nodes: Iterable[GraphNode]) -> dict[str, str]:
    """The printed names of nodes: a part of a layer has the layer's before its own."""
    layers = _names_of_layers(nodes)
    return {
        node.name: layers[node.source] + node.name.removeprefix(node.source)
        for node in nodes
        if node.source in layers and node.name.startswith(node.source)
    }


def _renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    outputs = {output: names.get(name, name) for output, name in graph.outputs.items()}
    aliases = {alias: names.get(name, name) for alias, name in graph.aliases.items()}
    return Graph(_renamed_nodes(graph.nodes, names), outputs, aliases)


def _renamed_nodes(nodes: Sequence[GraphNode], names: Mapping[str, str]) -> tuple[GraphNode, ...]:
    layers = _names_of_layers(nodes)
    return tuple(
        replace(
            node,
            name=names.get(node.name, node.name),
            inputs=tuple(names.get(name, name) for name in node.inputs),
            source=layers.get(node.source, node.source),
        )
        for node in nodes
    )


def _check_kinds(graph: Graph, outputs: Sequence[str]) -> None:
    for name in outputs:
        node = graph.outputs.get(name, name)
        if label_to_name(node) == label_to_name(name) != name != node:
            raise ReadError(unknown(name, [node]))


def with_names(value: Any, model: Any, framework: str | None) -> Any:
    """A setting by layer, or names of layers, with a name in the place of each layer of the model.

    Keys that are no layers of it stay as they are: what takes them says what it does not know.
    """
    find = _NAMES.get(framework or "")
    if find is None or value is None or isinstance(value, str):
        return value
    several = isinstance(value, Mapping | Sequence | Set)
    keys: list[Any] = list(value) if several else [value]
    objects = [key for key in keys if not isinstance(key, str | type)]
    if not objects:
        return value
    names = find(model)
    if isinstance(value, Mapping):
        return {names.get(id(key), key): item for key, item in value.items()}
    found = [names.get(id(key), key) for key in keys]
    return found if several else found[0]


def _of_pytorch(model: Any) -> dict[int, str]:
    modules = getattr(model, "named_modules", dict)
    return {id(module): name for name, module in dict(modules()).items() if name}


def _of_keras(model: Any) -> dict[int, str]:
    return {id(layer): path for path, layer in _below(model, "", set())}


def _below(layer: Any, around: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The layers inside a layer, with their paths as the reader names them."""
    held: Any = getattr(layer, "layers", None) or getattr(layer, "_layers", ())
    for inner in held:
        if id(inner) not in seen:
            seen.add(id(inner))
            path = f"{around}{inner.name}"
            yield path, inner
            yield from _below(inner, f"{path}/", seen)


_NAMES: Mapping[str, Callable[[Any], dict[int, str]]] = {
    "pytorch": _of_pytorch,
    "keras": _of_keras,
}
"""For each framework the names of a model's layers by their identity."""


def named_examples(example: Any, structure: InputTree, place: str = "") -> dict[str, Any]:
    """The examples of all inputs, or of those that a mapping names; of none for None.

    Raises `ReadError`, which begins with `place`, for anything else.
    """
    if example is None:
        return {}
    if isinstance(example, Mapping) and set(example) <= set(structure.places):
        return dict(example)
    found = structure.find(example)
    if found is None and isinstance(example, list | tuple) and any(map(is_array, example)):
        raise ReadError(
            f"{place}example_input holds {len(example)} arrays; the model's inputs are "
            f"{list(structure.places)}."
        )
    try:
        return structure.named(example) if found is None else found
    except ValueError as error:
        raise ReadError(f"{place}example_input: {error}.") from None


T = TypeVar("T")


def wanted_outputs(outputs: Any) -> list[str] | None:
    """The names to keep, or None for the model's own outputs; raises `ReadError` for no names."""
    if outputs is None:
        return None
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong or not names:
        raise ReadError(f"outputs holds names of layers or tensors, got {outputs!r}.")
    return list(dict.fromkeys(names))


def pick(names: Sequence[str], known: Mapping[str, T]) -> dict[str, T]:
    """The values of these names; raises `ReadError` with the names near an unknown one."""
    shown = {label_to_name(name): name for name in reversed(list(known))}
    found = {}
    for name in names:
        ways = (name, label_to_name(name), shown.get(name, name))
        match = next((way for way in ways if way in known), None)
        if match is None:
            raise ReadError(unknown(name, known))
        found[name] = known[match]
    return found


def unknown(name: str, known: Iterable[str]) -> str:
    """The sentences about a name of nothing in the model, with the names near it."""
    near = get_close_matches(name, known, 3, 0.4)
    hint = f"Near it are {', '.join(map(repr, near))}. " if near else ""
    return (
        f"outputs: the model has no output, layer or tensor {name!r}. {hint}"
        "spikewright inspect lists the layers."
    )


def restricted(graph: Graph, names: Sequence[str]) -> Graph:
    """The graph with these outputs, or nodes, for outputs, and nothing that they do not need."""
    own = {node.name: node.name for node in graph}
    outputs = pick(names, {**own, **graph.outputs})
    nodes = prune(graph.nodes, outputs)
    read = {name for node in nodes for name in node.inputs} | set(outputs.values())
    kept = [node for node in nodes if not isinstance(node.layer, Input) or node.name in read]
    left = {node.name for node in kept}
    aliases = {gone: node for gone, node in graph.aliases.items() if node in left}
    return Graph(tuple(kept), outputs, aliases)
