"""Parts of a model that a user names: example inputs, and outputs that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from spikewright._base.arrays import is_array
from spikewright._base.layer_names import bare_name
from spikewright._base.structure import Structure
from spikewright.errors import ReadError
from spikewright.graph import Graph, prune
from spikewright.graph.layers import Input


def named_examples(example: Any, structure: Structure, place: str = "") -> dict[str, Any]:
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
    shown = {bare_name(name): name for name in reversed(list(known))}
    found = {}
    for name in names:
        ways = (name, bare_name(name), shown.get(name, name))
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
